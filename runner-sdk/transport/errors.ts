import type { FieldError, Job } from '../protocol';

/**
 * Marks an error class so that `instanceof` recognises errors created by another copy of this package, or in another
 * realm such as a test runner's. Derived classes follow the ordinary rule.
 */
function recognisable(errorClass: abstract new (...args: never[]) => Error, name: string): void {
  const mark = Symbol.for(`@baton/runner-sdk:${name}`);
  Object.defineProperty(errorClass.prototype, mark, { value: true });
  Object.defineProperty(errorClass, Symbol.hasInstance, {
    value(this: unknown, error: unknown): boolean {
      if (this !== errorClass) return Function.prototype[Symbol.hasInstance].call(this, error);
      try {
        return typeof error === 'object' && error !== null && (error as Record<symbol, unknown>)[mark] === true;
      } catch {
        return false;
      }
    },
  });
}

export interface BatonErrorFields {
  code: string;
  /** The HTTP status; 0 when no answer came. */
  status: number;
  detail: string;
  errors?: FieldError[];
  requestId?: string | null;
  retryAfterMs?: number | null;
  cause?: unknown;
}

/**
 * A call that the coordinator refused, that could not reach it, or that was refused before it was sent. `code` is one
 * of the protocol's codes, or one of the SDK's own: `unreachable` (no answer), `unexpected_reply` (an answer that is
 * not the coordinator's), `invalid_arguments`, `invalid_result`, `wait_timeout`.
 */
export class BatonError extends Error {
  override readonly name = 'BatonError';
  readonly code: string;
  readonly status: number;
  readonly detail: string;
  readonly errors: FieldError[];
  /** Identifies the coordinator's log lines of this call. */
  readonly requestId: string | null;
  /** How long the coordinator asked to wait before a retry, in milliseconds; `null`: it did not. */
  readonly retryAfterMs: number | null;

  constructor(fields: BatonErrorFields) {
    super(describe(fields), { cause: fields.cause });
    this.code = fields.code;
    this.status = fields.status;
    this.detail = fields.detail;
    this.errors = fields.errors ?? [];
    this.requestId = fields.requestId ?? null;
    this.retryAfterMs = fields.retryAfterMs ?? null;
  }
}

function describe({ code, detail, errors, requestId }: BatonErrorFields): string {
  const faults = (errors ?? []).slice(0, 10).map((fault) => `${fault.path || 'value'}: ${fault.message}`);
  const list = faults.length === 0 ? '' : ` (${faults.join('; ')})`;
  return `${code}: ${detail}${list}${requestId ? ` [request ${requestId}]` : ''}`;
}

/** A missing or invalid setting; thrown where it is used, before anything is sent. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
}

/** Thrown by a handler: a retry would not help, so the job fails at once. */
export class NonRetryableError extends Error {
  override readonly name = 'NonRetryableError';
  readonly code: string;

  constructor(message: string, options: { code?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.code = options.code ?? 'non_retryable';
  }
}

/** Thrown by a handler: a failure that is retried after `retryAfterMs` instead of the job's own backoff. */
export class RetryAfterError extends Error {
  override readonly name = 'RetryAfterError';
  readonly code: string;

  constructor(
    readonly retryAfterMs: number,
    message = Number.isNaN(Number(retryAfterMs)) ? 'try again later' : `try again in ${retryAfterMs} ms`,
    options: { code?: string; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.code = options.code ?? 'retry_after';
  }
}

/**
 * Thrown by a handler: not a failure, but too early. The job is released and comes again after `delayMs`; no failure is
 * counted.
 */
export class SnoozeError extends Error {
  override readonly name = 'SnoozeError';

  constructor(
    readonly delayMs: number,
    message = Number.isNaN(Number(delayMs)) ? 'not yet' : `not before ${delayMs} ms`,
  ) {
    super(message);
  }
}

/**
 * Thrown by a handler: it goes on when a workflow or batch has ended, such as one that it created. Until then the job
 * is `blocked` and takes no slot; then it comes again, with its last checkpoint, and `job.dependencies[id].status` says
 * how that ended. Nothing is counted. One that waits for the job itself fails the attempt with `dependency_cycle`.
 */
export class SuspendError extends Error {
  override readonly name = 'SuspendError';

  constructor(readonly until: { workflowId: string } | { batchId: string }) {
    super(`not before ${'workflowId' in until ? `workflow ${until.workflowId}` : `batch ${until.batchId}`} has ended`);
  }
}

/** Why `job.signal` was aborted: its `reason` is one of the four below. */
export abstract class AttemptAbortedError extends Error {
  abstract readonly code: 'timeout' | 'job_cancelled' | 'lease_lost' | 'runner_stopping';
}

/** The attempt ran for the job's `timeoutMs`. It is reported as failed, and retried if attempts are left. */
export class AttemptTimeoutError extends AttemptAbortedError {
  override readonly name = 'AttemptTimeoutError';
  readonly code = 'timeout';

  constructor(readonly timeoutMs: number) {
    super(`the attempt ran for its timeoutMs of ${timeoutMs} ms`);
  }
}

/** The job was cancelled. Nothing is reported. */
export class AttemptCancelledError extends AttemptAbortedError {
  override readonly name = 'AttemptCancelledError';
  readonly code = 'job_cancelled';

  constructor() {
    super('the job was cancelled');
  }
}

/** The lease was lost, so the job may already run elsewhere. Nothing is reported. */
export class LeaseLostError extends AttemptAbortedError {
  override readonly name = 'LeaseLostError';
  readonly code = 'lease_lost';

  constructor(detail = 'the coordinator has given the job away') {
    super(`the lease is lost: ${detail}`);
  }
}

/** The runner is stopping and its grace period is over. The job is released, and no failure is counted. */
export class RunnerStoppingError extends AttemptAbortedError {
  override readonly name = 'RunnerStoppingError';
  readonly code = 'runner_stopping';

  constructor() {
    super('the runner is stopping');
  }
}

/** `client.wait`: the job failed for good. Its last error is in `job.error`. */
export class JobFailedError extends Error {
  override readonly name = 'JobFailedError';

  constructor(readonly job: Job) {
    super(
      `job ${job.id} (${job.type}) failed after ${job.failures} of ${job.maxAttempts} tries: ${job.error?.message ?? 'no error was given'}`,
    );
  }
}

/** `client.wait`: the job was cancelled. */
export class JobCancelledError extends Error {
  override readonly name = 'JobCancelledError';

  constructor(readonly job: Job) {
    super(`job ${job.id} (${job.type}) was cancelled${job.reason ? `: ${job.reason}` : ''}`);
  }
}

for (const [name, errorClass] of Object.entries({
  BatonError,
  ConfigurationError,
  NonRetryableError,
  RetryAfterError,
  SnoozeError,
  AttemptAbortedError,
  AttemptTimeoutError,
  AttemptCancelledError,
  LeaseLostError,
  RunnerStoppingError,
  JobFailedError,
  JobCancelledError,
}))
  recognisable(errorClass, name);
