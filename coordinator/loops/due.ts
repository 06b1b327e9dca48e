import type { Context } from '../context';
import { liftAllHolds, liftOrders, liftRefilled, promoteDueJobs, removeBuckets } from '../domain/jobs/promotion';
import { Loop } from './loop';

const INTERVAL_MS = 1000;
/** Held jobs are checked every so many rounds: the end of what holds them lifts the hold, unless it was interrupted. */
const ROUNDS = 5;

/** Promotes jobs that become due, at the exact moment when it is known here. */
export function dueLoop(context: Context): Loop {
  let round = 0;
  const loop = new Loop({
    name: 'placing of due jobs',
    intervalMs: INTERVAL_MS,
    log: context.log,
    async round() {
      await promoteDueJobs(context);
      await liftRefilled(context);
      if (round++ % ROUNDS === 0) {
        await liftAllHolds(context);
        await removeBuckets(context);
      }
      return false;
    },
  });
  context.notifications.on('due', (inMs) => loop.wake(inMs));
  context.notifications.on('orders', (orders) => void liftOrders(context, orders));
  return loop;
}
