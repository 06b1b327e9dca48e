import type { Context } from '../../context';
import * as store from '../../store/jobs';
import * as queues from '../../store/views/queues';
import { removeEnded } from '../../store/bulk';
import { forget } from '../../store/job-types/publish';
import { removeLost } from '../../store/runners';
import * as views from '../../store/views/retention';
import { jobActions, audited } from '../audit/record';
import { requireClient } from '../../store/db';
import type { Actor } from '../auth/caller';
import { settleRemoved } from '../jobs/settle';
import { type Ending, ENDINGS, keepsOf } from './keeping';

const BATCH = 500;

/**
 * completed, failed, cancelled -> removed: one batch of jobs that were kept long enough. Returns whether there may be
 * more.
 */
export async function pruneBatch(context: Context): Promise<boolean> {
  return (await removeBatch(context, await dueKeeps(context))) === BATCH;
}

/** How long runners are listed after their last call, and how many silent ones. */
export const RUNNERS_KEPT = { keepMs: 7 * 86_400_000, most: 10_000 };
/** How long bulk operations are kept after their end. */
export const BULK_KEPT_MS = 30 * 86_400_000;

/** Deletes unused runners, schemas that only they have published, and bulk operations that ended. */
export async function pruneNamed(context: Context): Promise<void> {
  await removeLost(context.db, RUNNERS_KEPT, BATCH);
  await forget(context.db, BATCH);
  await removeEnded(context.db, BULK_KEPT_MS, BATCH);
}

/** Number of jobs that retention would delete now, by outcome. */
export async function countDue(context: Context): Promise<Record<Ending, number>> {
  const counts = await views.countOld(context.db, await dueKeeps(context));
  return {
    completed: 0,
    failed: 0,
    cancelled: 0,
    ...Object.fromEntries(counts.map(({ status, count }) => [status, count])),
  };
}

/**
 * Deletes now, batch by batch, jobs that ended at least `olderThanMs` ago; without it, those that retention would
 * delete. Returns how many.
 * @param signal aborted when the client has disconnected, which ends it after the current batch
 */
export async function removeOlder(
  context: Context,
  by: Actor,
  chosen: { olderThanMs?: number | undefined; status?: Ending[] | undefined; queue?: string[] | undefined },
  signal?: AbortSignal,
): Promise<number> {
  const { olderThanMs, status = ENDINGS, queue } = chosen;
  const due = await dueKeeps(context);
  const keeps = due
    .filter((keep) => status.includes(keep.status) && (queue === undefined || queue.includes(keep.queue)))
    .map((keep) => ({ ...keep, keepMs: olderThanMs ?? keep.keepMs }));
  for (let removed = 0; ;) {
    requireClient(signal);
    const count = await removeBatch(context, keeps, by);
    removed += count;
    if (count < BATCH) return removed;
  }
}

async function dueKeeps(context: Context): Promise<store.Keep[]> {
  const [names, settings] = await Promise.all([views.queueNames(context.db), queues.settings(context.db)]);
  return keepsOf(names, new Map(settings.map((row) => [row.name, row])), context.keepMs);
}

async function removeBatch(context: Context, keeps: store.Keep[], by: Actor | null = null): Promise<number> {
  if (keeps.length === 0) return 0;
  const gone = await audited(
    context,
    by,
    (db) => store.removeOld(db, keeps, BATCH),
    (jobs) => jobActions(['job.deleted', 'jobs.deleted'], jobs),
  );
  await settleRemoved(context, gone);
  return gone.length;
}
