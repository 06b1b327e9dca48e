import type { Labels } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import * as store from '../../store/jobs';
import { lockLimits } from '../../store/queues';
import { jobEvent } from '../events/events';
import type { Lane } from './lanes';
import { meets } from './requirements';
import { setUnreadableAside } from './unreadable';
import { releaseKeys } from './waiting';

/** How long a job that prefers other runners is left to them. */
const PREFERENCE_MS = 5000;

/**
 * pending -> running, for many runners with the same labels in one statement. Returns what was claimed, each with the
 * index of the slot it fills; `repeated` ones were claimed before, under the same claim id, and their answer was lost.
 */
export async function claim(context: Context, lanes: Lane[], labels: Labels, slots: store.Slot[]): Promise<store.ClaimedRow[]> {
  const { ready, queues, db } = context;
  const versions = lanes.map((lane) => ready.version(lane.id));
  const starts = lanes.map((lane) => startOf(context, lane, labels));
  const limited = [...new Set(lanes.map((lane) => lane.queue).filter((queue) => queues.isLimited(queue)))];
  const { claimed: rows, heldBack } =
    limited.length === 0
      ? await store.claim(db, starts, slots, false)
      : await db.transaction(async (transaction) => {
          await lockLimits(transaction, limited);
          return store.claim(transaction, starts, slots, true);
        });

  const fresh = rows.filter((row) => !row.repeated);
  for (const row of fresh) ready.advance(row.laneId, row);
  // Where jobs were held back, those behind them are in turn now.
  if (rows.length < slots.length && heldBack.length === 0) lanes.forEach((lane, index) => ready.drained(lane.id, versions[index] ?? 0));
  context.events.tell(fresh.map((row) => jobEvent('job.claimed', { ...row, status: 'running' }, undefined, { waitMs: row.waitMs })));
  // What they are held for may have ended while the claim was under way, and then nobody else looks.
  await releaseKeys(context, heldBack);
  return setUnreadableAside(context, rows);
}

function startOf({ ready }: Context, lane: Lane, labels: Labels): store.LaneStart {
  const from = ready.from(lane.id);
  return {
    laneId: lane.id,
    queue: lane.queue,
    priority: lane.priority,
    fromPosition: from?.position ?? null,
    fromId: from?.id ?? null,
    dueForMs: meets(lane.prefers, labels) ? 0 : PREFERENCE_MS,
  };
}
