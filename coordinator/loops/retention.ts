import type { Context } from '../context';
import { forgetIdleLanes } from '../domain/jobs/lanes';
import { pruneBatches } from '../domain/batches/prune';
import { pruneWorkflows } from '../domain/workflows/prune';
import { pruneBatch, pruneNamed } from '../domain/retention/prune';
import { Loop } from './loop';

const INTERVAL_MS = 60_000;
/** After a batch it rests for this many times the batch's duration, to keep its share of the database small. */
const REST = 3;
const LEAST_REST_MS = 20;

/**
 * Deletes finished jobs that were kept long enough. Every coordinator runs it; row locks keep the coordinators apart.
 */
export function retentionLoop(context: Context): Loop {
  const loop: Loop = new Loop({
    name: 'retention',
    intervalMs: INTERVAL_MS,
    log: context.log,
    async round() {
      const before = performance.now();
      await pruneNamed(context);
      const hasMore = [await pruneBatch(context), await pruneBatches(context), await pruneWorkflows(context)].includes(
        true,
      );
      if (hasMore) loop.wake(Math.max(LEAST_REST_MS, (performance.now() - before) * REST));
      return false;
    },
  });
  return loop;
}

/** Forgets lanes without ready jobs. */
export function idleLanesLoop(context: Context): Loop {
  return new Loop({
    name: 'forgetting of idle lanes',
    intervalMs: INTERVAL_MS,
    log: context.log,
    async round() {
      await forgetIdleLanes(context);
      return false;
    },
  });
}
