import type { Context } from '../context';
import { workOnNext } from '../domain/bulk/bulk-operation';
import { Loop } from './loop';

/** Woken by the poller of pending work. */
const INTERVAL_MS = 30_000;

/** Runs bulk operations that were requested in the background. */
export function bulkLoop(context: Context): Loop {
  const postponed = new Map<string, number>();
  return new Loop({
    name: 'work on bulk operations',
    intervalMs: INTERVAL_MS,
    log: context.log,
    round: () => workOnNext(context, postponed),
  });
}
