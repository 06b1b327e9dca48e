import type { Context } from '../../context';
import * as store from '../../store/queues';
import { audited } from '../audit/record';
import type { Actor } from '../auth/caller';
import { liftAllHolds } from '../jobs/promotion';

/** Sets a queue's limits; they apply to every job that starts from now on. */
export async function setQueue(
  context: Context,
  by: Actor,
  name: string,
  settings: store.QueueSettings,
): Promise<void> {
  await audited(
    context,
    by,
    (db) => store.set(db, name, settings),
    () => [{ action: 'queue.set', target: name, details: { ...settings } }],
  );
  await announce(context, name);
  if (settings.concurrencyPerKey !== undefined || settings.keyRateLimit !== undefined)
    await liftAllHolds(context, name);
}

/** Pauses a queue: no jobs start, and running ones continue. */
export async function pauseQueue(
  context: Context,
  by: Actor,
  name: string,
  reason: string | null,
  untilAt: string | null,
): Promise<void> {
  await audited(
    context,
    by,
    (db) => store.pause(db, name, by.keyName, reason, untilAt),
    () => [{ action: 'queue.paused', target: name, details: { reason, untilAt } }],
  );
  await announce(context, name);
}

export async function resumeQueue(context: Context, by: Actor, name: string): Promise<void> {
  await audited(
    context,
    by,
    (db) => store.resume(db, name),
    (resumed) => resumed.map(() => ({ action: 'queue.resumed', target: name })),
  );
  await announce(context, name);
}

async function announce(context: Context, name: string): Promise<void> {
  await context.queueSettings.read();
  context.notifications.publishQueues();
  context.notifications.publishFreed([name]);
}
