import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as views from '../../store/views/jobs';
import { allowedFrom, type Verb } from './transitions';

/** Why a verb moved nothing: the job does not exist (for this user), or its status does not allow the verb. */
export async function refusal(context: Context, verb: Verb, jobId: string, userId: string | null): Promise<BatonError> {
  const job = await views.get(context.db, userId, jobId);
  if (job === null) return new BatonError('not_found', `There is no job with id ${jobId}.`);
  const allowed = allowedFrom(verb).join(', ');
  return new BatonError('state_conflict', `The job is ${job.status}; ${verb} is for jobs that are ${allowed}.`);
}
