import type { Context } from '../../context';
import { type BatonError } from '../../errors';
import * as store from '../../store/jobs';
import { refusal } from './refusal';
import { freed } from './waiting';

/** completed, failed, cancelled -> gone, with their attempts and logs. Returns what is gone. */
export async function remove(context: Context, jobIds: string[]): Promise<{ id: string }[]> {
  const gone = await store.remove(context.db, jobIds);
  // A failed job may have blocked those behind it in its order.
  await freed(context, gone);
  return gone;
}

/** Why one job was not removed; null when it was. */
export async function removeOne(context: Context, jobId: string): Promise<BatonError | null> {
  const gone = await remove(context, [jobId]);
  return gone.length === 0 ? refusal(context, 'remove', jobId, null) : null;
}
