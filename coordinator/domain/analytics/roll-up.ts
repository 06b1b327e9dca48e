import type { Context } from '../../context';
import * as store from '../../store/rollups/count';

/** Approximate number of ends counted in one transaction. */
const MOST_FACTS = 20_000;
const PRUNE_BATCH = 5000;
const HOUR_MS = 3_600_000;
/** Longer than the longest range that is read from them. */
const KEEP_MINUTES_MS = 3 * HOUR_MS;
const KEEP_HOURS_MS = 8 * 24 * HOUR_MS;

/**
 * Counts the next slice of what ended before `countableUntil`. One coordinator counts at a time; a killed one leaves
 * everything unchanged.
 * @returns whether there is more
 */
export function rollUp(context: Context, countableUntil: string): Promise<boolean> {
  return context.db.transaction(async (transaction) => {
    if (!(await store.lockProgress(transaction))) return false;
    const slice = await store.nextSlice(transaction, countableUntil, MOST_FACTS);
    if (slice === null) return false;
    await store.count(transaction, slice.until);
    return !slice.isLast;
  });
}

/** Deletes a batch of rollups older than any range. Returns whether there may be more. */
export function pruneRollups(context: Context): Promise<boolean> {
  const keep = context.keepMetricsMs;
  return store.prune(
    context.db,
    { minute: Math.min(keep, KEEP_MINUTES_MS), hour: Math.min(keep, KEEP_HOURS_MS), day: keep },
    PRUNE_BATCH,
  );
}
