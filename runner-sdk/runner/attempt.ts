import { setMaxListeners } from 'node:events';
import { monotonicMs } from '../transport/clock';
import type { HandlerOutput } from '../leases/handler-output';
import type { ApiRequest, Send } from '../transport/transport';
import { contextOf, type HandlerPort, type JobContext } from './context';
import { AttemptScope } from './attempt-scope';
import {
  AttemptTimeoutError,
  RetryAfterError,
  RunnerStoppingError,
  SnoozeError,
  SuspendError,
  type AttemptAbortedError,
} from '../transport/errors';
import type { HandlerHooks, Work } from './handler';
import { delayMsOf, reportOf } from '../transport/failure';
import { isIterator, storable } from '../transport/json';
import { isLarge, Objects, referenceOf } from '../transport/objects';
import type { ClaimedJob, FieldError, Json, ReportedError } from '../protocol';
import { check, type Schema } from '../client/schema';
import { whileProcessing } from '../transport/tracing';

/** How an attempt ended, for the coordinator; `dropped`: there is nothing to report. */
export type AttemptOutcome =
  | { kind: 'completed'; result: Json | undefined }
  | { kind: 'failed'; error: ReportedError; thrown?: unknown; warning?: string }
  | { kind: 'snoozed'; delayMs: number }
  | { kind: 'suspended'; until: SuspendError['until'] }
  | { kind: 'released' }
  | { kind: 'dropped'; reason: AttemptAbortedError };

export interface AttemptOptions {
  /** How long after the abort a handler may still return before the attempt ends without it, in milliseconds. */
  abortGraceMs: number;
  /** `false` in tests, which trigger the timeout themselves. */
  hasTimer?: boolean;
  /** Sends the handler's requests to the coordinator. */
  send: Send;
  onOutput: (output: HandlerOutput, attempt: Attempt) => void;
  /** Called when the handler has not returned `abortGraceMs` after the abort. Its slot stays taken until it does. */
  onIgnoredAbort: (reason: AttemptAbortedError, job: ClaimedJob) => void;
}

/**
 * One run of a handler. After its signal is aborted, what the handler returns or throws no longer counts: a handler
 * that stops at the signal and returns a partial result must not count as finished.
 */
export class Attempt implements HandlerPort {
  /** Created when the handler uses its signal. */
  private control: AbortController | null = null;
  private abortReason: AttemptAbortedError | null = null;
  private resolveOutcome: (outcome: AttemptOutcome) => void = () => undefined;
  private tellReturn: (() => void) | undefined;
  private timer: NodeJS.Timeout | undefined;
  private graceTimer: NodeJS.Timeout | undefined;
  private scope: AttemptScope | null = null;
  private handlersContext: JobContext | null = null;
  private handlersMetrics: Map<string, number> | null = null;
  private startedAtMs = monotonicMs();
  private isStarted = false;
  private hasEnded = false;
  private isReturned = false;

  constructor(
    readonly job: ClaimedJob,
    private readonly work: Work,
    private readonly options: AttemptOptions,
  ) {}

  get hasStarted(): boolean {
    return this.isStarted;
  }

  /** For a handler that ignores its signal this may be long after the end of `run`. */
  get hasReturned(): boolean {
    return this.isReturned;
  }

  /** The handler's signal. */
  get signal(): AbortSignal {
    this.control ??= handlersController();
    if (this.abortReason !== null && !this.control.signal.aborted) this.control.abort(this.abortReason);
    return this.control.signal;
  }

  /** The context passed to its handler. */
  get context(): JobContext {
    this.handlersContext ??= contextOf(this.job, this);
    return this.handlersContext;
  }

  get hooks(): HandlerHooks | undefined {
    return this.work.hooks;
  }

  /** Time until the timeout, in milliseconds; never below 0. */
  get remainingMs(): number {
    return Math.max(0, this.startedAtMs + this.job.timeoutMs - monotonicMs());
  }

  /** Sends a request on behalf of this attempt, as long as the handler may continue. */
  send<T>(request: ApiRequest): Promise<T> {
    const headers = { ...request.headers, 'baton-lease': this.job.leaseToken };
    return this.options.send({ ...request, headers, signal: this.signal });
  }

