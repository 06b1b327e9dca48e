import type { Context } from '../context';
import { describeError } from '../logger';
import { listen, type Listener, notify } from '../store/listen';
import { Loop } from './loop';

/** At most twenty messages a second: NOTIFY takes a lock that all commits of the database wait for. */
const LEAST_APART_MS = 50;
/** A new notification wakes the loop, except while sending fails. */
const INTERVAL_MS = 1000;

/** Sends what was published here to the other coordinators, outside every transaction that moves a job. */
export function notificationsLoop(context: Context): Loop {
  let sentAtMs = -Infinity;
  const loop = new Loop({
    name: 'sending of notifications',
    intervalMs: INTERVAL_MS,
    log: context.log,
    async round() {
      const message = context.notifications.takeMessage();
      if (message === null) return false;
      sentAtMs = performance.now();
      await notify(context.db, message);
      return false;
    },
  });
  context.notifications.on('unsent', () =>
    loop.wakeUnlessFailing(Math.max(0, sentAtMs + LEAST_APART_MS - performance.now())),
  );
  return loop;
}

/** Receives what the other coordinators publish. */
export function receiveNotifications(context: Context, url: string, version: string): Listener {
  context.notifications.on('queues', () => {
    context.queueSettings
      .read()
      .catch((error: unknown) => context.log.warn('could not read the settings of queues', describeError(error)));
  });
  return listen(url, version, {
    message: (payload) => context.notifications.receive(payload),
    connect: () => context.notifications.resync(),
    error: (error) => context.log.warn('cannot listen for notifications; polling goes on', describeError(error)),
  });
}
