import type { Context } from '../context';
import { EVENT_KEEP_MS, EVENT_MOST_KEPT_MS } from '../domain/events/stream';
import { prune } from '../store/events';
import { Loop } from './loop';

/** How soon events of other coordinators are seen. */
const INTERVAL_MS = 250;
/** Events of this coordinator are read this soon, so that one read serves many. */
const TOLD_MS = 10;
const PRUNE_INTERVAL_MS = 30_000;
const PRUNE_BATCH = 5000;

/** Serves listeners of events. */
export function eventsLoop(context: Context): Loop {
  const loop = new Loop({
    name: 'serving of events',
    intervalMs: INTERVAL_MS,
    log: context.log,
    round: () => context.stream.round(),
  });
  context.events.on(() => {
    if (context.stream.listeners > 0) loop.wake(TOLD_MS);
  });
  return loop;
}

/** Deletes events that no listener can resume from, and that webhooks have been given. */
export function eventPruneLoop(context: Context): Loop {
  return new Loop({
    name: 'deleting of old events',
    intervalMs: PRUNE_INTERVAL_MS,
    log: context.log,
    round: async () =>
      (await prune(context.db, { keepMs: EVENT_KEEP_MS, mostMs: EVENT_MOST_KEPT_MS }, PRUNE_BATCH)) === PRUNE_BATCH,
  });
}
