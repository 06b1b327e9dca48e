import type { Db } from '../../store/db';
import * as store from '../../store/rollups/count';

/**
 * How long at most a transaction of ours takes from its beginning, which is the time it gives to what it ends, until it
 * first writes: it may idle 15 s, and its first statement may take 30 s.
 */
const GRACE_MS = 60_000;

/**
 * Finds the time before which nothing can end any more. What ends carries the time at which its transaction began, and is
 * seen when that commits, however much later. A advance remembers the time, and the transactions that had begun to write by
 * then; once all those have ended, and the grace is taken off, the rest of them can only lie after it.
 */
export class Watermark {
  private pending: store.TransactionHorizon | null = null;
  private until: string | null = null;

  constructor(private readonly graceMs: number = GRACE_MS) {}

  /** Looks again. Returns the time as text, as far as it is known; null: not yet. */
  async advance(db: Db): Promise<string | null> {
    const seen = await store.readHorizon(db);
    const { pending } = this;
    // After a failover, or on another database, numbers of transactions may begin anew.
    const isStale = pending !== null && pending.next > seen.next;
    if (pending !== null && !isStale && seen.oldest >= pending.next)
      this.until = await store.before(db, pending.at, this.graceMs);
    if (pending === null || isStale || seen.oldest >= pending.next) this.pending = seen;
    return this.until;
  }
}
