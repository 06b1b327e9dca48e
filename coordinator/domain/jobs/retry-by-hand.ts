import type { Context } from '../../context';
import { BatonError } from '../../errors';
import { type Executor, isUniqueViolation } from '../../store/db';
import * as store from '../../store/jobs';
import { jobActions, audited } from '../audit/record';
import type { Actor } from '../auth/caller';
import { jobEvent } from '../events/events';
import { refusal } from './refusal';
import { settle, settleParents } from './settle';

export type RetryItem = store.RetryByHand;

/**
 * failed, cancelled -> pending, or blocked while a parent is unfinished. Failures start again at 0; arguments are
 * replaced if they are sent.
 */
export async function retryByHand(
  context: Context,
  items: RetryItem[],
  by: Actor | null = null,
): Promise<(store.JobRow | BatonError)[]> {
  let moved: store.JobRow[];
  try {
    moved = await audited(
      context,
      by,
      (db) => retryRows(db, items),
      (jobs) => jobActions(['job.retried', 'jobs.retried'], jobs, detailsOf(items)),
    );
  } catch (error) {
    if (!isUniqueViolation(error, 'jobs_unique_idx')) throw error;
    // Another job now holds the unique key of one of them: retry each on its own.
    if (items.length > 1) return (await Promise.all(items.map((item) => retryByHand(context, [item], by)))).flat();
    return [
      new BatonError(
        'state_conflict',
        'Another unfinished job of this type holds the unique key; cancel it, or let it finish first.',
      ),
    ];
  }
  await announceRetried(context, moved);
  const byId = new Map(moved.map((job) => [job.id, job]));
  return Promise.all(
    items.map(async (item) => byId.get(item.jobId) ?? refusal(context, 'retry', item.jobId, item.userId)),
  );
}

/**
 * failed, cancelled -> pending or blocked; gates wait to be decided again.
 * @param beside jobs that are retried in the same transaction
 */
export async function retryRows(db: Executor, items: RetryItem[], beside: string[] = []): Promise<store.JobRow[]> {
  const moved = await store.retryByHand(db, items, beside);
  const gates = moved.flatMap(({ id, queue }) => (queue === store.GATE.queue ? [id] : []));
  if (gates.length > 0) await store.startGates(db, gates);
  return moved;
}

/** After the commit that retried these jobs. */
export async function announceRetried(context: Context, moved: store.JobRow[]): Promise<void> {
  context.events.tell(moved.map((job) => jobEvent('job.requeued', job)));
  await settle(context, moved);
  await settleParents(
    context,
    moved.flatMap(({ status, dependsOn }) => (status === 'blocked' ? ((dependsOn as string[] | null) ?? []) : [])),
  );
}

/** Says that arguments were changed, but never contains them. */
function detailsOf(items: RetryItem[]): Record<string, unknown> {
  return items.some((item) => item.arguments !== undefined) ? { arguments: 'replaced' } : {};
}