  /** Passes on the output of the handler, while it still counts. */
  emit(output: HandlerOutput): void {
    if (output.kind === 'metric') this.addMetric(output.name, output.value);
    else if (!this.hasEnded) this.options.onOutput(output, this);
    else if (output.kind === 'checkpoint')
      output.stored.reject(this.abortReason ?? new Error('the attempt has ended; its checkpoint is not stored'));
  }

  /** The handler's own metrics, or `null`. */
  get metrics(): Readonly<Record<string, number>> | null {
    return this.handlersMetrics === null ? null : Object.fromEntries(this.handlersMetrics);
  }

  private addMetric(name: string, value: number): void {
    this.handlersMetrics ??= new Map();
    if (this.handlersMetrics.has(name) || this.handlersMetrics.size < MOST_METRICS)
      this.handlersMetrics.set(name, value);
  }

  /** Runs the handler. Never rejects. */
  run(): Promise<AttemptOutcome> {
    this.isStarted = true;
    this.startedAtMs = monotonicMs();
    return this.inScope(() =>
      whileProcessing(this.job, () => {
        const ended = new Promise<AttemptOutcome>((resolve) => (this.resolveOutcome = resolve));
        this.execute();
        return ended;
      }),
    );
  }

  /** Calls the handler's code in the handler's async context, whoever caused the call. */
  inScope<Result>(call: () => Result): Result {
    this.scope ??= new AttemptScope(this);
    return this.scope.run(call);
  }

  /** Resolves when the handler has returned. */
  async returned(): Promise<void> {
    if (!this.isReturned) await new Promise<void>((resolve) => (this.tellReturn = resolve));
  }

  /** The job has timed out. */
  expire(): void {
    this.abort(new AttemptTimeoutError(this.job.timeoutMs));
  }

  /**
   * Aborts the attempt; the first reason counts. A lost or cancelled attempt ends at once, any other when its handler
   * returns or the grace period is over.
   */
  abort(reason: AttemptAbortedError): void {
    if (this.hasEnded || this.abortReason !== null) return;
    clearTimeout(this.timer);
    this.abortReason = reason;
    const { control } = this;
    if (control !== null) this.inScope(() => control.abort(reason));
    const outcome = outcomeAfter(reason);
    if (outcome.kind === 'dropped') this.end(outcome);
    // The deadline is a quarter of timeoutMs after the timeout, and the report must arrive before it.
    const graceMs = Math.min(this.options.abortGraceMs, this.job.timeoutMs / 8);
    this.graceTimer = setTimeout(() => {
      this.options.onIgnoredAbort(reason, this.job);
      this.end(outcome);
    }, graceMs);
  }

  /** A handler that ends within its first turn needs no timer, which could not have fired. */
  private execute(): void {
    const judged = this.judge();
    if ('kind' in judged) return this.settle(judged);
    if (this.options.hasTimer !== false && this.abortReason === null)
      this.timer = setTimeout(() => this.expire(), this.remainingMs);
    void judged.then((outcome) => this.settle(outcome));
  }

  private judge(): AttemptOutcome | Promise<AttemptOutcome> {
    try {
      const { arguments: args } = this.job;
      const outcome = referenceOf(args) === null ? this.handleSome(args) : this.handleRead(args);
      return 'kind' in outcome ? outcome : outcome.catch(outcomeOfThrown);
    } catch (error) {
      return outcomeOfThrown(error);
    }
  }

  private handleSome(args: unknown): AttemptOutcome | Promise<AttemptOutcome> {
    const schema = this.work.definition.arguments;
    return schema === undefined ? this.handle(args) : this.handleChecked(schema, args);
  }

  /** Arguments that are kept in the object store. */
  private async handleRead(reference: unknown): Promise<AttemptOutcome> {
    return this.handleSome(await this.objects.read(reference, this.signal));
  }

  private async handleChecked(schema: Schema, given: unknown): Promise<AttemptOutcome> {
    const args = await check(schema, given);
    return args.isValid
      ? this.handle(args.value)
      : refusal('invalid_arguments', `the arguments do not fit ${this.job.type}`, args.errors);
  }

  private handle(args: unknown): AttemptOutcome | Promise<AttemptOutcome> {
    const result = this.work.handler(args, this.context);
    return isThenable(result) ? this.awaitResult(result) : this.judgeResult(result);
  }

  private async awaitResult(result: PromiseLike<unknown>): Promise<AttemptOutcome> {
    return this.judgeResult(await result);
  }

