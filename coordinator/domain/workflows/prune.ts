import type { Context } from '../../context';
import { removeOfWorkflow, type Removed } from '../../store/jobs';
import { findOldWorkflows, lockWhole, removeWorkflow } from '../../store/workflows/prune';
import { settleRemoved } from '../jobs/settle';

const MOST_WORKFLOWS = 50;
const MOST_JOBS = 500;

/**
 * Deletes workflows that ended long enough ago, each whole, in a transaction of its own. Returns whether there may be
 * more.
 */
export async function pruneWorkflows(context: Context): Promise<boolean> {
  const ids = await findOldWorkflows(context.db, context.keepMs, MOST_WORKFLOWS);
  let removed = 0;
  for (const id of ids) {
    const gone = await removeWhole(context, id);
    if (gone === null) continue;
    removed += 1;
    await settleRemoved(context, gone);
  }
  return ids.length === MOST_WORKFLOWS && removed > 0;
}

async function removeWhole(context: Context, id: string): Promise<Removed[] | null> {
  const kept = new Error('the workflow is needed again');
  try {
    return await context.db.transaction(async (transaction) => {
      const jobIds = await lockWhole(transaction, id);
      if (jobIds === null) return null;
      const gone: Removed[] = [];
      for (let from = 0; from < jobIds.length; from += MOST_JOBS)
        gone.push(...(await removeOfWorkflow(transaction, jobIds.slice(from, from + MOST_JOBS))));
      // All of it, or nothing.
      if (!(await removeWorkflow(transaction, id))) throw kept;
      return gone;
    });
  } catch (error) {
    if (error === kept) return null;
    throw error;
  }
}
