import type { Context } from '../context';
import { describeError } from '../logger';
import { listen, type Listener, notify } from '../store/listen';
import { Loop } from './loop';

/** At most twenty messages a second: NOTIFY takes a lock that all commits of the database wait for. */
const LEAST_APART_MS = 50;
/** Hints wake it, but not while it fails. */
const INTERVAL_MS = 1000;

/** Tells the other coordinators what was hinted here, outside every transaction that moves a job. */
export function hintsLoop(context: Context): Loop {
  let sentAtMs = -Infinity;
  const loop = new Loop({
    name: 'sending of hints',
    intervalMs: INTERVAL_MS,
    log: context.log,
    async round() {
      const message = context.hints.takeMessage();
      if (message === null) return false;
      sentAtMs = performance.now();
      await notify(context.db, message);
      return false;
    },
  });
  context.hints.on('news', () => loop.wakeUnlessFailing(Math.max(0, sentAtMs + LEAST_APART_MS - performance.now())));
  return loop;
}

/** Hears what the other coordinators hint. */
export function hearHints(context: Context, url: string): Listener {
  context.hints.on('queues', () => {
    context.queues
      .read()
      .catch((error: unknown) => context.log.warn('could not read what is set for queues', describeError(error)));
  });
  return listen(url, {
    message: (payload) => context.hints.hear(payload),
    connect: () => context.hints.giveLost(),
    error: (error) => context.log.warn('cannot listen for hints; polling goes on', describeError(error)),
  });
}
