export interface PollerOptions {
  /** Must not reject. */
  poll(): Promise<void>;
  /** Whether anybody waits. If not, polling stops until the next `start`. */
  isNeeded(): boolean;
  onPolled?(): void;
  onStop?(): void;
  /** Called every period, also while a poll takes longer than that. */
  onPeriod?(): void;
}

/** Polls a table once per period and on demand, for all waiters together. Polls never overlap. */
export class Poller {
  private timer: NodeJS.Timeout | undefined;
  private current: Promise<void> | null = null;

  constructor(
    private readonly periodMs: number,
    private readonly options: PollerOptions,
  ) {}

  get isRunning(): boolean {
    return this.timer !== undefined;
  }

  /** Polls every period from now on. */
  start(): void {
    this.timer ??= setInterval(() => {
      this.options.onPeriod?.();
      this.poll();
    }, this.periodMs);
  }

  /** Polls now, unless a poll is under way. */
  poll(): void {
    if (this.current !== null) return;
    if (!this.options.isNeeded()) return this.stop();
    this.current = this.options.poll().finally(() => {
      this.current = null;
      this.options.onPolled?.();
    });
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    this.options.onStop?.();
  }

  /** Resolves when no poll is under way. */
  async settled(): Promise<void> {
    await this.current;
  }
}