  private judgeResult(result: unknown): AttemptOutcome | Promise<AttemptOutcome> {
    // The result no longer counts.
    if (this.abortReason !== null) return { kind: 'released' };
    if (isIterator(result)) return refusal('invalid_result', ITERATOR_RETURNED, []);
    const schema = this.work.definition.result;
    return schema === undefined ? this.outcomeWith(result) : this.judgeChecked(schema, result);
  }

  private async judgeChecked(schema: Schema, result: unknown): Promise<AttemptOutcome> {
    const checked = await check(schema, result);
    return checked.isValid
      ? this.outcomeWith(result)
      : refusal('invalid_result', `the handler's result does not fit ${this.job.type}`, checked.errors);
  }

  private outcomeWith(result: unknown): AttemptOutcome | Promise<AttemptOutcome> {
    const stored = storable(result);
    if (!stored.isStorable)
      return refusal('invalid_result', `the handler's result cannot be stored: ${stored.detail}`, []);
    const { text, json } = stored;
    return text !== undefined && isLarge(text) ? this.outcomeOfLarge(text, json) : { kind: 'completed', result: json };
  }

  /** Without an object store the coordinator says how large it may be. */
  private async outcomeOfLarge(text: string, json: Json | undefined): Promise<AttemptOutcome> {
    return { kind: 'completed', result: (await this.objects.store(text, this.signal)) ?? json };
  }

  private get objects(): Objects {
    return new Objects((request) => this.send(request));
  }

  /** The handler has returned. */
  private settle(outcome: AttemptOutcome): void {
    clearTimeout(this.graceTimer);
    this.isReturned = true;
    this.end(this.abortReason === null ? outcome : outcomeAfter(this.abortReason));
    this.tellReturn?.();
  }

  private end(outcome: AttemptOutcome): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    clearTimeout(this.timer);
    this.resolveOutcome(outcome);
  }
}

/** Further names are ignored. */
const MOST_METRICS = 50;

/** A handler may pass its signal to any number of calls, each of which adds a listener. */
function handlersController(): AbortController {
  const control = new AbortController();
  setMaxListeners(Infinity, control.signal);
  return control;
}

const ITERATOR_RETURNED =
  'the handler returned an iterator, as a generator function does, so its body never ran; ' +
  'write an async function, and return the result';

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
    'then' in value &&
    typeof value.then === 'function'
  );
}

function outcomeOfThrown(thrown: unknown): AttemptOutcome {
  if (thrown instanceof SnoozeError) return outcomeOfSnooze(thrown);
  if (thrown instanceof SuspendError) return { kind: 'suspended', until: thrown.until };
  if (thrown instanceof RetryAfterError && delayMsOf(thrown.retryAfterMs) === null)
    return {
      kind: 'failed',
      error: reportOf(thrown),
      thrown,
      warning: unknownDelay('RetryAfterError', thrown.retryAfterMs),
    };
  return { kind: 'failed', error: reportOf(thrown), thrown };
}

/** A snooze of invalid length counts as a failure, so that the job's own backoff spaces its attempts and they end. */
function outcomeOfSnooze(thrown: SnoozeError): AttemptOutcome {
  const delayMs = delayMsOf(thrown.delayMs);
  if (delayMs !== null) return { kind: 'snoozed', delayMs };
  const warning = unknownDelay('SnoozeError', thrown.delayMs);
  return {
    kind: 'failed',
    error: { ...reportOf(thrown), message: `${warning}: ${thrown.message}`, code: 'invalid_delay' },
    thrown,
    warning,
  };
}

function unknownDelay(name: string, given: unknown): string {
  return `the delay of a ${name} is ${String(given)}, not a number of milliseconds; the job's own backoff applies`;
}

function outcomeAfter(reason: AttemptAbortedError): AttemptOutcome {
  if (reason instanceof AttemptTimeoutError) return { kind: 'failed', error: reportOf(reason), thrown: reason };
  return reason instanceof RunnerStoppingError ? { kind: 'released' } : { kind: 'dropped', reason };
}

function refusal(code: string, message: string, errors: readonly FieldError[]): AttemptOutcome {
  const faults = errors.slice(0, 20).map((fault) => `${fault.path || 'value'}: ${fault.message}`);
  return {
    kind: 'failed',
    error: { message: faults.length === 0 ? message : `${message}: ${faults.join('; ')}`, code, retryable: false },
  };
}
