import type { Context } from '../../context';
import * as store from '../../store/schedules/rows';
import { cancel } from '../jobs/cancel';

const BATCH = 1000;

/**
 * Cancels jobs that a later one of their schedule took the place of. That they are to be cancelled is stored with the
 * later one; so those that a crash left are cancelled by the next round, on whichever coordinator.
 * @returns whether there may be more
 */
export async function cancelSuperseded(context: Context): Promise<boolean> {
  const found = await store.superseded(context.db, BATCH);
  const cancels = found.flatMap(({ jobId }) => (jobId === null ? [] : [{ jobId, userId: null, reason: 'superseded' }]));
  if (cancels.length > 0) await cancel(context, cancels);
  // Of what a full batch cut off, some may be left.
  if (found.length === BATCH) return true;
  await store.settleSuperseded(context.db, found);
  return false;
}
