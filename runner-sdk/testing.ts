import { AsyncResource } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import { Attempt, type AttemptOutcome } from './runner/attempt';
import type { HandlerOutput } from './leases/handler-output';
import type { JobDefinition } from './client/define-job';
import { workOf, type Handler, type HandlerObject, type NoGenerator } from './runner/handler';
import { HookCalls } from './runner/hooks';
import { storable } from './transport/json';
import { stderrLogger } from './runner/logger';
import {
  AttemptCancelledError,
  BatonError,
  ConfigurationError,
  LeaseLostError,
  RunnerStoppingError,
  type SuspendError,
} from './transport/errors';
import type { ApiRequest } from './transport/transport';
import { type ClaimedJob, DEADLINE_FACTOR, type Json, type LogLevel, type ReportedError } from './protocol';
import type { InputOf, OutputOf, Schema } from './client/schema';

export interface RunHandlerOptions {
  /** Default 1. */
  attempt?: number | undefined;
  maxAttempts?: number | undefined;
  timeoutMs?: number | undefined;
  /** What the handler finds in `job.lastCheckpoint`. */
  lastCheckpoint?: unknown;
  id?: string | undefined;
  queue?: string | undefined;
  tags?: string[] | undefined;
  metadata?: Record<string, unknown> | undefined;
  userId?: string | undefined;
  dependencies?: ClaimedJob['dependencies'] | undefined;
  workflowId?: string | undefined;
  /** Answers the handler's requests to the coordinator, such as `job.startWorkflow`. Default: refuses them. */
  onRequest?: ((request: { method: string; path: string; body: unknown }) => unknown) | undefined;
  /** How long a handler may ignore its aborted signal before the run ends without it, in milliseconds. Default 1 s. */
  abortGraceMs?: number | undefined;
  /**
   * Called for every output of the handler, synchronously: use it, for example, to cancel after the second checkpoint.
   */
  onEvent?: ((event: HandlerEvent, control: Control) => unknown) | undefined;
}

export type HandlerEvent =
  | { kind: 'progress'; percent: number; message?: string }
  | { kind: 'checkpoint'; value: Json }
  | { kind: 'log'; level: LogLevel; message: string; fields?: Json };

/** What can happen to a running handler. Tests have no clock: the timeout comes when `expireTimeout` is called. */
export interface Control {
  cancel: () => void;
  loseLease: () => void;
  expireTimeout: () => void;
  stopRunner: () => void;
}

interface Told {
  progress: { percent: number; message?: string }[];
  logs: { level: LogLevel; message: string; fields?: Json }[];
  checkpoints: Json[];
  /** The last value of each `job.metric`. */
  metrics: Record<string, number>;
  /** The handler had not returned `abortGraceMs` after its signal was aborted. */
  ignoredAbort: boolean;
}

/**
 * What a coordinator would have received. For `released`, `cancelled` and `lease_lost` nothing about the work is
 * reported.
 */
export type HandlerRun<Result> = Told &
  (
    | { outcome: 'completed'; result: Result; error: null }
    | { outcome: 'failed'; result: null; error: ReportedError }
    | { outcome: 'snoozed'; result: null; error: null; delayMs: number }
    | { outcome: 'suspended'; result: null; error: null; until: SuspendError['until'] }
    | { outcome: 'released' | 'cancelled' | 'lease_lost'; result: null; error: null }
  );

/**
 * Runs a handler as a runner would, without a coordinator: arguments and result pass through JSON and the definition's
 * schemas, and errors become reports. Arguments are deliberately not typed by the definition, so that invalid ones can
 * be tested.
 */
export function runHandler<
  Arguments extends Schema,
  Result extends Schema,
  Given extends Takes<OutputOf<Arguments>, InputOf<Result>>,
>(
  definition: JobDefinition<Arguments, Result>,
  handler: Given & NoGenerator<Given>,
  args?: unknown,
  options?: RunHandlerOptions,
): Promise<HandlerRun<InputOf<Result>>> {
  return startHandler(definition, handler, args, options).ended;
}

/** As `runHandler`, for tests that act while the handler runs. */
export function startHandler<
  Arguments extends Schema,
  Result extends Schema,
  Given extends Takes<OutputOf<Arguments>, InputOf<Result>>,
>(
  definition: JobDefinition<Arguments, Result>,
  handler: Given & NoGenerator<Given>,
  args?: unknown,
  options: RunHandlerOptions = {},
): Control & { ended: Promise<HandlerRun<InputOf<Result>>> } {
  const told: Told = { progress: [], logs: [], checkpoints: [], metrics: {}, ignoredAbort: false };
  const work = workOf(definition, handler);
  const hooks = new HookCalls(stderrLogger);
  const test = AsyncResource.bind((call: () => unknown) => call());
  const attempt: Attempt = new Attempt(claimedJob(definition, args, options), work, {
    abortGraceMs: options.abortGraceMs ?? 1000,
    hasTimer: false,
    send: async <T>({ method, path, json }: ApiRequest) => answerOf<T>(options, method, path, json),
    onOutput: (output) => {
      const event = remember(told, output);
      // Called in the test's async context, because it is the test's function.
      if (event === null) return;
      test(() => options.onEvent?.(event, control));
      if (event.kind !== 'progress') return;
      const { kind: _kind, ...progress } = event;
      hooks.call(attempt, 'onProgress', (known) => known.onProgress?.(progress, attempt.context));
    },
    onIgnoredAbort: () => (told.ignoredAbort = true),
  });
  const control: Control = {
    cancel: () => attempt.abort(new AttemptCancelledError()),
    loseLease: () => attempt.abort(new LeaseLostError()),
    expireTimeout: () => attempt.expire(),
    stopRunner: () => attempt.abort(new RunnerStoppingError()),
  };
  const ended = attempt.run().then(async (outcome) => {
    callBack(hooks, attempt, outcome);
    await hooks.settled();
    return { ...told, metrics: { ...attempt.metrics }, ...outcomeOf(outcome) } as HandlerRun<InputOf<Result>>;
  });
  return { ...control, ended };
}

