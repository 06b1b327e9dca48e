import type { Context } from '../../../context';
import { BatonError } from '../../../errors';
import * as keys from '../../../store/keys';
import { type JobCandidate, findHolders, type Outcome } from './job-candidate';

const RETRY_AFTER_MS = 1000;

/** `reserved`: quota taken per queue until the candidates are stored; `refused`: candidates for which none was left. */
export interface WaitingQuota {
  refused: Map<JobCandidate, BatonError>;
  reserved: Map<string, number>;
}

/**
 * Takes quota in queues with `maxWaiting`, in the order of the candidates. Candidates that create no job, because their
 * idempotency or unique key is taken, need none. Must be followed by `withQuota` or `releaseQuota`.
 */
export async function reserveQuota(context: Context, candidates: JobCandidate[]): Promise<WaitingQuota> {
  const quota: WaitingQuota = { refused: new Map(), reserved: new Map() };
  const byQueue = new Map<string, JobCandidate[]>();
  for (const candidate of candidates) {
    const { queue } = candidate.row;
    if (context.queueSettings.maxWaiting(queue) !== null)
      byQueue.set(queue, [...(byQueue.get(queue) ?? []), candidate]);
  }
  try {
    for (const [queue, wanting] of byQueue) {
      const max = context.queueSettings.maxWaiting(queue) ?? Infinity;
      const granted = await context.waitingCounts.reserve(queue, max, wanting.length);
      quota.reserved.set(queue, granted);
      if (granted === wanting.length) continue;
      const making = await withoutJobOfTheirOwn(context, wanting);
      const refused = wanting.filter((candidate) => !making.has(candidate)).slice(granted);
      for (const candidate of refused) quota.refused.set(candidate, queueFull(queue, max));
    }
  } catch (error) {
    releaseQuota(context, quota);
    throw error;
  }
  return quota;
}

/** Stores candidates, and returns the quota of those that failed, were repeated, or run at once. */
export async function withQuota(
  context: Context,
  quota: WaitingQuota,
  store: () => Promise<Map<JobCandidate, Outcome>>,
): Promise<Map<JobCandidate, Outcome>> {
  let outcomes: Map<JobCandidate, Outcome> | undefined;
  try {
    return (outcomes = await store());
  } finally {
    releaseQuota(context, quota, outcomes);
  }
}

/** Returns all quota that the stored jobs do not use. */
export function releaseQuota(
  context: Context,
  { reserved }: WaitingQuota,
  outcomes: ReadonlyMap<JobCandidate, Outcome> = NONE,
): void {
  if (reserved.size === 0) return;
  const waiting = new Map<string, number>();
  for (const [{ row }, outcome] of outcomes)
    if (isWaiting(outcome)) waiting.set(row.queue, (waiting.get(row.queue) ?? 0) + 1);
  for (const [queue, count] of reserved) context.waitingCounts.settle(queue, count, waiting.get(queue) ?? 0);
}

const NONE: ReadonlyMap<JobCandidate, Outcome> = new Map();

function isWaiting(outcome: Outcome): boolean {
  return !(outcome instanceof BatonError) && outcome.inserted !== null && outcome.inserted.lease === null;
}

async function withoutJobOfTheirOwn({ db }: Context, candidates: JobCandidate[]): Promise<Set<JobCandidate>> {
  const keyed = candidates.filter(({ row }) => row.idempotencyKey !== undefined);
  const used = await keys.findIdempotent(
    db,
    keyed.map(({ row }) => ({ scope: row.idempotencyScope ?? '', key: row.idempotencyKey ?? '' })),
  );
  const names = new Set(used.map(({ scope, key }) => JSON.stringify([scope, key])));
  const holders = await findHolders(db, candidates);
  return new Set(
    candidates.filter(
      (candidate) =>
        holders.has(candidate) ||
        names.has(JSON.stringify([candidate.row.idempotencyScope ?? '', candidate.row.idempotencyKey])),
    ),
  );
}

function queueFull(queue: string, max: number): BatonError {
  return new BatonError(
    'queue_full',
    `The queue ${queue} holds all the ${max} waiting jobs that its maxWaiting allows. Nothing was created; create it again once some have started.`,
    { retryAfterMs: RETRY_AFTER_MS },
  );
}
