import type { Context } from '../../context';
import * as store from '../../store/queues';
import type { Caller } from '../auth/caller';
import { freeHeld } from '../jobs/waiting';

/** Sets a queue's limits; they hold for every job that starts from now on. */
export async function setQueue(context: Context, name: string, settings: store.QueueSettings): Promise<void> {
  await store.set(context.db, name, settings);
  await announce(context, name);
  if (settings.concurrencyPerKey !== undefined) await freeHeld(context, name);
}

/** A paused queue gives out nothing; what runs goes on. */
export async function pauseQueue(context: Context, caller: Caller, name: string, reason: string | null, untilAt: string | null): Promise<void> {
  await store.pause(context.db, name, caller.name, reason, untilAt);
  await announce(context, name);
}

export async function resumeQueue(context: Context, name: string): Promise<void> {
  await store.resume(context.db, name);
  await announce(context, name);
}

async function announce(context: Context, name: string): Promise<void> {
  await context.queues.read();
  context.hints.giveQueues();
  context.hints.giveFreed([name]);
}
