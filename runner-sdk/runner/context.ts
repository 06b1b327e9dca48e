import { createHash } from 'node:crypto';
import { monotonicMs } from '../transport/clock';
import { NonRetryableError } from '../transport/errors';
import { messageOf } from '../transport/failure';
import { loggable, storable } from '../transport/json';
import { StoredCheckpoint } from '../leases/stored-checkpoint';
import type { HandlerOutput } from '../leases/handler-output';
import type { ClaimedJob, CreatedBatch, LogLevel, Workflow } from '../protocol';
import { batchJson, type BatchOptions, type SplitOptions } from '../client/batches';
import type { JobDefinition } from '../client/define-job';
import type { InputOf, Schema } from '../client/schema';
import { builtParts, type WorkflowBuilder } from '../client/workflows';
import type { Send } from '../transport/transport';
import { type ResultOf, resultsOf } from './dependency-results';

/** The second argument of a handler. Its functions may be destructured and passed around. */
export interface JobContext {
  readonly id: string;
  readonly type: string;
  readonly queue: string;
  /** Number of claims of the job, from 1. With `id` it identifies this attempt, also to other services. */
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly tags: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>> | null;
  readonly userId: string | null;
  /** Status and result of the jobs that this one waited for, by key or id. */
  readonly dependencies: ClaimedJob['dependencies'];
  /**
   * The result of a job that this one waited for; `undefined` if it did not complete. A definition types and checks it.
   * @param parent its definition, whose type is its key unless another one is given; or its key (or id, without a
   * workflow)
   * @throws {NonRetryableError} `unknown_dependency`, `invalid_result`
   */
  readonly resultOf: ResultOf;
  /** The workflow of the job; `null`: none. */
  readonly workflowId: string | null;
  /**
   * Adds jobs to the job's own workflow; `after: [w.step(key)]` refers to an existing step. Existing keys are left
   * unchanged, so that a repeated attempt adds nothing twice. Throws `NonRetryableError` `no_workflow`.
   */
  readonly addToWorkflow: (build: (workflow: WorkflowBuilder) => unknown) => Promise<Workflow>;
  /**
   * Creates a nested workflow for the job's user, once per job and name, however often the job is run. To continue
   * after its end: `throw new SuspendError({ workflowId: nested.id })`.
   */
  readonly startWorkflow: (name: string, build: (workflow: WorkflowBuilder) => unknown) => Promise<Workflow>;
  /**
   * Creates a nested batch of up to 1,000 jobs for the job's user, one for each of the arguments, once per job and
   * name. To continue after its end: `throw new SuspendError({ batchId: nested.id })`.
   */
  readonly startBatch: StartBatch;
  /**
   * Cuts a list into jobs of `batchSize` items, of a nested batch for the job's user, once per job and name. The
   * arguments of each have `items` and `index` beside the given ones.
   */
  readonly startSplit: (
    name: string,
    type: string,
    items: readonly unknown[],
    options: NestedSplitOptions,
  ) => Promise<CreatedBatch>;
  /** The last value that an earlier attempt passed to `checkpoint`, or `null`. */
  readonly lastCheckpoint: unknown;
  /** Aborted at the timeout, on cancel, when the lease is lost and when the runner stops; `reason` says which. */
  readonly signal: AbortSignal;
  /**
   * Reports progress, 0 to 100. It is cheap: only the latest value is sent, within 2 s. A value that is not a number
   * leaves the percent unchanged.
   */
  readonly progress: (percent: number, message?: string | null) => void;
  readonly log: Readonly<Record<LogLevel, (message: string, fields?: Record<string, unknown>) => void>>;
  /**
   * Stores JSON (256 KiB at most) for the next attempt, which finds it in `lastCheckpoint`. Throws when it is not JSON.
   * It need not be awaited; if it is, it is sent at once, and resolves when it is stored or rejects when it never will
   * be, for example because the lease is lost.
   */
  readonly checkpoint: (value: unknown) => Promise<void>;
  /**
   * A number of your own beside the attempt's metrics, such as `rows`. The last value of a name counts; at most 50
   * names.
   */
  readonly metric: (name: string, value: number) => void;
  /** The W3C trace context of the job's create, or `null`; with OpenTelemetry the handler runs within that trace. */
  readonly traceparent: string | null;
  /** Time until the signal is aborted with `AttemptTimeoutError`, in milliseconds; never below 0. */
  readonly timeRemainingMs: () => number;
}

