import type { JobFilter } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as views from '../../store/views/jobs';
import { cancel } from './cancel';
import { retryByHand } from './retry-by-hand';
import { allowedFrom } from './transitions';

const BATCH = 500;

/** Cancels all jobs that match; returns how many were. Safe to repeat: what is cancelled does not match again. */
export function cancelAll(context: Context, userId: string | null, filter: JobFilter, reason: string | null): Promise<number> {
  return inBatches(context, userId, narrowed(filter, 'cancel'), (ids) =>
    cancel(context, ids.map((jobId) => ({ jobId, userId, reason }))),
  );
}

/** Retries by hand all jobs that match; returns how many were. */
export function retryAll(context: Context, userId: string | null, filter: JobFilter): Promise<number> {
  return inBatches(context, userId, narrowed(filter, 'retry'), (ids) => retryByHand(context, ids.map((jobId) => ({ jobId, userId }))));
}

/** Only the statuses that the verb is for: the rest could only be refused. */
function narrowed(filter: JobFilter, verb: 'cancel' | 'retry'): JobFilter {
  const allowed = allowedFrom(verb);
  return { ...filter, status: filter.status === undefined ? allowed : filter.status.filter((status) => allowed.includes(status)) };
}

/** Walks the ids upwards in bounded batches, each a transaction of its own, so that it ends and disturbs nobody. */
async function inBatches(
  context: Context,
  userId: string | null,
  filter: JobFilter,
  act: (ids: string[]) => Promise<unknown[]>,
): Promise<number> {
  let count = 0;
  let after: string | null = null;
  for (;;) {
    const ids: string[] = await views.ids(context.db, userId, filter, after, BATCH);
    if (ids.length === 0) return count;
    const results = await act(ids);
    count += results.filter((result) => !(result instanceof BatonError)).length;
    after = ids.at(-1) ?? null;
  }
}
