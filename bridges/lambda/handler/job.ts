import type { Calls } from './calls';
import { RefusedCall } from './calls';

/** As the coordinator hands it out. */
export interface Claimed {
  id: string;
  type: string;
  queue: string;
  arguments: unknown;
  attempt: number;
  maxAttempts: number;
  leaseToken: string;
  leaseMs: number;
  timeoutMs: number;
  tags: string[];
  metadata: Record<string, unknown> | null;
  userId: string | null;
  dependencies: Record<string, unknown>;
  checkpoint: unknown;
}

/** What a handler is told of its job, and what it may tell. */
export interface LambdaJob {
  readonly id: string;
  readonly type: string;
  /** Number of claims of the job, from 1. With `id` it identifies this attempt, also to other services. */
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly tags: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>> | null;
  readonly userId: string | null;
  /** Status and result of the jobs that this one waited for. */
  readonly dependencies: Readonly<Record<string, unknown>>;
  /** The last value that an earlier attempt passed to `checkpoint`, or `null`. */
  readonly lastCheckpoint: unknown;
  /** Aborted at the job's timeout, shortly before the function's own, on cancel, and when the lease is lost. */
  readonly signal: AbortSignal;
  /** Until then, in milliseconds; never below 0. */
  readonly timeRemainingMs: () => number;
  /** Reports progress, 0 to 100; sent with the next heartbeat. */
  readonly progress: (percent: number, message?: string) => void;
  /** Stores small JSON for the next attempt; sent at once. */
  readonly checkpoint: (value: unknown) => Promise<void>;
}

export type LambdaJobHandler = (args: never, job: LambdaJob) => unknown;

/** How an attempt ended. `lost`: another has the job, or it was cancelled, and nothing was reported. */
export type Ended = 'completed' | 'failed' | 'released' | 'lost';

/** Time to report in, before the function is ended. */
const REPORT_MS = 2000;
const MOST_REPORT_MS = 30_000;

/** Runs a claimed job: extends its lease, and reports before it returns. `remainingMs` is the function's own time. */
export async function runJob(
  calls: Calls,
  claimed: Claimed,
  handler: LambdaJobHandler,
  remainingMs: () => number,
): Promise<Ended> {
  const attempt = new Attempt(calls, claimed, remainingMs);
  try {
    const outcome = await attempt.run(handler);
    if (attempt.isLost) return 'lost';
    return await attempt.report(outcome);
  } finally {
    attempt.stop();
  }
}

interface Outcome {
  outcome: 'completed' | 'failed' | 'released';
  body: Record<string, unknown>;
}

class Attempt {
  isLost = false;
  private readonly aborting = new AbortController();
  private readonly endsAtMs: number;
  private readonly timers: NodeJS.Timeout[] = [];
  private latest: { percent: number; message?: string } | undefined;

  constructor(
    private readonly calls: Calls,
    private readonly claimed: Claimed,
    private readonly remainingMs: () => number,
  ) {
    const allowedMs = Math.max(1, Math.min(claimed.timeoutMs, remainingMs() - REPORT_MS));
    this.endsAtMs = performance.now() + allowedMs;
    const reason = allowedMs < claimed.timeoutMs ? "the function's time is over" : "the job's time is over";
    this.timers.push(setTimeout(() => this.abort(reason, 'timeout'), allowedMs));
    this.timers.push(setInterval(() => void this.beat({}), claimed.leaseMs / 3));
  }

  stop(): void {
    for (const timer of this.timers) clearTimeout(timer);
  }

  async run(handler: LambdaJobHandler): Promise<Outcome> {
    const { signal } = this.aborting;
    const aborted = new Promise<never>((_resolve, reject) =>
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
    );
    try {
      const running = (async () => handler(this.claimed.arguments as never, this.context()))();
      // A handler that does not heed the signal is not waited for.
      const result: unknown = await Promise.race([running, aborted]);
      return { outcome: 'completed', body: { outcome: 'completed', ...(result !== undefined && { result }) } };
    } catch (error) {
      return failureOf(error);
    }
  }

  async report({ outcome, body }: Outcome): Promise<Ended> {
    const { id, leaseToken } = this.claimed;
    const budgetMs = Math.min(MOST_REPORT_MS, Math.max(500, this.remainingMs() - 500));
    const last = this.latest === undefined ? {} : { progress: this.latest };
    try {
      const path = `/jobs/${id}/${outcome === 'released' ? 'release' : 'complete'}`;
      await this.calls.post(path, { leaseToken, ...last, ...body }, budgetMs);
      return outcome;
    } catch (error) {
      if (!(error instanceof RefusedCall)) throw error;
      if (isLoss(error)) return 'lost';
      if (outcome !== 'completed') throw error;
      // The result is refused, such as for its size: the job must hear of it.
      const fault = { message: error.message, code: error.code, retryable: false };
      return this.report({ outcome: 'failed', body: { outcome: 'failed', error: fault } });
    }
  }

  private context(): LambdaJob {
    const { id, type, attempt, maxAttempts, tags, metadata, userId, dependencies, checkpoint } = this.claimed;
    return {
      ...{ id, type, attempt, maxAttempts, tags, metadata, userId, dependencies, lastCheckpoint: checkpoint },
      signal: this.aborting.signal,
      timeRemainingMs: () => Math.max(0, this.endsAtMs - performance.now()),
      progress: (percent, message) => {
        this.latest = { percent, ...(message !== undefined && { message }) };
      },
      checkpoint: (value) => this.beat({ checkpoint: value }),
    };
  }

  /** One that fails is followed by the next, before the lease is over. */
  private async beat(more: { checkpoint?: unknown }): Promise<void> {
    const { id, leaseToken, leaseMs } = this.claimed;
    const progress = this.latest;
    this.latest = undefined;
    try {
      const body = { leaseToken, ...(progress !== undefined && { progress }), ...more };
      await this.calls.post(`/jobs/${id}/heartbeat`, body, leaseMs / 3);
    } catch (error) {
      this.latest ??= progress;
      if (error instanceof RefusedCall && isLoss(error)) {
        this.isLost = true;
        this.abort(error.message, error.code);
      }
      if ('checkpoint' in more) throw error;
    }
  }

  private abort(message: string, code: string): void {
    this.aborting.abort(Object.assign(new Error(message), { code }));
  }
}

function isLoss({ code }: RefusedCall): boolean {
  return code === 'lease_lost' || code === 'job_cancelled' || code === 'not_found';
}

/** The SDK's errors are known by their names: a handler may throw them, and the wrapper need not load the SDK. */
function failureOf(thrown: unknown): Outcome {
  const error = (thrown instanceof Error ? thrown : new Error(String(thrown))) as Error & {
    code?: unknown;
    retryAfterMs?: unknown;
    delayMs?: unknown;
  };
  if (error.name === 'SnoozeError')
    return { outcome: 'released', body: { delayMs: Math.max(0, Math.round(Number(error.delayMs) || 0)) } };
  const { message, stack } = error;
  const fault = {
    ...{ message, stack, code: typeof error.code === 'string' ? error.code : error.name },
    retryable: error.name !== 'NonRetryableError',
    ...(typeof error.retryAfterMs === 'number' && { retryAfterMs: Math.max(0, Math.round(error.retryAfterMs)) }),
  };
  return { outcome: 'failed', body: { outcome: 'failed', error: fault } };
}