/** The jobs that the end of a nested batch creates, and other fields of its jobs. */
export type NestedBatchOptions = Omit<BatchOptions, 'name' | 'userId' | 'idempotencyKey' | 'signal'>;

export type NestedSplitOptions = Omit<SplitOptions, 'name' | 'userId' | 'idempotencyKey' | 'signal'>;

export interface StartBatch {
  <Arguments extends Schema>(
    name: string,
    definition: JobDefinition<Arguments>,
    list: readonly InputOf<Arguments>[],
    options?: NestedBatchOptions,
  ): Promise<CreatedBatch>;
  (name: string, type: string, list: readonly unknown[], options?: NestedBatchOptions): Promise<CreatedBatch>;
}

/** Connects a handler to its attempt: receives its output, and provides its signal and remaining time. */
export interface HandlerPort {
  readonly signal: AbortSignal;
  readonly remainingMs: number;
  emit: (output: HandlerOutput) => void;
  /** Sends a request on behalf of the attempt. */
  send: Send;
}

const METRIC_NAME = /^[A-Za-z0-9_][\w.:/-]{0,99}$/;
const CHECKPOINT_LENGTH = 256 * 1024;

/** The context of one attempt. */
export function contextOf(job: ClaimedJob, port: HandlerPort): JobContext {
  return new AttemptContext(job, port);
}

const PORT = Symbol('port');

/** Created on first use: most handlers do not use it, and a runner runs thousands of them a second. */
const SIGNAL: PropertyDescriptor & ThisType<{ [PORT]: HandlerPort }> = {
  enumerable: true,
  get() {
    return this[PORT].signal;
  },
};

/**
 * A class with a shared getter: V8 stores an object literal with its own getter as a dictionary, which is twice as
 * large and four times as slow. All members are own properties, so that a handler may spread it.
 */
class AttemptContext implements JobContext {
  readonly id: string;
  readonly type: string;
  readonly queue: string;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly tags: JobContext['tags'];
  readonly metadata: JobContext['metadata'];
  readonly userId: string | null;
  readonly dependencies: JobContext['dependencies'];
  readonly resultOf: ResultOf;
  readonly workflowId: string | null;
  readonly addToWorkflow: JobContext['addToWorkflow'];
  readonly startWorkflow: JobContext['startWorkflow'];
  readonly startBatch: StartBatch;
  readonly startSplit: JobContext['startSplit'];
  readonly lastCheckpoint: unknown;
  readonly traceparent: string | null;
  declare readonly signal: AbortSignal;
  readonly log: JobContext['log'];
  readonly progress: JobContext['progress'];
  readonly checkpoint: JobContext['checkpoint'];
  readonly metric: JobContext['metric'];
  readonly timeRemainingMs: JobContext['timeRemainingMs'];
  declare readonly [PORT]: HandlerPort;

  constructor(job: ClaimedJob, port: HandlerPort) {
    // Not enumerable, because it knows the lease token, which must not be printed.
    Object.defineProperty(this, PORT, { value: port });
    Object.defineProperty(this, 'signal', SIGNAL);
    this.id = job.id;
    this.type = job.type;
    this.queue = job.queue;
    this.attempt = job.attempt;
    this.maxAttempts = job.maxAttempts;
    this.tags = job.tags;
    this.metadata = job.metadata;
    this.userId = job.userId;
    this.dependencies = job.dependencies;
    this.resultOf = resultsOf(job, port);
    this.workflowId = job.workflowId ?? null;
    this.addToWorkflow = (build) => addToWorkflow(job, port, build);
    this.startWorkflow = (name, build) => startWorkflow(job, port, name, build);
    this.startBatch = (
      name: string,
      target: string | JobDefinition,
      list: readonly unknown[],
      options?: NestedBatchOptions,
    ) => startBatch(job, port, name, batchJson(name, target, list, options));
    this.startSplit = (name, type, items, options) => startSplit(job, port, name, { ...options, name, type, items });
    this.lastCheckpoint = job.checkpoint ?? null;
    this.traceparent = job.traceparent ?? null;
    this.log = logOf(port);
    this.progress = progressOf(port);
    this.checkpoint = (value) => writeCheckpoint(port, value);
    this.metric = (name, value) => writeMetric(port, name, value);
    this.timeRemainingMs = () => port.remainingMs;
  }
}

