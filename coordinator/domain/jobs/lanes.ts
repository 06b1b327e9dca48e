import type { Labels } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import { LANE_IDLE_MS, type LaneMaker } from '../../state/lanes';
import { findRoutings, type LaneFrom, setLanes } from '../../store/jobs';
import { removeIdle } from '../../store/lanes';
import type { Actor, Caller } from '../auth/caller';

/** Most lanes of one queue that are read to find the queue's present. */
const MOST_OF_QUEUE = 16;
const MOST_IN_ALL = 64;
/** Most lanes of one queue that are searched for ready ones. */
const MOST_LOOKED_AT = 1000;
const SWEEP_BATCH = 5000;

/** A key without a user belongs to a service, whose types, queues and priorities multiply. */
const MOST_OF_KEY = 10_000;
const MOST_OF_USER = 1000;

/** Whose limit a new lane counts against: the user's, or that of a key without a user. */
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

/** Some lanes with due jobs of these queues (default: all queues), from which the present of each queue is read. */
export function presentLanes(context: Context, queues?: Set<string>): LaneFrom[] {
  const found: LaneFrom[] = [];
  for (const queue of queues ?? context.lanes.queues()) {
    const lanes = context.lanes.ofQueues([queue]).slice(0, MOST_LOOKED_AT);
    const ready = lanes.filter(({ id }) => context.readyLanes.hasJobs(id));
    for (const { id: laneId, priority } of ready.slice(0, MOST_OF_QUEUE))
      found.push({ laneId, queue, priority, fromPosition: context.readyLanes.from(laneId)?.position ?? null });
    if (found.length >= MOST_IN_ALL) break;
  }
  return found;
}

/** The SQL function `enqueue` limits lanes itself; jobs that it accepted must get theirs. */
const SQL: LaneMaker = { name: 'sql', most: 2_147_483_647 };

/** Gives lanes to jobs that SQL created without one. Returns whether any job got one. */
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

/** Forgets lanes without ready jobs, here and in the table. */
export async function forgetIdleLanes(context: Context): Promise<void> {
  context.readyLanes.forget(context.lanes.forget((id) => context.readyLanes.hasJobs(id)));
  while ((await removeIdle(context.db, LANE_IDLE_MS, SWEEP_BATCH)) === SWEEP_BATCH);
}
