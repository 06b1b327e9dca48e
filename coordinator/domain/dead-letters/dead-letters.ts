import type { Json } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import type { JobRow } from '../../store/jobs';
import * as views from '../../store/views/jobs';
import type { Actor } from '../auth/caller';
import { requireSize } from '../jobs/payload-size';
import { removeOne as removeJob } from '../jobs/remove';
import { retryByHand } from '../jobs/retry-by-hand';

/**
 * A failed job.
 * @throws {BatonError} `not_found` when there is none with this id
 */
export async function find(context: Context, userId: string | null, jobId: string): Promise<JobRow> {
  const job = await views.get(context.db, userId, jobId);
  if (job?.status !== 'failed') throw new BatonError('not_found', `There is no dead letter with id ${jobId}.`);
  return job;
}

/** failed -> pending, with other arguments if they are sent. */
export async function retryOne(
  context: Context,
  userId: string | null,
  jobId: string,
  edited: Json | undefined,
  by: Actor,
): Promise<JobRow | BatonError> {
  const tooLarge = requireSize(edited, 'arguments', context.maxPayloadBytes);
  if (tooLarge !== null) return tooLarge;
  await find(context, userId, jobId);
  const changed = edited === undefined ? {} : { arguments: JSON.stringify(edited) };
  const [outcome] = await retryByHand(context, [{ jobId, userId, ...changed }], by);
  return outcome ?? new BatonError('internal', 'The call was not answered.');
}

/** failed -> removed. */
export async function removeOne(context: Context, jobId: string, by: Actor): Promise<void> {
  await find(context, null, jobId);
  const refused = await removeJob(context, jobId, by);
  if (refused !== null) throw refused;
}
