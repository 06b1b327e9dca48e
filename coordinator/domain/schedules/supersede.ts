import type { Context } from '../../context';
import * as store from '../../store/schedules/rows';
import { cancel } from '../jobs/cancel';

const BATCH = 1000;

/**
 * Cancels jobs that a later job of their schedule replaces. The cancellation is stored with the later job, so jobs that
 * a crash left are cancelled by the next round, on whichever coordinator.
 * @returns whether there may be more
 */
export async function cancelSuperseded(context: Context): Promise<boolean> {
  const found = await store.superseded(context.db, BATCH);
  const cancels = found.flatMap(({ jobId }) => (jobId === null ? [] : [{ jobId, userId: null, reason: 'superseded' }]));
  if (cancels.length > 0) await cancel(context, cancels);
  // A full batch may have left some.
  if (found.length === BATCH) return true;
  await store.settleSuperseded(context.db, found);
  return false;
}