async function addToWorkflow(
  { workflowId = null }: ClaimedJob,
  port: HandlerPort,
  build: (workflow: WorkflowBuilder) => unknown,
): Promise<Workflow> {
  if (workflowId === null)
    throw new NonRetryableError('this job belongs to no workflow to which jobs could be added', {
      code: 'no_workflow',
    });
  const json = `{"jobs":${await builtParts(build)}}`;
  return port.send({ method: 'POST', path: `/workflows/${workflowId}/jobs`, json });
}

async function startWorkflow(
  { id }: ClaimedJob,
  port: HandlerPort,
  name: string,
  build: (workflow: WorkflowBuilder) => unknown,
): Promise<Workflow> {
  const about = JSON.stringify({ name, idempotencyKey: `${id}:${name}` });
  const json = `${about.slice(0, -1)},"jobs":${await builtParts(build)}}`;
  return port.send({ method: 'POST', path: '/workflows', json, headers: { 'baton-job': id } });
}

async function startBatch(
  { id }: ClaimedJob,
  port: HandlerPort,
  name: string,
  json: Promise<string>,
): Promise<CreatedBatch> {
  return port.send({ method: 'POST', path: '/batches', json: await json, headers: nestedHeaders(id, name) });
}

async function startSplit({ id }: ClaimedJob, port: HandlerPort, name: string, list: object): Promise<CreatedBatch> {
  return port.send({
    method: 'POST',
    path: '/jobs/split',
    json: JSON.stringify(list),
    headers: nestedHeaders(id, name),
  });
}

/** Names may be any text, keys of calls may not. */
function nestedHeaders(id: string, name: string): Record<string, string> {
  const key = `${id}:${createHash('sha256').update(name).digest('base64url')}`;
  return { 'baton-job': id, 'idempotency-key': key };
}

function logOf(port: HandlerPort): JobContext['log'] {
  return {
    debug: (message, fields) => writeLog(port, 'debug', message, fields),
    info: (message, fields) => writeLog(port, 'info', message, fields),
    warn: (message, fields) => writeLog(port, 'warn', message, fields),
    error: (message, fields) => writeLog(port, 'error', message, fields),
  };
}

function writeLog(port: HandlerPort, level: LogLevel, message: string, fields?: Record<string, unknown>): void {
  const json = loggable(fields);
  port.emit({
    kind: 'log',
    line: { level, message: messageOf(message), atMs: monotonicMs(), ...(json !== undefined && { fields: json }) },
  });
}

function writeCheckpoint(port: HandlerPort, value: unknown): Promise<void> {
  const stored = storable(value);
  if (!stored.isStorable || stored.json === undefined || stored.text === undefined) {
    throw new NonRetryableError(
      `the checkpoint cannot be stored: ${stored.isStorable ? 'undefined is not JSON' : stored.detail}`,
      { code: 'invalid_checkpoint' },
    );
  }
  if (stored.text.length > CHECKPOINT_LENGTH) {
    throw new NonRetryableError(
      `the checkpoint has ${stored.text.length} characters of JSON, over ${CHECKPOINT_LENGTH}; store a place to continue from, not the work`,
      {
        code: 'invalid_checkpoint',
      },
    );
  }
  const written = new StoredCheckpoint(() => port.emit({ kind: 'urgent' }));
  port.emit({ kind: 'checkpoint', value: stored.json, stored: written });
  return written.promise;
}

/** An invalid metric only costs the job a log line. */
function writeMetric(port: HandlerPort, name: unknown, value: unknown): void {
  if (
    typeof name === 'string' &&
    METRIC_NAME.test(name) &&
    name !== '__proto__' &&
    typeof value === 'number' &&
    Number.isFinite(value)
  )
    return port.emit({ kind: 'metric', name, value });
  writeLog(
    port,
    'warn',
    'a metric was passed over: it needs a name of 1 to 100 letters, digits and _ . : / -, and a number',
    {
      name,
      value,
    },
  );
}

function progressOf(port: HandlerPort): JobContext['progress'] {
  let lastPercent = 0;
  return (percent, message) => {
    lastPercent = percentOf(percent) ?? lastPercent;
    // Callers without types may pass null for "no message".
    const text = message === undefined || message === null ? undefined : messageOf(message).slice(0, 1000);
    port.emit({ kind: 'progress', percent: lastPercent, ...(text !== undefined && { message: text }) });
  };
}

/** `null` when it is not a number. */
function percentOf(percent: unknown): number | null {
  const number = typeof percent === 'string' && percent.trim() !== '' ? Number(percent) : percent;
  return typeof number !== 'number' || Number.isNaN(number) ? null : Math.min(100, Math.max(0, number));
}
