import type { Context } from '../context';
import { fire } from '../domain/schedules/fire';
import { prune } from '../store/schedules/ticks';
import { outlook } from '../store/schedules/rows';
import { Loop } from './loop';

/** It sleeps until the next tick. Changes of schedules wake it, and so does the poller of pending work. */
const INTERVAL_MS = 30_000;
/** How soon to check again ticks that another coordinator is firing at this moment. */
const LOCKED_MS = 50;
/** How soon after a job has finished the ticks that wait for its end are checked; one check serves many ends. */
const FINISHED_MS = 50;
const PRUNE_INTERVAL_MS = 60_000;
const PRUNE_BATCH = 5000;

/** Fires the ticks of schedules. Every coordinator runs it; row locks keep the coordinators apart. */
export function schedulesLoop(context: Context): Loop {
  let hasBuffered = false;
  const loop: Loop = new Loop({
    name: 'firing of schedules',
    intervalMs: INTERVAL_MS,
    log: context.log,
    async round() {
      if (await fire(context)) return true;
      const next = await outlook(context.db);
      ({ hasBuffered } = next);
      if (next.dueInMs !== null) loop.wake(next.dueInMs <= 0 ? LOCKED_MS : Math.ceil(next.dueInMs));
      return false;
    },
  });
  const finished = (): void => {
    if (hasBuffered) loop.wakeUnlessFailing(FINISHED_MS);
  };
  context.notifications.on('scheduled', (inMs) => loop.wakeUnlessFailing(inMs));
  context.notifications.on('finished', finished);
  context.notifications.on('finishedMany', finished);
  return loop;
}

/** Deletes old entries of schedules' histories. */
export function tickPruneLoop(context: Context): Loop {
  return new Loop({
    name: 'deleting of old ticks',
    intervalMs: PRUNE_INTERVAL_MS,
    log: context.log,
    round: async () => (await prune(context.db, PRUNE_BATCH)) === PRUNE_BATCH,
  });
}
