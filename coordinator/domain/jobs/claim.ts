import type { Context } from '../../context';
import * as store from '../../store/jobs';
import { jobEvent } from '../events/events';
import type { Lane } from './lanes';
import type { ReadyLanes } from './ready-lanes';

/**
 * pending -> running, for many runners in one statement. Returns what was claimed, each with the index of the slot it
 * fills; `repeated` ones were claimed before, under the same claim id, and their answer was lost.
 */
export async function claim(context: Context, ready: ReadyLanes, lanes: Lane[], slots: store.Slot[]): Promise<store.ClaimedRow[]> {
  const versions = lanes.map((lane) => ready.version(lane.id));
  const starts = lanes.map((lane) => {
    const from = ready.from(lane.id);
    return { laneId: lane.id, priority: lane.priority, fromRunAt: from?.runAt ?? null, fromId: from?.id ?? null };
  });
  const rows = await store.claim(context.db, starts, slots);
  const fresh = rows.filter((row) => !row.repeated);

  for (const row of fresh) ready.advance(row.laneId, row);
  if (rows.length < slots.length) lanes.forEach((lane, index) => ready.drained(lane.id, versions[index] ?? 0));
  context.events.tell(fresh.map((row) => jobEvent('job.claimed', { ...row, status: 'running' })));
  return rows;
}
