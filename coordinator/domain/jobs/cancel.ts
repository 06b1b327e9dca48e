import type { Context } from '../../context';
import { type BatonError } from '../../errors';
import * as store from '../../store/jobs';
import { jobEvent } from '../events/events';
import { refusal } from './refusal';
import { freed } from './waiting';

/** blocked, pending, running -> cancelled. A running job's runner hears it on its next call. */
export async function cancel(context: Context, items: store.Cancel[]): Promise<(store.JobRow | BatonError)[]> {
  const moved = await store.cancel(context.db, items);
  await announceCancelled(context, moved);
  const byId = new Map(moved.map((job) => [job.id, job]));
  return Promise.all(items.map(async (item) => byId.get(item.jobId) ?? refusal(context, 'cancel', item.jobId, item.userId)));
}

export async function announceCancelled(context: Context, moved: store.JobRow[]): Promise<void> {
  context.hints.giveFinished(moved.map((job) => job.id));
  context.events.tell(moved.map((job) => jobEvent('job.cancelled', job)));
  await freed(context, moved);
}
