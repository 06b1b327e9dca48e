import type { Context } from '../context';
import { evaluate } from '../domain/alerts/evaluate';
import { Loop } from './loop';

/** Woken by the poller of pending work. */
const INTERVAL_MS = 30_000;
/** How often each rule is evaluated, by any coordinator. */
export const ALERTS_EVERY_MS = 5000;

export function alertsLoop(context: Context): Loop {
  return new Loop({
    name: 'alerts',
    intervalMs: INTERVAL_MS,
    log: context.log,
    round: () => evaluate(context, ALERTS_EVERY_MS),
  });
}
