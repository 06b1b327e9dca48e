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
import { awaitTokens, liftHolds } from './promotion';

/** How long a job that prefers other runners is left to them. */
const PREFERENCE_MS = 5000;
/** Most lanes that one statement reads. */
const MOST_LANES = 64;

/**
 * pending -> running, for many runners with the same labels in one statement.
 * @returns `rows`: each with the index of the slot it fills; `repeated` ones were claimed earlier under the same claim
 * id, and the answer was lost. `isByteLimited`: large payloads ended the claim early, so there may be jobs for empty
 * slots.
 */
export async function claim(
  context: Context,
  from: Lane[],
  labels: Labels,
  slots: store.Slot[],
): Promise<{ rows: store.ClaimedRow[]; isByteLimited: boolean }> {
  const { readyLanes } = context;
  // The other lanes are read when these are exhausted, or when their first jobs come later.
  const lanes = readyLanes.first(from, MOST_LANES);
  const since = readyLanes.now;
  const { claimed: rows, heldBack, sawLocked, isByteLimited, closed } = await claimFrom(context, lanes, labels, slots);
  if (!isByteLimited && filled(rows, slots) < slots.length && heldBack.length === 0) {
    const { more, isWhole } = sawLocked
      ? await claimLaneByLane(context, lanes, labels, slots, rows)
      : { more: [], isWhole: true };
    rows.push(...more);
    if (isWhole) for (const lane of lanes) if (!closed.includes(lane.queue)) readyLanes.exhausted(lane.id, since);
  }
  const fresh = rows.filter((row) => !row.repeated);
  context.events.tell(
    fresh.map((row) => jobEvent('job.claimed', { ...row, status: 'running' }, undefined, { waitMs: row.waitMs })),
  );
  // The reason for these holds may have ended during the claim; no other call would lift them then.
  await liftHolds(context, heldBack);
  return { rows: await withDependencies(context, await failUnreadableJobs(context, rows)), isByteLimited };
}

/**
 * Number of filled slots. All slots of a repeated claim count as filled, because it gets only the jobs that it got
 * before.
 */
function filled(rows: store.ClaimedRow[], slots: store.Slot[]): number {
  const answered = new Set(rows.flatMap((row) => (row.repeated ? [nameOf(slots[row.slot], row.slot)] : [])));
  const fresh = rows.filter((row) => !row.repeated).length;
  return answered.size === 0 ? fresh : fresh + slots.filter((slot, index) => answered.has(nameOf(slot, index))).length;
}

async function claimFrom(context: Context, lanes: Lane[], labels: Labels, slots: store.Slot[]): Promise<store.Claims> {
  const { readyLanes, queueSettings } = context;
  const { hot } = context.db;
  const since = readyLanes.now;
  const starts = lanes.map((lane) => startOf(context, lane, labels));
  const limited = [...new Set(lanes.map((lane) => lane.queue).filter((queue) => queueSettings.isLimited(queue)))];
  const claims =
    limited.length === 0
      ? await store.claim(hot, starts, slots, false)
      : await hot.transaction(async (transaction) => {
          await lockLimits(transaction, limited);
          return store.claim(transaction, starts, slots, true);
        });
  if (claims.nextOfKeyInMs !== null) awaitTokens(context, claims.nextOfKeyInMs);
  for (const row of claims.claimed) if (!row.repeated) readyLanes.advance(row.laneId, row);
  // All of its lanes, which may be many more than one statement reads.
  for (const { id } of context.lanes.ofQueues(claims.closed)) readyLanes.close(id, since);
  return claims;
}

/**
 * A claim distributes its slots over lanes by an unlocked read. Where another claim has locked the jobs it saw, slots
 * stay empty although other lanes have jobs. So the slots of claims that got nothing are offered to each lane alone.
 * @returns `isWhole`: no lane was left out because of an error
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
      // Jobs claimed so far are committed: if they were not returned, they would be stuck until their leases expire.
      if (found.length + more.length === 0) throw error;
      context.log.warn('a claim that found less than it wanted looked no further', describeError(error));
      return { more, isWhole: false };
    }
  }
  return { more, isWhole: true };
}

/** Identifies the claim of a slot; without a claim id each slot is a claim of its own. */
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
