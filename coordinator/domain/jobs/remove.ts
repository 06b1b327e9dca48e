import type { Context } from '../../context';
import { type BatonError } from '../../errors';
import * as store from '../../store/jobs';
import { jobActions, audited } from '../audit/record';
import type { Actor } from '../auth/caller';
import { refusal } from './refusal';
import { releaseConcurrency } from './promotion';

/** completed, failed, cancelled -> gone, with their attempts and logs. Returns what is gone. */
export async function remove(context: Context, jobIds: string[], by: Actor | null = null): Promise<{ id: string }[]> {
  const gone = await audited(
    context,
    by,
    (db) => store.remove(db, jobIds),
    (jobs) => jobActions(['job.deleted', 'jobs.deleted'], jobs),
  );
  // A failed job may have blocked those behind it in its order.
  await releaseConcurrency(context, gone);
  return gone;
}

/** Why one job was not removed; null when it was. */
export async function removeOne(context: Context, jobId: string, by: Actor | null = null): Promise<BatonError | null> {
  const gone = await remove(context, [jobId], by);
  return gone.length === 0 ? refusal(context, 'remove', jobId, null) : null;
}
