import type { Labels } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import { LANE_IDLE_MS, type LaneMaker } from '../../state/lanes';
import { findRoutings, type LaneFrom, setLanes } from '../../store/jobs';
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

/** `enqueue` refuses jobs of further lanes; those that it let through must have theirs. */
const SQL: LaneMaker = { name: 'sql', most: 2_147_483_647 };

/** Gives jobs their lanes that SQL created without. Returns whether any got one. */
export async function giveLanes(context: Context, jobIds: string[]): Promise<boolean> {
  const jobs = await findRoutings(context.db, jobIds);
  const lanes = await context.lanes.of(
    jobs.map((job) => ({ ...job, requires: job.requires as Labels | null, prefers: job.prefers as Labels | null })),
    jobs.map(() => SQL),
  );
  const routed = jobs.flatMap(({ id: jobId }, index) => {
    const lane = lanes[index] ?? null;
    return lane === null ? [] : [{ jobId, laneId: lane.id }];
  });
  return routed.length > 0 && (await setLanes(context.db, routed)).length > 0;
}

/** Lanes without jobs in turn are forgotten, here and in the table. */
export async function forgetIdleLanes(context: Context): Promise<void> {
  context.readyLanes.forget(context.lanes.forget((id) => context.readyLanes.isReady(id)));
  while ((await removeIdle(context.db, LANE_IDLE_MS, SWEEP_BATCH)) === SWEEP_BATCH);
}
