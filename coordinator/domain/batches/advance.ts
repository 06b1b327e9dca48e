import type { Context } from '../../context';
import { describeError } from '../../logger';
import * as store from '../../store/batches/end';
import { cancel } from '../jobs/cancel';
import { createCallbacks } from './callbacks';

/** Jobs of a cancelled batch that are cancelled at once. */
const SHARE = 500;

/**
 * Does the pending work of these batches: cancels the remaining jobs of cancelled ones, ends those whose jobs have all
 * finished, and creates their callback jobs. All of it is read from the rows, so it can be repeated.
 * @returns the batches with more to do
 */
export async function advanceBatches(context: Context, ids: string[]): Promise<string[]> {
  const work = await store.findWork(context.db, ids);
  const more: string[] = [];
  for (const { id, reason } of work.filter(({ isCancelling, hasEnded }) => isCancelling && !hasEnded))
    if (await cancelShare(context, id, reason)) more.push(id);
  const ending = work.filter(({ hasEnded }) => hasEnded).map(({ id }) => id);
  const ended = ending.length === 0 ? [] : await store.endBatches(context.db, ending);
  const endedIds = ended.map(({ id }) => id);
  const due = [
    ...work.filter(({ areCallbacksDue }) => areCallbacksDue).map(({ id }) => id),
    ...ended.filter(({ areCallbacksDue }) => areCallbacksDue).map(({ id }) => id),
  ];
  for (const id of due) {
    await createCallbacks(context, id).catch((error: unknown) =>
      context.log.warn('callback jobs of a batch are left to the loop', { batchId: id, ...describeError(error) }),
    );
  }
  context.notifications.publishFinished(endedIds);
  // Jobs may wait for the end of a batch.
  void context.followUps.dependants.add(endedIds);
  return more;
}

/** @returns whether it has more unfinished jobs */
async function cancelShare(context: Context, id: string, reason: string | null): Promise<boolean> {
  const jobIds = await store.unfinishedJobs(context.db, id, SHARE);
  await cancel(
    context,
    jobIds.map((jobId) => ({ jobId, userId: null, reason: reason ?? 'batch_cancelled' })),
  );
  return jobIds.length === SHARE;
}

/**
 * Advances one page of batches that a crash may have left undone.
 * @param after where the previous page ended; null: start over
 * @returns where this one ended; null: at the end
 */
export async function advanceLeftBehind(context: Context, after: string | null): Promise<string | null> {
  const page = await store.findLeftBehind(context.db, after, PAGE);
  await context.followUps.batches.add(
    page.flatMap(({ id, isCancelling, hasEnded, areCallbacksDue }) =>
      isCancelling || hasEnded || areCallbacksDue ? [id] : [],
    ),
  );
  return page.length < PAGE ? null : (page.at(-1)?.id ?? null);
}

const PAGE = 1000;
