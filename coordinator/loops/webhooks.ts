import type { Context } from '../context';
import type { Deliverer } from '../domain/webhooks/deliverer';
import { tidy } from '../domain/webhooks/disable';
import { fanOut } from '../domain/webhooks/fan-out';
import { Loop } from './loop';

/**
 * The poller of pending work wakes both loops: for events that a coordinator stored but did not turn into deliveries,
 * and for deliveries that become due.
 */
const INTERVAL_MS = 30_000;
/** Events of this coordinator are read this soon, so that one read serves many. */
const TOLD_MS = 20;
const AT_ONCE_MS = 0;
const TIDY_INTERVAL_MS = 30_000;

/** Turns events into deliveries. */
export function outboxLoop(context: Context, deliveries: Loop): Loop {
  // With no webhooks or callbacks, transitions do not wake the loop.
  let hasTakers = false;
  const loop = new Loop({
    name: 'telling of webhooks',
    intervalMs: INTERVAL_MS,
    log: context.log,
    async round() {
      const { made, hasMore, isAwaited } = await fanOut(context);
      hasTakers = isAwaited || made > 0;
      if (made > 0) deliveries.wake(AT_ONCE_MS);
      return hasMore;
    },
  });
  context.events.on(() => {
    if (hasTakers) loop.wake(TOLD_MS);
  });
  return loop;
}

/** Sends deliveries that are due. */
export function deliveryLoop(context: Context, deliverer: Deliverer): Loop {
  return new Loop({
    name: 'sending of deliveries',
    intervalMs: INTERVAL_MS,
    log: context.log,
    round: () => deliverer.round(),
  });
}

/** Ends, deletes and disables webhook data that would otherwise grow without bound. */
export function webhookTidyLoop(context: Context): Loop {
  return new Loop({
    name: 'tidying of webhooks',
    intervalMs: TIDY_INTERVAL_MS,
    log: context.log,
    round: () => tidy(context),
  });
}
