import type { Context } from '../../context';
import { type BatonError } from '../../errors';
import * as store from '../../store/jobs';
import { jobActions, audited } from '../audit/record';
import type { Actor } from '../auth/caller';
import { jobEvent } from '../events/events';
import { refusal } from './refusal';
import { settle } from './settle';

/**
 * blocked, pending, running -> cancelled. The runner of a running job is told at once if its heartbeat waits, otherwise
 * on its next call.
 * @param by who cancels by hand, for the audit log; null: not by hand
 */
export async function cancel(
  context: Context,
  items: store.Cancel[],
  by: Actor | null = null,
): Promise<(store.JobRow | BatonError)[]> {
  const reason = items[0]?.reason ?? null;
  const moved = await audited(
    context,
    by,
    (db) => store.cancel(db, items, context.queueSettings.hasPrices()),
    (jobs) => jobActions(['job.cancelled', 'jobs.cancelled'], jobs, { reason }),
  );
  interruptRunners(context, moved);
  await announceCancelled(context, moved);
  const byId = new Map(moved.map((job) => [job.id, job]));
  return Promise.all(
    items.map(async (item) => byId.get(item.jobId) ?? refusal(context, 'cancel', item.jobId, item.userId)),
  );
}

/** Runners of these that ran hear it at once. */
export function interruptRunners(context: Context, moved: (store.JobRow & { was: store.JobRow['status'] })[]): void {
  context.notifications.publishCancelled(
    moved.flatMap(({ id, was, runnerId }) => (was === 'running' && runnerId !== null ? [{ jobId: id, runnerId }] : [])),
  );
}

export async function announceCancelled(context: Context, moved: store.JobRow[]): Promise<void> {
  context.events.tell(moved.map((job) => jobEvent('job.cancelled', job)));
  await settle(context, moved);
}
