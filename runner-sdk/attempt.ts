import type { z } from 'zod';
import { monotonicMs } from './clock';
import { contextOf, type JobContext, type Said, type Voice } from './context';
import { check, type JobDefinition } from './define-job';
import { AttemptTimeoutError, NonRetryableError, RetryAfterError, RunnerStoppingError, SnoozeError, type AttemptAbortedError } from './errors';
import { storable } from './json';
import type { ClaimedJob, FieldError, Json, ReportedError } from './protocol';
import { whileProcessing } from './tracing';

export type Handler<Arguments = unknown, Result = unknown> = (args: Arguments, job: JobContext) => Promise<Result> | Result;

/** A handler with what its job's definition says of arguments and results. */
export interface Work {
  definition: Pick<JobDefinition<z.ZodType, z.ZodType>, 'arguments' | 'result'>;
  handler: Handler;
}

/** How an attempt ended, for the coordinator; `dropped`: there is nothing to report. */
export type Ending =
  | { kind: 'completed'; result: Json | undefined; resultLength: number }
  | { kind: 'failed'; error: ReportedError }
  | { kind: 'snoozed'; delayMs: number }
  | { kind: 'released' }
  | { kind: 'dropped'; reason: AttemptAbortedError };

export interface AttemptOptions {
  /** How long after the abort a handler may still return before the attempt ends without it. */
  abortGraceMs: number;
  /** `false` in tests, where the timeout comes when the test says so. */
  hasTimer?: boolean;
  say: (said: Said) => void;
  /** The handler has not returned `abortGraceMs` after the abort. Its slot stays taken until it does. */
  onIgnoredAbort: (reason: AttemptAbortedError) => void;
}

/**
 * One run of a handler. Once its signal is aborted, what the handler returns or throws no longer counts: a handler that
 * breaks off at the signal and returns what it has so far must not pass for one that finished.
 */
export class Attempt implements Voice {
  /** Resolved when the handler has returned, which for one that ignores its signal may be long after `run`'s end. */
  readonly settled: Promise<void>;
  /** Made when the handler asks for its signal. */
  private control: AbortController | null = null;
  private abortReason: AttemptAbortedError | null = null;
  private readonly abandoned: Promise<Ending>;
  private abandon: (ending: Ending) => void = () => undefined;
  private settle: () => void = () => undefined;
  private timer: NodeJS.Timeout | undefined;
  private graceTimer: NodeJS.Timeout | undefined;
  private startedAtMs = monotonicMs();
  private hasEnded = false;
  private isStarted = false;

  constructor(
    readonly job: ClaimedJob,
    private readonly work: Work,
    private readonly options: AttemptOptions,
  ) {
    this.settled = new Promise((resolve) => (this.settle = resolve));
    this.abandoned = new Promise((resolve) => (this.abandon = resolve));
  }

  get hasStarted(): boolean {
    return this.isStarted;
  }

  /** The handler's signal. */
  get signal(): AbortSignal {
    this.control ??= new AbortController();
    if (this.abortReason !== null && !this.control.signal.aborted) this.control.abort(this.abortReason);
    return this.control.signal;
  }

  /** How long until the timeout, in milliseconds; never below 0. */
  get remainingMs(): number {
    return Math.max(0, this.startedAtMs + this.job.timeoutMs - monotonicMs());
  }

  /** Passes on what the handler says, while it still counts. */
  say(said: Said): void {
    if (!this.hasEnded) this.options.say(said);
  }

  /** Runs the handler. Never rejects. */
  async run(): Promise<Ending> {
    this.isStarted = true;
    this.startedAtMs = monotonicMs();
    if (this.options.hasTimer !== false) this.timer = setTimeout(() => this.expire(), this.job.timeoutMs);
    const ending = await whileProcessing(this.job, () => Promise.race([this.execute(), this.abandoned]));
    this.hasEnded = true;
    clearTimeout(this.timer);
    return ending;
  }

  /** The job's time is over. */
  expire(): void {
    this.abort(new AttemptTimeoutError(this.job.timeoutMs));
  }

