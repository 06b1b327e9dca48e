import { monotonicMs } from '../transport/clock';
import { NonRetryableError } from '../transport/errors';
import { messageOf } from '../transport/failure';
import { loggable, storable } from '../transport/json';
import { StoredCheckpoint } from '../leases/stored-checkpoint';
import type { HandlerOutput } from '../leases/handler-output';
import type { ClaimedJob, LogLevel, Workflow } from '../protocol';
import { builtParts, type WorkflowBuilder } from '../client/workflows';
import type { Send } from '../transport/transport';
import { type ResultOf, resultsOf } from './dependency-results';

/** What a handler is given beside its arguments. Its functions may be taken out and passed around. */
export interface JobContext {
  readonly id: string;
  readonly type: string;
  readonly queue: string;
  /** Counts claims, from 1. With `id` it names this attempt, also to other services. */
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly tags: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>> | null;
  readonly userId: string | null;
  /** Status and result of the jobs this one waited for, by key or id. */
  readonly dependencies: ClaimedJob['dependencies'];
  /**
   * The result of a job that this one waited for; `undefined` if it did not complete. A definition types it, and its schema
   * checks it.
   * @param parent its definition, whose type is its key unless one is given; or its key (or id, without a workflow)
   * @throws {NonRetryableError} `unknown_dependency`, `invalid_result`
   */
  readonly resultOf: ResultOf;
  /** The workflow that the job belongs to; `null`: none. */
  readonly workflowId: string | null;
  /**
   * Adds jobs to the job's own workflow; `after: [w.step(key)]` names what is there. Keys that it has already are left as they
   * are, so that an attempt that is run again adds nothing twice. Throws `NonRetryableError` `no_workflow`.
   */
  readonly addToWorkflow: (build: (workflow: WorkflowBuilder) => unknown) => Promise<Workflow>;
  /**
   * Creates a workflow of its own, for the job's user; once for each job and name, however often the job is run. To go on when
   * that has ended: `throw new SuspendError({ workflowId: nested.id })`.
   */
  readonly startWorkflow: (name: string, build: (workflow: WorkflowBuilder) => unknown) => Promise<Workflow>;
  /** What a former attempt last passed to `checkpoint`, or `null`. */
  readonly lastCheckpoint: unknown;
  /** Aborted at the timeout, on cancel, when the lease is lost and when the runner stops; `reason` says which. */
  readonly signal: AbortSignal;
  /** 0 to 100. Costs next to nothing: only the latest is sent, within 2 s. What is no number leaves the percent as it was. */
  readonly progress: (percent: number, message?: string | null) => void;
  readonly log: Readonly<Record<LogLevel, (message: string, fields?: Record<string, unknown>) => void>>;
  /**
   * Small JSON (256 KiB at most) that the next attempt finds in `lastCheckpoint`. Throws when it is not JSON. It need not
   * be awaited; if it is, it is sent at once, and resolves when it is stored or rejects when it will not be, as when the
   * lease is lost.
   */
  readonly checkpoint: (value: unknown) => Promise<void>;
  /** A number of your own beside the attempt's metrics, such as `rows`. The last value of a name counts; at most 50 names. */
  readonly metric: (name: string, value: number) => void;
  /** The W3C trace context of the job's create, or `null`; with OpenTelemetry the handler runs within that trace. */
  readonly traceparent: string | null;
  /** How long until the signal is aborted with `AttemptTimeoutError`, in milliseconds; never below 0. */
  readonly timeRemainingMs: () => number;
}

/** Connects a handler to its attempt: takes its output, and gives it its signal and remaining time. */
export interface HandlerPort {
  readonly signal: AbortSignal;
  readonly remainingMs: number;
  emit: (output: HandlerOutput) => void;
  /** Sends a call in the name of the attempt. */
  send: Send;
}

const METRIC_NAME = /^[A-Za-z0-9_][\w.:/-]{0,99}$/;
const CHECKPOINT_LENGTH = 256 * 1024;

/** The context of one attempt. */
export function contextOf(job: ClaimedJob, port: HandlerPort): JobContext {
  return new AttemptContext(job, port);
}

const PORT = Symbol('port');

/** Made when the handler takes it: most do not, and a runner runs thousands of them a second. */
const SIGNAL: PropertyDescriptor & ThisType<{ [PORT]: HandlerPort }> = {
  enumerable: true,
  get() {
    return this[PORT].signal;
  },
};

/**
 * A class with one getter for all, since V8 keeps an object literal with a getter of its own as a dictionary, of twice the
 * size and at four times the price. All stands on the object itself, so that a handler may spread it.
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
    // Not to be seen by who prints the context, because it knows the lease token.
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

/** What is no metric costs the job nothing but a line in its log. */
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
    // Callers without types pass null for "no message".
    const text = message === undefined || message === null ? undefined : messageOf(message).slice(0, 1000);
    port.emit({ kind: 'progress', percent: lastPercent, ...(text !== undefined && { message: text }) });
  };
}

/** `null` when it is no number, and says nothing of how far the work is. */
function percentOf(percent: unknown): number | null {
  const number = typeof percent === 'string' && percent.trim() !== '' ? Number(percent) : percent;
  return typeof number !== 'number' || Number.isNaN(number) ? null : Math.min(100, Math.max(0, number));
}
