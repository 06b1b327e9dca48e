import type { Db } from '../store/db';
import type { QueueRow } from '../store/queues';
import { settings } from '../store/views/queues';
import type { Defaults } from './defaults';

/**
 * Cached settings of queues. They may be slightly stale: the claim statement checks pauses and limits itself and uses
 * this only to know which queues to lock first.
 */
export class QueueSettings {
  private rows = new Map<string, QueueRow>();
  private isPriced = false;
  private isRatedByKey = false;
  private checking = false;
  private readonly defaults = new Map<string, Defaults>();

  /** @param general defaults of jobs whose queue sets none */
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
    this.checking = rows.some((row) => row.checkArguments);
    this.isPriced = rows.some((row) => row.costBase !== null);
    this.isRatedByKey = rows.some((row) => row.keyRateMax !== null);
  }

  get(queue: string): QueueRow | undefined {
    return this.rows.get(queue);
  }

  /** Milliseconds between two jobs that the queue's rate limit lets start; null: no rate limit. */
  paceMs(queue: string): number | null {
    const row = this.rows.get(queue);
    return row === undefined || row.rateMax === null || row.ratePerMs === null ? null : row.ratePerMs / row.rateMax;
  }

  /** Defaults of the queue's jobs. */
  defaultsOf(queue: string): Defaults {
    return this.defaults.get(queue) ?? this.general;
  }

  /** How many jobs may wait in the queue; null: any number. */
  maxWaiting(queue: string): number | null {
    return this.rows.get(queue)?.maxWaiting ?? null;
  }

  /** Whether the queue limits how many jobs one user creates. */
  limitsUsers(queue: string): boolean {
    return (this.rows.get(queue)?.userRateMax ?? null) !== null;
  }

  /** Whether any queue has prices, which statements that end attempts must then read. */
  hasPrices(): boolean {
    return this.isPriced;
  }

  /** Whether any queue has a rate for each of its keys, whose buckets must then be looked after. */
  hasKeyRates(): boolean {
    return this.isRatedByKey;
  }

  /** Whether any queue holds arguments against schemas. */
  checksAny(): boolean {
    return this.checking;
  }

  checksArguments(queue: string): boolean {
    return this.rows.get(queue)?.checkArguments ?? false;
  }

  isLimited(queue: string): boolean {
    const row = this.rows.get(queue);
    if (row === undefined) return false;
    const { concurrency, concurrencyPerKey, rateMax, keyRateMax } = row;
    return concurrency !== null || concurrencyPerKey !== null || rateMax !== null || keyRateMax !== null;
  }
}
