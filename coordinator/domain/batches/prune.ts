import type { Context } from '../../context';
import * as store from '../../store/batches/batch';
import { removeOfBatches } from '../../store/jobs';
import { settleRemoved } from '../jobs/settle';

/** Batches, and jobs of them, that are deleted at once. */
const MOST_BATCHES = 200;
const MOST_JOBS = 500;

/**
 * Deletes batches that ended long enough ago, with their jobs: some of the jobs first, and a batch when it has none
 * left. Returns whether there may be more.
 */
export async function pruneBatches(context: Context): Promise<boolean> {
  const ids = await store.findOldBatches(context.db, context.keepMs, MOST_BATCHES);
  if (ids.length === 0) return false;
  const gone = await removeOfBatches(context.db, ids, MOST_JOBS);
  await settleRemoved(context, gone);
  if (gone.length === MOST_JOBS) return true;
  return (await store.removeEmptyBatches(context.db, ids)) > 0 && ids.length === MOST_BATCHES;
}
