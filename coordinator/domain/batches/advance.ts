import type { Context } from '../../context';
import { describeError } from '../../logger';
import * as store from '../../store/batches/end';
import { cancel } from '../jobs/cancel';
import { createCallbacks } from './callbacks';

/** So many jobs of a cancelled batch are cancelled at once. */
const SHARE = 500;

/**
 * Does what there is to do for these batches: cancels what is left of those that were cancelled, ends those of which all jobs
 * have finished, and creates their callback jobs. All of it is read from the rows, so that it may be done again.
 * @returns those of which there is more to do
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
  // Jobs may have released themselves until it ends.
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
 * One page of what a crash may have left undone.
 * @param after where the page before ended; null: at the beginning
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
