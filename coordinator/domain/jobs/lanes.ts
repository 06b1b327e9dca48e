import type { Context } from '../../context';
import { BatonError } from '../../errors';
import { LANE_IDLE_MS, MOST_LANES_MADE } from '../../state/lanes';
import type { LaneFrom } from '../../store/jobs';
import { removeIdle } from '../../store/lanes';
import type { Actor, Caller } from '../auth/caller';

/** Of one queue's lanes so many tell its present. */
const MOST_OF_QUEUE = 16;
const MOST_IN_ALL = 64;
/** Lanes of one queue that are looked through for some with jobs in turn. */
const MOST_LOOKED_AT = 1000;
const SWEEP_BATCH = 5000;

/** Whom a lane counts to: the user, or the key that speaks for nobody in particular. */
export function laneMaker(by: Pick<Caller | Actor, 'keyId' | 'userId'> | null): string {
  return by === null ? '' : by.userId === null ? `key:${by.keyId}` : `user:${by.userId}`;
}

export function tooManyLanes(): BatonError {
  return new BatonError(
    'rate_limited',
    `The jobs of this key differ in queue, type, priority, requires or prefers in more than ${MOST_LANES_MADE} ways. ` +
      'Use fewer of them; what tells one job from another belongs into its arguments or tags.',
    { retryAfterMs: LANE_IDLE_MS },
  );
}

/** Some lanes of these queues with jobs in turn, by which the present of the queues is told; all queues, where none are named. */
export function presentLanes(context: Context, queues?: Set<string>): LaneFrom[] {
  const found: LaneFrom[] = [];
  for (const queue of queues ?? context.lanes.queues()) {
    const ready = context.readyLanes.among(context.lanes.ofQueues([queue]).slice(0, MOST_LOOKED_AT));
    for (const { id: laneId, priority } of ready.slice(0, MOST_OF_QUEUE))
      found.push({ laneId, queue, priority, fromPosition: context.readyLanes.from(laneId)?.position ?? null });
    if (found.length >= MOST_IN_ALL) break;
  }
  return found;
}

/** Lanes without jobs in turn are forgotten, here and in the table. */
export async function forgetIdleLanes(context: Context): Promise<void> {
  context.readyLanes.forget(context.lanes.forget((id) => context.readyLanes.isReady(id)));
  while ((await removeIdle(context.db, LANE_IDLE_MS, SWEEP_BATCH)) === SWEEP_BATCH);
}
