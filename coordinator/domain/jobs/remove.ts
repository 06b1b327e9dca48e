import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/jobs';
import * as views from '../../store/views/jobs';
import { jobActions, audited } from '../audit/record';
import type { Actor } from '../auth/caller';
import { refusal } from './refusal';
import { settleRemoved } from './settle';
import { isFinished } from './transitions';

/**
 * completed, failed, cancelled -> removed, with their attempts and logs. Returns the removed jobs. Jobs that something
 * unfinished needs stay: parents of unfinished jobs, and jobs of workflows and batches that have not ended.
 */
export async function remove(context: Context, jobIds: string[], by: Actor | null = null): Promise<{ id: string }[]> {
  return removeThose(context, jobIds, by, false);
}

/** Removes one job, even when unfinished jobs depend on it. Returns why it was not removed; null when it was. */
export async function removeOne(context: Context, jobId: string, by: Actor | null = null): Promise<BatonError | null> {
  if ((await removeThose(context, [jobId], by, true)).length > 0) return null;
  // Its end may not have been passed on to its children yet.
  await context.followUps.dependants.add([jobId]);
  if ((await removeThose(context, [jobId], by, true)).length > 0) return null;
  const job = await views.get(context.db, null, jobId);
  if (job === null || !isFinished(job.status)) return refusal(context, 'remove', jobId, null);
  return new BatonError('state_conflict', whyItStays(job));
}

function whyItStays({ workflowId, batchId }: store.JobRow): string {
  const [kind, id] = workflowId === null ? ['batch', batchId] : ['workflow', workflowId];
  return id === null
    ? 'Jobs that depend on it are being told that it has ended; try again.'
    : `It belongs to the ${kind} ${id}, which has not ended; delete it afterwards, or cancel the ${kind}.`;
}

async function removeThose(
  context: Context,
  jobIds: string[],
  by: Actor | null,
  named: boolean,
): Promise<{ id: string }[]> {
  const gone = await audited(
    context,
    by,
    (db) => store.remove(db, jobIds, named),
    (jobs) => jobActions(['job.deleted', 'jobs.deleted'], jobs),
  );
  await settleRemoved(context, gone);
  return gone;
}
