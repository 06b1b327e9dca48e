import type { Context } from '../context';
import { findPendingWork, type PendingWork } from '../store/pending-work';
import { ALERTS_EVERY_MS } from './alerts';
import { Loop } from './loop';

const INTERVAL_MS = 1000;

/** The loops that it wakes. They also run on their own, but seldom. */
export type Woken = Record<'bulk' | 'settle' | 'alerts' | 'schedules' | 'outbox' | 'deliveries', Loop>;

/** Finds out once a second, in one statement, which tables have pending work, and wakes the loops that do it. */
export function pendingWorkLoop(context: Context, loops: Woken): Loop {
  let wasAwaited = false;
  return new Loop({
    name: 'poller of pending work',
    intervalMs: INTERVAL_MS,
    log: context.log,
    async round() {
      try {
        const pending = await findPendingWork(context.db, ALERTS_EVERY_MS);
        wake(busy(loops, pending, pending.isAwaited !== wasAwaited));
        wasAwaited = pending.isAwaited;
      } catch (error) {
        // Perhaps only one of the tables cannot be read, so every loop tries its own.
        wake(Object.values(loops));
        throw error;
      }
      return false;
    },
  });
}

function wake(loops: Iterable<Loop>): void {
  for (const loop of loops) loop.wakeUnlessFailing(0);
}

function* busy(loops: Woken, pending: PendingWork, hasAwaitingChanged: boolean): Generator<Loop> {
  if (pending.hasBulk) yield loops.bulk;
  if (pending.hasDependencies) yield loops.settle;
  if (pending.hasDueAlerts) yield loops.alerts;
  if (pending.hasDueSchedules) yield loops.schedules;
  // The outbox loop reads itself whether any webhook or callback waits for these events.
  if (pending.hasNews || hasAwaitingChanged) yield loops.outbox;
  if (pending.hasDeliveries) yield loops.deliveries;
}
