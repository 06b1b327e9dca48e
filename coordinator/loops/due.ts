import type { Context } from '../context';
import { liftAllHolds, liftOrders, promoteDueJobs } from '../domain/jobs/promotion';
import { Loop } from './loop';

const INTERVAL_MS = 1000;
/** Held jobs are looked at every so many rounds: what holds them frees them itself, unless it was cut off. */
const ROUNDS = 5;

/** Gives jobs whose time has come their place in the order, on the moment when it is known here. */
export function dueLoop(context: Context): Loop {
  let round = 0;
  const loop = new Loop({
    name: 'placing of due jobs',
    intervalMs: INTERVAL_MS,
    log: context.log,
    async round() {
      await promoteDueJobs(context);
      if (round++ % ROUNDS === 0) await liftAllHolds(context);
      return false;
    },
  });
  context.notifications.on('due', (inMs) => loop.wake(inMs));
  context.notifications.on('orders', (orders) => void liftOrders(context, orders));
  return loop;
}