/** As after a report. Whether it is retried is decided as if every earlier attempt had failed. */
function callBack(hooks: HookCalls, attempt: Attempt, outcome: AttemptOutcome): void {
  if (outcome.kind === 'completed')
    hooks.call(attempt, 'onComplete', (known) => known.onComplete?.(outcome.result, attempt.context));
  if (outcome.kind !== 'failed') return;
  const { attempt: tries, maxAttempts } = attempt.job;
  const next = { willRetry: outcome.error.retryable && tries < maxAttempts, retryAt: null };
  hooks.call(attempt, 'onError', (known) => known.onError?.(outcome.thrown ?? outcome.error, attempt.context, next));
}

function remember(told: Told, output: HandlerOutput): HandlerEvent | null {
  if (output.kind === 'urgent' || output.kind === 'metric') return null;
  if (output.kind === 'checkpoint') {
    told.checkpoints.push(output.value);
    output.stored.resolve();
    return { kind: 'checkpoint', value: output.value };
  }
  if (output.kind === 'progress')
    told.progress.push({ percent: output.percent, ...(output.message !== undefined && { message: output.message }) });
  if (output.kind !== 'log') return output;
  const { level, message, fields } = output.line;
  const line = { level, message, ...(fields !== undefined && { fields }) };
  told.logs.push(line);
  return { kind: 'log', ...line };
}

function outcomeOf(
  outcome: AttemptOutcome,
): Pick<HandlerRun<unknown>, 'outcome' | 'result' | 'error'> & { delayMs?: number; until?: SuspendError['until'] } {
  switch (outcome.kind) {
    case 'completed':
      return { outcome: 'completed', result: outcome.result, error: null };
    case 'failed':
      return { outcome: 'failed', result: null, error: outcome.error };
    case 'snoozed':
      return { outcome: 'snoozed', result: null, error: null, delayMs: outcome.delayMs };
    case 'suspended':
      return { outcome: 'suspended', result: null, error: null, until: outcome.until };
    case 'released':
      return { outcome: 'released', result: null, error: null };
    case 'dropped':
      return {
        outcome: outcome.reason.code === 'job_cancelled' ? 'cancelled' : 'lease_lost',
        result: null,
        error: null,
      };
  }
}

function answerOf<T>({ onRequest }: RunHandlerOptions, method: string, path: string, json: string | undefined): T {
  if (onRequest === undefined && path === '/objects')
    throw new BatonError({ code: 'not_found', status: 404, detail: 'tests have no object store' });
  if (onRequest === undefined) throw new ConfigurationError(`onRequest of this test is to answer ${method} ${path}`);
  return onRequest({ method, path, body: json === undefined ? undefined : JSON.parse(json) }) as T;
}

type Takes<Arguments, Result> = Handler<Arguments, Result> | HandlerObject<Arguments, Result>;

const DEFAULT_TIMEOUT_MS = 300_000;

function claimedJob(definition: JobDefinition, args: unknown, options: RunHandlerOptions): ClaimedJob {
  const timeoutMs = options.timeoutMs ?? definition.defaults.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  return {
    id: options.id ?? randomUUID(),
    type: definition.type,
    queue: options.queue ?? definition.defaults.queue ?? 'default',
    arguments: argumentsOf(args),
    attempt: options.attempt ?? 1,
    maxAttempts: options.maxAttempts ?? definition.defaults.maxAttempts ?? 11,
    leaseToken: randomUUID(),
    leaseExpiresAt: new Date(Date.now() + 30_000).toISOString(),
    leaseMs: 30_000,
    deadlineAt: new Date(Date.now() + timeoutMs * DEADLINE_FACTOR).toISOString(),
    timeoutMs,
    metadata: options.metadata ?? null,
    tags: options.tags ?? definition.defaults.tags ?? [],
    userId: options.userId ?? null,
    dependencies: options.dependencies ?? {},
    workflowId: options.workflowId ?? null,
    checkpoint: options.lastCheckpoint ?? null,
    traceparent: null,
  };
}

/** Validates arguments as a create does, so that the handler gets nothing that it could not get from a coordinator. */
function argumentsOf(args: unknown): unknown {
  const stored = storable(args);
  if (!stored.isStorable) throw new ConfigurationError(`these arguments could not be created: ${stored.detail}`);
  return stored.json ?? null;
}
