import type { Context } from '../../context';
import { BatonError } from '../../errors';
import { LANE_IDLE_MS, type LaneMaker } from '../../state/lanes';
import type { LaneFrom } from '../../store/jobs';
import { removeIdle } from '../../store/lanes';
import type { Actor, Caller } from '../auth/caller';

/** Of one queue's lanes so many tell its present. */
const MOST_OF_QUEUE = 16;
const MOST_IN_ALL = 64;
/** Lanes of one queue that are looked through for some with jobs in turn. */
const MOST_LOOKED_AT = 1000;
const SWEEP_BATCH = 5000;

/** A key that speaks for nobody in particular is a service's, whose types, queues and priorities multiply. */
const MOST_OF_KEY = 10_000;
const MOST_OF_USER = 1000;

/** Whom a lane counts to: the user, or the key that speaks for nobody in particular. */
export function laneMaker(by: Pick<Caller | Actor, 'keyId' | 'userId'> | null): LaneMaker {
  if (by === null) return { name: '', most: MOST_OF_KEY };
  return by.userId === null
    ? { name: `key:${by.keyId}`, most: MOST_OF_KEY }
    : { name: `user:${by.userId}`, most: MOST_OF_USER };
}

export function tooManyLanes({ most }: LaneMaker): BatonError {
  return new BatonError(
    'rate_limited',
    `The jobs of this key differ in queue, type, priority, requires or prefers in more than ${most} ways. ` +
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
