import type { Context } from '../../context';
import * as store from '../../store/jobs';
import * as queues from '../../store/queues';
import * as views from '../../store/views/retention';
import { jobDeeds, recorded } from '../audit/record';
import type { Actor } from '../auth/caller';
import { freed } from '../jobs/waiting';
import { type Ending, ENDINGS, keepsOf } from './keeping';

const BATCH = 500;

/** completed, failed, cancelled -> gone: one batch of what was kept long enough. Returns whether there may be more. */
export async function pruneBatch(context: Context): Promise<boolean> {
  return (await removeBatch(context, await dueKeeps(context))) === BATCH;
}

/** How many jobs retention would delete by now, by how they ended. */
export async function countDue(context: Context): Promise<Record<Ending, number>> {
  const counts = await views.countOld(context.db, await dueKeeps(context));
  return {
    completed: 0,
    failed: 0,
    cancelled: 0,
    ...Object.fromEntries(counts.map(({ status, count }) => [status, count])),
  };
}

/** Deletes at once, batch by batch, what ended so long ago; without `olderThanMs` what retention would. Returns how many. */
export async function removeOlder(
  context: Context,
  by: Actor,
  chosen: { olderThanMs?: number | undefined; status?: Ending[] | undefined; queue?: string[] | undefined },
): Promise<number> {
  const { olderThanMs, status = ENDINGS, queue } = chosen;
  const due = await dueKeeps(context);
  const keeps = due
    .filter((keep) => status.includes(keep.status) && (queue === undefined || queue.includes(keep.queue)))
    .map((keep) => ({ ...keep, keepMs: olderThanMs ?? keep.keepMs }));
  for (let removed = 0; ;) {
    const count = await removeBatch(context, keeps, by);
    removed += count;
    if (count < BATCH) return removed;
  }
}

async function dueKeeps(context: Context): Promise<store.Keep[]> {
  const [names, settings] = await Promise.all([views.queueNames(context.db), queues.list(context.db)]);
  return keepsOf(names, new Map(settings.map((row) => [row.name, row])), context.keepMs);
}

async function removeBatch(context: Context, keeps: store.Keep[], by: Actor | null = null): Promise<number> {
  if (keeps.length === 0) return 0;
  const gone = await recorded(
    context,
    by,
    (db) => store.removeOld(db, keeps, BATCH),
    (jobs) => jobDeeds(['job.deleted', 'jobs.deleted'], jobs),
  );
  await freed(context, gone);
  return gone.length;
}
