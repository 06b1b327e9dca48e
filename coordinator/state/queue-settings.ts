import type { Db } from '../store/db';
import type { QueueRow } from '../store/queues';
import { settings } from '../store/views/queues';
import type { Defaults } from './defaults';

/**
 * The settings of queues. They may be a moment old: the claim's statement judges pauses and limits itself, this only tells
 * it which queues to lock first.
 */
export class QueueSettings {
  private rows = new Map<string, QueueRow>();
  private isPriced = false;
  private readonly defaults = new Map<string, Defaults>();

  /** @param general what jobs have that leave it out, where their queue sets nothing else */
  constructor(
    private readonly db: Db,
    private readonly general: Defaults,
  ) {}

  async read(): Promise<void> {
    const rows = await settings(this.db);
    this.rows = new Map(rows.map((row) => [row.name, row]));
    this.defaults.clear();
    for (const { name, defaults } of rows)
      if (defaults !== null) this.defaults.set(name, { ...this.general, ...defaults });
    this.isPriced = rows.some((row) => row.costBase !== null);
  }

  get(queue: string): QueueRow | undefined {
    return this.rows.get(queue);
  }

  /** How long the queue's rate limit takes to let one more job start; null: it has none. */
  paceMs(queue: string): number | null {
    const row = this.rows.get(queue);
    return row === undefined || row.rateMax === null || row.ratePerMs === null ? null : row.ratePerMs / row.rateMax;
  }

  /** What jobs of the queue have that leave it out. */
  defaultsOf(queue: string): Defaults {
    return this.defaults.get(queue) ?? this.general;
  }

  /** How many jobs may wait in the queue; null: any number. */
  maxWaiting(queue: string): number | null {
    return this.rows.get(queue)?.maxWaiting ?? null;
  }

  /** Whether it limits how many jobs one user creates. */
  limitsUsers(queue: string): boolean {
    return (this.rows.get(queue)?.userRateMax ?? null) !== null;
  }

  /** Whether any queue has prices, so that the ends of attempts must look for them. */
  hasPrices(): boolean {
    return this.isPriced;
  }

  isLimited(queue: string): boolean {
    const row = this.rows.get(queue);
    return row !== undefined && (row.concurrency !== null || row.concurrencyPerKey !== null || row.rateMax !== null);
  }
}
