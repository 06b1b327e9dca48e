import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/jobs';
import { refusal } from './refusal';

/** completed, failed, cancelled -> gone, with its attempts and logs. */
export async function remove(context: Context, jobId: string): Promise<BatonError | null> {
  const gone = await store.remove(context.db, jobId);
  return gone.length === 0 ? refusal(context, 'remove', jobId, null) : null;
}
