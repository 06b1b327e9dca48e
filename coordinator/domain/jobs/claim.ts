import type { Labels } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { describeError } from '../../logger';
import * as store from '../../store/jobs';
import { lockLimits } from '../../store/queues';
import { jobEvent } from '../events/events';
import type { Lane } from '../../state/lanes';
import { meets } from '../../state/requirements';
import { failUnreadableJobs } from './unreadable';
import { withDependencies } from './dependencies';
import { liftHolds } from './promotion';

/** How long a job that prefers other runners is left to them. */
const PREFERENCE_MS = 5000;
/** So many lanes are read in one statement, however many have jobs in turn. */
const MOST_LANES = 64;

/**
 * pending -> running, for many runners with the same labels in one statement. Returns what was claimed, each with the
 * index of the slot it fills; `repeated` ones were claimed before, under the same claim id, and their answer was lost.
 * `isCut`: large payloads ended it early, so slots without a job may have one.
 */
export async function claim(
  context: Context,
  from: Lane[],
  labels: Labels,
  slots: store.Slot[],
): Promise<{ rows: store.ClaimedRow[]; isCut: boolean }> {
  const { readyLanes } = context;
  // What is left out has its turn when those are exhausted, or stand behind it.
  const lanes = readyLanes.first(from, MOST_LANES);
  const versions = lanes.map((lane) => readyLanes.version(lane.id));
  const { claimed: rows, heldBack, isShort, isCut } = await claimFrom(context, lanes, labels, slots);
  if (!isCut && filled(rows, slots) < slots.length && heldBack.length === 0) {
    const { more, isWhole } = isShort
      ? await claimLaneByLane(context, lanes, labels, slots, rows)
      : { more: [], isWhole: true };
    rows.push(...more);
    if (isWhole) lanes.forEach((lane, index) => readyLanes.exhausted(lane.id, versions[index] ?? 0));
  }
  const fresh = rows.filter((row) => !row.repeated);
  context.events.tell(
    fresh.map((row) => jobEvent('job.claimed', { ...row, status: 'running' }, undefined, { waitMs: row.waitMs })),
  );
  // What they are held for may have ended while the claim was under way, and then nobody else looks.
  await liftHolds(context, heldBack);
  return { rows: await withDependencies(context, await failUnreadableJobs(context, rows)), isCut };
}

/** How many slots are. Those of a claim that was answered before all are, however few jobs it was given then: it takes no others. */
function filled(rows: store.ClaimedRow[], slots: store.Slot[]): number {
  const answered = new Set(rows.flatMap((row) => (row.repeated ? [nameOf(slots[row.slot], row.slot)] : [])));
  const fresh = rows.filter((row) => !row.repeated).length;
  return answered.size === 0 ? fresh : fresh + slots.filter((slot, index) => answered.has(nameOf(slot, index))).length;
}

async function claimFrom(context: Context, lanes: Lane[], labels: Labels, slots: store.Slot[]): Promise<store.Claims> {
  const { readyLanes, queueSettings } = context;
  const { hot } = context.db;
  const starts = lanes.map((lane) => startOf(context, lane, labels));
  const limited = [...new Set(lanes.map((lane) => lane.queue).filter((queue) => queueSettings.isLimited(queue)))];
  const claims =
    limited.length === 0
      ? await store.claim(hot, starts, slots, false)
      : await hot.transaction(async (transaction) => {
          await lockLimits(transaction, limited);
          return store.claim(transaction, starts, slots, true);
        });
  for (const row of claims.claimed) if (!row.repeated) readyLanes.advance(row.laneId, row);
  return claims;
}

/**
 * A claim shares its slots out among lanes by what it sees without locking. Where another claim holds what it saw, slots
 * stay empty though other lanes have jobs: those of claims that got nothing are offered to each lane alone.
 * `isWhole`: no lane was left out.
 */
async function claimLaneByLane(
  context: Context,
  lanes: Lane[],
  labels: Labels,
  slots: store.Slot[],
  found: store.ClaimedRow[],
): Promise<{ more: store.ClaimedRow[]; isWhole: boolean }> {
  const more: store.ClaimedRow[] = [];
  if (lanes.length < 2) return { more, isWhole: true };
  for (const lane of [...lanes].sort((a, b) => b.priority - a.priority)) {
    const served = new Set([...found, ...more].map((row) => nameOf(slots[row.slot], row.slot)));
    const empty = slots.flatMap((slot, index) => (served.has(nameOf(slot, index)) ? [] : [{ slot, index }]));
    if (empty.length === 0) break;
    try {
      const { claimed } = await claimFrom(
        context,
        [lane],
        labels,
        empty.map(({ slot }) => slot),
      );
      more.push(...claimed.map((row) => ({ ...row, slot: empty[row.slot]?.index ?? row.slot })));
    } catch (error) {
      // What was claimed by now is committed: unheard of, it would wait for its lease to end.
      if (found.length + more.length === 0) throw error;
      context.log.warn('a claim that found less than it wanted looked no further', describeError(error));
      return { more, isWhole: false };
    }
  }
  return { more, isWhole: true };
}

/** The claim a slot belongs to; without a claim id each slot stands for itself. */
function nameOf(slot: store.Slot | undefined, index: number): string {
  return slot === undefined || slot.claimId === null ? String(index) : `${slot.runnerId} ${slot.claimId}`;
}

function startOf({ readyLanes }: Context, lane: Lane, labels: Labels): store.LaneStart {
  const from = readyLanes.from(lane.id);
  return {
    laneId: lane.id,
    queue: lane.queue,
    priority: lane.priority,
    fromPosition: from?.position ?? null,
    fromId: from?.id ?? null,
    dueForMs: meets(lane.prefers, labels) ? 0 : PREFERENCE_MS,
  };
}
