import { backoffMs, pause, type Backoff } from '../transport/backoff';
import { monotonicMs } from '../transport/clock';
import { errorText } from '../transport/error-like';
import type { Directives, HeartbeatsReply } from '../protocol';

export interface CancellationWatchOptions {
  /** A heartbeat without jobs that waits `waitMs` at the coordinator. */
  send: (waitMs: number) => Promise<HeartbeatsReply>;
  /** Age of the oldest lease, in milliseconds; `null`: there is none. */
  heldForMs: () => number | null;
  /** These jobs, or all, may have been cancelled. */
  onCheck: (check: string[] | 'all') => void;
  onDirectives: (directives: Directives) => void;
  onFailure: (message: string) => void;
}

/** Shorter jobs cost no call: most end before anyone could cancel them. */
const HELD_AT_LEAST_MS = 750;
const LEAST_WAIT_MS = 35_000;
const WAIT_SPREAD_MS = 5000;
const FAILURE_BACKOFF: Backoff = { baseMs: 500, maxMs: 30_000 };
/** An older coordinator answers at once, without the field that says that it waited. */
const UNSUPPORTED_REST_MS = 600_000;

/**
 * While a job runs for longer than a moment, a heartbeat waits at the coordinator, so that a cancellation or a drain is
 * noticed at once and not with the next heartbeat. Its answer is a hint: the lease keeper then checks the leases
 * concerned.
 */
export class CancellationWatch {
  private isRunning = false;
  private failures = 0;
  private readonly closing = new AbortController();

  constructor(private readonly options: CancellationWatchOptions) {}

  /** Call it when leases were added. */
  wake(): void {
    if (this.isRunning || this.closing.signal.aborted) return;
    this.isRunning = true;
    void this.run()
      .catch(() => undefined)
      .finally(() => (this.isRunning = false));
  }

  close(): void {
    this.closing.abort();
  }

  private async run(): Promise<void> {
    while (!this.closing.signal.aborted) {
      const heldForMs = this.options.heldForMs();
      if (heldForMs === null) return;
      const restMs = heldForMs < HELD_AT_LEAST_MS ? HELD_AT_LEAST_MS - heldForMs : await this.watch();
      if (restMs > 0) await pause(restMs, this.closing.signal);
    }
  }

  /** One wait; returns how long to rest after it. */
  private async watch(): Promise<number> {
    const sentAtMs = monotonicMs();
    try {
      const reply = await this.options.send(LEAST_WAIT_MS + Math.floor(Math.random() * WAIT_SPREAD_MS));
      if (reply.check === undefined) return UNSUPPORTED_REST_MS;
      if (reply.check === 'all' || reply.check.length > 0) this.options.onCheck(reply.check);
      this.options.onDirectives(reply.directives ?? {});
      // A draining coordinator answers at once.
      const wasQuick = monotonicMs() - sentAtMs < 1000;
      this.failures = wasQuick ? this.failures + 1 : 0;
    } catch (error) {
      if (this.closing.signal.aborted) return 0;
      this.failures += 1;
      if (this.failures === 1) this.options.onFailure(errorText(error));
    }
    return this.failures === 0 ? 0 : backoffMs(this.failures, FAILURE_BACKOFF);
  }
}