  /** The first reason counts. A lost or cancelled attempt ends at once, any other when its handler returns or the grace is over. */
  abort(reason: AttemptAbortedError): void {
    if (this.hasEnded || this.abortReason !== null) return;
    clearTimeout(this.timer);
    this.abortReason = reason;
    this.control?.abort(reason);
    const ending = endingAfter(reason);
    if (ending.kind === 'dropped') this.abandon(ending);
    // The deadline comes a quarter of timeoutMs after the timeout; the report has to be there before.
    const graceMs = Math.min(this.options.abortGraceMs, this.job.timeoutMs / 8);
    this.graceTimer = setTimeout(() => {
      this.options.onIgnoredAbort(reason);
      this.abandon(ending);
    }, graceMs);
  }

  private async execute(): Promise<Ending> {
    try {
      const ending = await this.judge();
      return this.abortReason === null ? ending : endingAfter(this.abortReason);
    } finally {
      clearTimeout(this.graceTimer);
      this.settle();
    }
  }

  private async judge(): Promise<Ending> {
    try {
      const { definition, handler } = this.work;
      const args = definition.arguments && (await check(definition.arguments, this.job.arguments));
      if (args?.isValid === false) return refusal('invalid_arguments', `the arguments do not fit ${this.job.type}`, args.errors);
      const result = await handler(args === undefined ? this.job.arguments : args.value, contextOf(this.job, this));
      if (this.abortReason !== null) return { kind: 'released' };
      return await this.judgeResult(result);
    } catch (error) {
      return error instanceof SnoozeError ? { kind: 'snoozed', delayMs: wholeMs(error.delayMs) } : { kind: 'failed', error: reportOf(error) };
    }
  }

  private async judgeResult(result: unknown): Promise<Ending> {
    const schema = this.work.definition.result;
    const checked = schema && (await check(schema, result));
    if (checked?.isValid === false) return refusal('invalid_result', `the handler's result does not fit ${this.job.type}`, checked.errors);
    const stored = storable(result);
    if (!stored.isStorable) return refusal('invalid_result', `the handler's result cannot be stored: ${stored.detail}`, []);
    return { kind: 'completed', result: stored.json, resultLength: stored.length };
  }
}

function endingAfter(reason: AttemptAbortedError): Ending {
  if (reason instanceof AttemptTimeoutError) return { kind: 'failed', error: reportOf(reason) };
  return reason instanceof RunnerStoppingError ? { kind: 'released' } : { kind: 'dropped', reason };
}

function refusal(code: string, message: string, errors: readonly FieldError[]): Ending {
  const faults = errors.slice(0, 20).map((fault) => `${fault.path || 'value'}: ${fault.message}`);
  return { kind: 'failed', error: { message: faults.length === 0 ? message : `${message}: ${faults.join('; ')}`, code, retryable: false } };
}

/** What the coordinator is told of something a handler threw, whatever that is. */
export function reportOf(thrown: unknown): ReportedError {
  try {
    if (!(thrown instanceof Error)) return { message: typeof thrown === 'string' ? thrown : (JSON.stringify(thrown) ?? String(thrown)), retryable: true };
    const code = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : thrown.name;
    return {
      message: thrown.message || thrown.name,
      code,
      stack: stackOf(thrown),
      retryable: !(thrown instanceof NonRetryableError),
      ...(thrown instanceof RetryAfterError && { retryAfterMs: wholeMs(thrown.retryAfterMs) }),
    };
  } catch {
    return { message: 'the handler threw something that cannot be described', retryable: true };
  }
}

function stackOf(error: Error, depth = 0): string {
  const own = error.stack ?? String(error);
  return error.cause instanceof Error && depth < 5 ? `${own}\nCaused by: ${stackOf(error.cause, depth + 1)}` : own;
}

const LONGEST_DELAY_MS = 30 * 86_400_000;

function wholeMs(ms: number): number {
  return Number.isFinite(ms) ? Math.min(LONGEST_DELAY_MS, Math.max(0, Math.round(ms))) : 0;
}
