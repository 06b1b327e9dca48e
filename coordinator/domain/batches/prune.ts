import type { Context } from '../../context';
import * as store from '../../store/batches/batch';
import { removeOfBatches } from '../../store/jobs';
import { settleRemoved } from '../jobs/settle';

/** So many batches, and so many jobs of them, go at once. */
const MOST_BATCHES = 200;
const MOST_JOBS = 500;

/**
 * Batches that ended long enough ago -> gone, with their jobs: some of the jobs first, and a batch when it has none left.
 * Returns whether there may be more.
 */
export async function pruneBatches(context: Context): Promise<boolean> {
  const ids = await store.findOldBatches(context.db, context.keepMs, MOST_BATCHES);
  if (ids.length === 0) return false;
  const gone = await removeOfBatches(context.db, ids, MOST_JOBS);
  await settleRemoved(context, gone);
  if (gone.length === MOST_JOBS) return true;
  return (await store.removeEmptyBatches(context.db, ids)) > 0 && ids.length === MOST_BATCHES;
}
