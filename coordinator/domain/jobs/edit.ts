import type { Labels } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/jobs';
import * as views from '../../store/views/jobs';
import { refusal } from './refusal';

export interface EditItem {
  jobId: string;
  userId: string | null;
  priority?: number | undefined;
  runAt?: string | undefined;
  /** Sets runAt to now. */
  runNow?: boolean | undefined;
  tags?: string[] | undefined;
}

/** blocked, pending -> the same, changed. */
export async function edit(context: Context, item: EditItem): Promise<store.JobRow | BatonError> {
  const before = await views.get(context.db, item.userId, item.jobId);
  if (before === null) return refusal(context, 'edit', item.jobId, item.userId);
  const laneId = item.priority === undefined ? undefined : await laneFor(context, before, item.priority);
  const [job] = await store.edit(context.db, { ...item, laneId });
  if (job === undefined) return refusal(context, 'edit', item.jobId, item.userId);
  context.hints.giveReady([{ laneId: job.laneId, dueInMs: job.runAt.getTime() - job.updatedAt.getTime(), runAtMs: job.runAt.getTime() }]);
  return job;
}

async function laneFor(context: Context, job: store.JobRow, priority: number): Promise<number | undefined> {
  const [lane] = await context.lanes.of([{ queue: job.queue, type: job.type, priority, requires: job.requires as Labels | null }]);
  return lane?.id;
}
