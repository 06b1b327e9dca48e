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

/** Reads a table once a period for all who wait for what it says, and on demand; never twice at once. */
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

  /** Polls now, unless it does already. */
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
