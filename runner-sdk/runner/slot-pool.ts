import { ConfigurationError } from '../transport/errors';

export type Concurrency = number | { min?: number; max: number };

/** With more lag than this the event loop is unhealthy: the pool gets no more slots, and loses some. */
const UNHEALTHY_LAG_MS = 100;
const IDLE_MS = 10_000;

/**
 * Number of jobs that run at once. Starts at `min`; doubles when a claim fills every slot while the event loop is
 * healthy; shrinks by a quarter while the loop lags, and to what was needed when slots were idle for 10 s. Pure: time
 * is an argument.
 */
export class SlotPool {
  readonly min: number;
  readonly max: number;
  private slots: number;
  private busySlots = 0;
  private reservedSlots = 0;
  private peakBusy = 0;
  private peakSinceMs: number | null = null;
  private isHealthy = true;

  constructor(concurrency: Concurrency = { min: 1, max: 10 }) {
    const max = typeof concurrency === 'number' ? concurrency : concurrency.max;
    const min = typeof concurrency === 'number' ? concurrency : (concurrency.min ?? 1);
    if (!Number.isInteger(min) || !Number.isInteger(max) || min < 1 || max < min || max > 10_000) {
      throw new ConfigurationError(
        `concurrency must be a whole number, or {min, max} with 1 <= min <= max <= 10000; it is ${JSON.stringify(concurrency)}`,
      );
    }
    this.min = min;
    this.max = max;
    this.slots = min;
  }

  get size(): number {
    return this.slots;
  }

  get busy(): number {
    return this.busySlots;
  }

  /** Slots that may be claimed for now. */
  get free(): number {
    return Math.max(0, this.slots - this.busySlots - this.reservedSlots);
  }

  /** Reserves slots for a claim in flight. */
  reserve(count: number): void {
    this.reservedSlots += count;
  }

  /** The claim has ended: `taken` of the slots it `asked` for are busy now. */
  settle(asked: number, taken: number): void {
    this.reservedSlots -= asked;
    this.busySlots += taken;
    this.peakBusy = Math.max(this.peakBusy, this.busySlots);
    const isFull = taken === asked && asked > 0 && this.free === 0;
    if (isFull && this.isHealthy) this.slots = Math.min(this.max, this.slots * 2);
  }

  /** A job's handler has returned. */
  leave(): void {
    this.busySlots -= 1;
  }

  /** Call it regularly with the lag of the event loop. */
  tick(lagMs: number, nowMs: number): void {
    this.isHealthy = lagMs < UNHEALTHY_LAG_MS;
    if (!this.isHealthy) this.slots = Math.max(this.min, Math.floor(this.slots * 0.75));
    this.peakSinceMs ??= nowMs;
    if (nowMs - this.peakSinceMs < IDLE_MS) return;
    this.slots = Math.max(this.min, Math.min(this.slots, this.peakBusy));
    this.peakBusy = this.busySlots;
    this.peakSinceMs = nowMs;
  }
}
