import type { Context } from '../context';
import { look, type Sighted } from '../store/lookout';
import { ALERTS_EVERY_MS } from './alerts';
import { Loop } from './loop';

const INTERVAL_MS = 1000;

/** What it wakes. These run by themselves too, but seldom. */
export type Woken = Record<'bulk' | 'alerts' | 'outbox' | 'deliveries', Loop>;

/** Looks once a second, in one statement, which work waits in the tables, and wakes the loops that do it. */
export function lookoutLoop(context: Context, loops: Woken): Loop {
  let wasAwaited = false;
  return new Loop({
    name: 'look at what waits in the tables',
    intervalMs: INTERVAL_MS,
    log: context.log,
    async round() {
      try {
        const sighted = await look(context.db, ALERTS_EVERY_MS);
        wake(busy(loops, sighted, sighted.isAwaited !== wasAwaited));
        wasAwaited = sighted.isAwaited;
      } catch (error) {
        // It may be one table alone that cannot be asked.
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

function* busy(loops: Woken, sighted: Sighted, hasAwaitingChanged: boolean): Generator<Loop> {
  if (sighted.hasBulk) yield loops.bulk;
  if (sighted.hasDueAlerts) yield loops.alerts;
  // It learns from its own look whether anybody waits for what it is told of.
  if (sighted.hasNews || hasAwaitingChanged) yield loops.outbox;
  if (sighted.hasDeliveries) yield loops.deliveries;
}
