import type { Db } from '../../store/db';
import * as store from '../../store/rollups/count';

/**
 * The longest time from the start of one of our transactions, which is the time that it gives to what it ends, to its
 * first write: it may idle 15 s, and its first statement may take 30 s.
 */
const GRACE_MS = 60_000;

/**
 * Finds the time before which nothing can end any more. What ends is stamped with the start of its transaction, and is
 * visible when that commits, however much later. Each advance remembers the time, and the transactions that had begun
 * to write by then. Once those have all ended, everything that is still to come is stamped with that time, less the
 * grace, or later.
 */
export class Watermark {
  private pending: store.TransactionHorizon | null = null;
  private until: string | null = null;

  constructor(private readonly graceMs: number = GRACE_MS) {}

  /** Reads the state again. Returns the time as text; null: not known yet. */
  async advance(db: Db): Promise<string | null> {
    const seen = await store.readHorizon(db);
    const { pending } = this;
    // After a failover, or on another database, transaction ids may start again.
    const isStale = pending !== null && pending.next > seen.next;
    if (pending !== null && !isStale && seen.oldest >= pending.next)
      this.until = await store.before(db, pending.at, this.graceMs);
    if (pending === null || isStale || seen.oldest >= pending.next) this.pending = seen;
    return this.until;
  }
}
