/** Timeouts are grouped by end time into intervals of this length. */
const INTERVAL_MS = 100;

/**
 * Timeouts that end together. Thousands of separate ones would wake an idle process as often, and took a third of its
 * time (decision 0024). So a wait ends up to one period and one interval early, together with all that would end before
 * the next round.
 */
export class SharedTimeouts<Waiter> {
  private readonly intervals = new Map<number, Set<Waiter>>();

  /** @param periodMs time between two calls of `takeExpired` */
  constructor(private readonly periodMs: number) {}

  /** @returns the set that the waiter is in; to cancel, delete the waiter from it */
  add(waiter: Waiter, waitMs: number): Set<Waiter> {
    const interval = intervalAt(performance.now() + waitMs);
    let waiters = this.intervals.get(interval);
    if (waiters === undefined) this.intervals.set(interval, (waiters = new Set()));
    return waiters.add(waiter);
  }

  /** Those that would end before the next round, or in the interval in which it falls. */
  takeExpired(): Waiter[] {
    const last = intervalAt(performance.now() + this.periodMs);
    const expired: Waiter[] = [];
    for (const [interval, waiters] of this.intervals) {
      if (interval > last) continue;
      for (const waiter of waiters) expired.push(waiter);
      this.intervals.delete(interval);
    }
    return expired;
  }
}

function intervalAt(ms: number): number {
  return Math.floor(ms / INTERVAL_MS);
}
