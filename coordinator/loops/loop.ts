import { backoffMs } from '../backoff';
import { describeError, type Logger } from '../logger';

export interface LoopOptions {
  name: string;
  intervalMs: number;
  /** One round. Returns whether there is more to do; the next round then starts at once. */
  round: () => Promise<boolean>;
  log: Logger;
}

const JITTER = 0.2;
/** Delay before a failed round is retried, doubled each time; a loop with a shorter interval starts with that. */
const FIRST_BACKOFF_MS = 1000;
const MOST_BACKOFF_MS = 15_000;

/**
 * Runs rounds repeatedly: never two at once, with jitter so that coordinators do not run in step, and slower while
 * rounds fail.
 */
export class Loop {
  private timer: NodeJS.Timeout | undefined;
  private nextAt = Infinity;
  private running: Promise<boolean> | undefined;
  private isStopped = true;
  private failures = 0;
  private lastRoundAt: number | null = null;

  constructor(private readonly options: LoopOptions) {}

  get intervalMs(): number {
    return this.options.intervalMs;
  }

  start(): void {
    this.isStopped = false;
    this.arm(0);
  }

  /** Resolves when the round under way has ended. */
  async stop(): Promise<void> {
    this.isStopped = true;
    clearTimeout(this.timer);
    await this.running;
  }

  /** Runs one round now; for tests, and for callers that cannot wait for the next. */
  async runOnce(): Promise<boolean> {
    await this.running;
    return this.run();
  }

  /** Time since a round last succeeded, in milliseconds; null: never. */
  lagMs(): number | null {
    return this.lastRoundAt === null ? null : Math.round(performance.now() - this.lastRoundAt);
  }

  private run(): Promise<boolean> {
    const round = this.options.round().then(
      (hasMore) => {
        this.failures = 0;
        this.lastRoundAt = performance.now();
        return hasMore;
      },
      (error: unknown) => {
        this.failures += 1;
        this.options.log.warn(`the ${this.options.name} failed and will be tried again`, describeError(error));
        return false;
      },
    );
    this.running = round.finally(() => (this.running = undefined));
    return this.running;
  }

  /** Runs the next round in `inMs`, unless it runs earlier. */
  wake(inMs: number): void {
    const at = performance.now() + inMs;
    if (at >= this.nextAt || inMs >= this.options.intervalMs) return;
    if (this.running === undefined) this.arm(inMs);
    else this.nextAt = at;
  }

  /** The same, unless the last round failed: its backoff is kept. */
  wakeUnlessFailing(inMs: number): void {
    if (this.failures === 0) this.wake(inMs);
  }

  private arm(delayMs: number): void {
    if (this.isStopped) return;
    clearTimeout(this.timer);
    this.nextAt = performance.now() + delayMs;
    this.timer = setTimeout(() => {
      this.nextAt = Infinity;
      void this.run().then((hasMore) => {
        const wokenInMs = Math.max(0, this.nextAt - performance.now());
        this.arm(hasMore ? 0 : Math.min(wokenInMs, this.nextDelayMs()));
      });
    }, delayMs);
  }

  private nextDelayMs(): number {
    const { intervalMs } = this.options;
    const baseMs = 2 * Math.min(intervalMs, FIRST_BACKOFF_MS);
    const maxMs = Math.max(intervalMs, MOST_BACKOFF_MS);
    const base =
      this.failures === 0
        ? intervalMs
        : backoffMs({ strategy: 'exponential', baseMs, factor: 2, maxMs, jitter: 0 }, this.failures, 0);
    return base * (1 - JITTER / 2 + Math.random() * JITTER);
  }
}
