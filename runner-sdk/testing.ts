import { randomUUID } from 'node:crypto';
import type { z } from 'zod';
import { Attempt, type Ending, type Handler } from './attempt';
import type { Said } from './context';
import type { JobDefinition } from './define-job';
import { AttemptCancelledError, LeaseLostError, RunnerStoppingError } from './errors';
import type { ClaimedJob, Json, LogLevel, ReportedError } from './protocol';

export interface RunHandlerOptions {
  /** Default 1. */
  attempt?: number;
  maxAttempts?: number;
  timeoutMs?: number;
  /** What the handler finds in `job.lastCheckpoint`. */
  lastCheckpoint?: unknown;
  id?: string;
  queue?: string;
  tags?: string[];
  metadata?: Record<string, unknown>;
  userId?: string;
  dependencies?: ClaimedJob['dependencies'];
  /** How long a handler may ignore its aborted signal before the run ends without it. Default 1 s. */
  abortGraceMs?: number;
  /** Called at each word of the handler, in its own turn: the place to cancel after the second checkpoint, say. */
  onEvent?: (event: HandlerEvent, control: Control) => unknown;
}

export type HandlerEvent =
  | { kind: 'progress'; percent: number; message?: string }
  | { kind: 'checkpoint'; value: Json }
  | { kind: 'log'; level: LogLevel; message: string; fields?: Json };

/** What may befall a running handler. No clock runs in a test: the timeout comes when `expireTimeout` says so. */
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
  /** The handler had not returned `abortGraceMs` after its signal was aborted. */
  ignoredAbort: boolean;
}

/** What a coordinator would have been told. `released`, `cancelled` and `lease_lost` are told nothing about the work. */
export type HandlerRun<Result> = Told &
  (
    | { outcome: 'completed'; result: Result; error: null }
    | { outcome: 'failed'; result: null; error: ReportedError }
    | { outcome: 'snoozed'; result: null; error: null; delayMs: number }
    | { outcome: 'released' | 'cancelled' | 'lease_lost'; result: null; error: null }
  );

/**
 * Runs a handler as a runner would, without a coordinator: arguments and result go through JSON and the definition's
 * schemas, errors become reports. Arguments are deliberately not typed as the definition's, so that bad ones can be tried.
 */
export function runHandler<Arguments extends z.ZodType, Result extends z.ZodType>(
  definition: JobDefinition<Arguments, Result>,
  handler: Handler<z.output<Arguments>, z.input<Result>>,
  args?: unknown,
  options?: RunHandlerOptions,
): Promise<HandlerRun<z.input<Result>>> {
  return startHandler(definition, handler, args, options).ended;
}

/** As `runHandler`, for a test that wants to act while the handler runs. */
export function startHandler<Arguments extends z.ZodType, Result extends z.ZodType>(
  definition: JobDefinition<Arguments, Result>,
  handler: Handler<z.output<Arguments>, z.input<Result>>,
  args?: unknown,
  options: RunHandlerOptions = {},
): Control & { ended: Promise<HandlerRun<z.input<Result>>> } {
  const told: Told = { progress: [], logs: [], checkpoints: [], ignoredAbort: false };
  const work = { definition: definition as JobDefinition, handler: handler as Handler };
  const attempt: Attempt = new Attempt(claimedJob(definition, args, options), work, {
    abortGraceMs: options.abortGraceMs ?? 1000,
    hasTimer: false,
    say: (said) => {
      const event = remember(told, said);
      options.onEvent?.(event, control);
    },
    onIgnoredAbort: () => (told.ignoredAbort = true),
  });
  const control: Control = {
    cancel: () => attempt.abort(new AttemptCancelledError()),
    loseLease: () => attempt.abort(new LeaseLostError()),
    expireTimeout: () => attempt.expire(),
    stopRunner: () => attempt.abort(new RunnerStoppingError()),
  };
  const ended = attempt.run().then((ending) => ({ ...told, ...outcomeOf(ending) }) as HandlerRun<z.input<Result>>);
  return { ...control, ended };
}

function remember(told: Told, said: Said): HandlerEvent {
  if (said.kind === 'checkpoint') told.checkpoints.push(said.value);
  if (said.kind === 'progress')
    told.progress.push({ percent: said.percent, ...(said.message !== undefined && { message: said.message }) });
  if (said.kind !== 'log') return said;
  const { level, message, fields } = said.line;
  const line = { level, message, ...(fields !== undefined && { fields }) };
  told.logs.push(line);
  return { kind: 'log', ...line };
}

function outcomeOf(ending: Ending): Pick<HandlerRun<unknown>, 'outcome' | 'result' | 'error'> & { delayMs?: number } {
  switch (ending.kind) {
    case 'completed':
      return { outcome: 'completed', result: ending.result, error: null };
    case 'failed':
      return { outcome: 'failed', result: null, error: ending.error };
    case 'snoozed':
      return { outcome: 'snoozed', result: null, error: null, delayMs: ending.delayMs };
    case 'released':
      return { outcome: 'released', result: null, error: null };
    case 'dropped':
      return {
        outcome: ending.reason.code === 'job_cancelled' ? 'cancelled' : 'lease_lost',
        result: null,
        error: null,
      };
  }
}

const DEFAULT_TIMEOUT_MS = 300_000;

function claimedJob(definition: JobDefinition, args: unknown, options: RunHandlerOptions): ClaimedJob {
  const timeoutMs = options.timeoutMs ?? definition.defaults.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  return {
    id: options.id ?? randomUUID(),
    type: definition.type,
    queue: options.queue ?? definition.defaults.queue ?? 'default',
    arguments: args === undefined ? null : (JSON.parse(JSON.stringify(args)) as unknown),
    attempt: options.attempt ?? 1,
    maxAttempts: options.maxAttempts ?? definition.defaults.maxAttempts ?? 11,
    leaseToken: randomUUID(),
    leaseExpiresAt: new Date(Date.now() + 30_000).toISOString(),
    leaseMs: 30_000,
    deadlineAt: new Date(Date.now() + timeoutMs * 1.25).toISOString(),
    timeoutMs,
    metadata: options.metadata ?? null,
    tags: options.tags ?? definition.defaults.tags ?? [],
    userId: options.userId ?? null,
    dependencies: options.dependencies ?? {},
    checkpoint: options.lastCheckpoint ?? null,
    traceparent: null,
  };
}
