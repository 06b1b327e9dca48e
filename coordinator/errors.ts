import type { ErrorCode, FieldError, ItemError } from '@baton/runner-sdk/protocol';

interface ErrorKind {
  status: number;
  /** Short and the same for every error of its kind. */
  title: string;
  /** Whether the same call may succeed later, unchanged. */
  retryable: boolean;
  /** What a caller does about it; printed into docs/errors.md. */
  remedy: string;
}

/** Every error a caller can see. `docs/errors.md` is printed from this table. */
export const ERRORS: Record<ErrorCode, ErrorKind> = {
  validation_failed: {
    status: 400,
    title: 'The request is not valid',
    retryable: false,
    remedy: 'Mend what `errors` names; each entry has a path into the request and what is allowed there.',
  },
  unauthenticated: {
    status: 401,
    title: 'No valid credentials',
    retryable: false,
    remedy: 'Send `Authorization: Bearer <api key>` with a key that is neither revoked nor expired.',
  },
  forbidden: {
    status: 403,
    title: 'This key may not do that',
    retryable: false,
    remedy: 'Use a key whose role, user, queues or types allow it.',
  },
  not_found: {
    status: 404,
    title: 'There is no such thing',
    retryable: false,
    remedy: 'Check the id and the path. What belongs to another user answers like what does not exist.',
  },
  method_not_allowed: {
    status: 405,
    title: 'The path does not take this method',
    retryable: false,
    remedy: 'Use one of the methods that the header `Allow` names.',
  },
  host_not_allowed: {
    status: 403,
    title: 'This coordinator does not answer for that host',
    retryable: false,
    remedy: 'Call it by a name that `BATON_ALLOWED_HOSTS` lists, or add the name there. No key changes that.',
  },
  origin_not_allowed: {
    status: 403,
    title: 'A page of another origin may not do that',
    retryable: false,
    remedy: "Send a key instead of the browser's session, or call from the coordinator's own pages.",
  },
  queue_full: {
    status: 429,
    title: 'The queue is full',
    retryable: true,
    remedy: 'Wait for `Retry-After` seconds, or until the queue is shorter than its `maxWaiting`.',
  },
  state_conflict: {
    status: 409,
    title: 'The state does not allow it',
    retryable: false,
    remedy: 'Read the job again; `docs/state-machine.md` lists what each status allows.',
  },
  lease_lost: {
    status: 409,
    title: 'The lease is no longer held',
    retryable: false,
    remedy:
      'Stop working on this attempt. Its lease ran out, was released, or went to another attempt; a late outcome is kept on the attempt.',
  },
  job_cancelled: {
    status: 409,
    title: 'The job was cancelled',
    retryable: false,
    remedy: 'Stop working on this attempt.',
  },
  idempotency_conflict: {
    status: 409,
    title: 'The idempotency key was used for another request',
    retryable: false,
    remedy: 'Use a new key for a new request, or repeat the first request unchanged.',
  },
  dependency_cycle: {
    status: 400,
    title: 'The dependencies form a cycle',
    retryable: false,
    remedy: 'Remove one of the dependencies that `detail` names.',
  },
  rate_limited: {
    status: 429,
    title: 'Too many requests',
    retryable: true,
    remedy: 'Wait for `Retry-After` seconds.',
  },
  payload_too_large: {
    status: 413,
    title: 'The payload is too large',
    retryable: false,
    remedy: 'Send less, or store the data elsewhere and send a reference to it.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'The body is not JSON',
    retryable: false,
    remedy: 'Send JSON with `Content-Type: application/json`.',
  },
  unavailable: {
    status: 503,
    title: 'Not available at the moment',
    retryable: true,
    remedy:
      'Repeat the call after `Retry-After` seconds; creates with an idempotency key, claims with a claim id and reports are safe to repeat.',
  },
  internal: {
    status: 500,
    title: 'Something went wrong on our side',
    retryable: true,
    remedy: "Repeat the call; if it persists, look for `requestId` in the coordinator's log.",
  },
};

/** An error whose code, detail and field errors a caller may read. */
export class BatonError extends Error {
  readonly retryAfterMs: number | undefined;
  readonly errors: FieldError[] | undefined;
  /** Of a method that the path does not take: those that it does. */
  readonly allow: readonly string[] | undefined;

  constructor(
    readonly code: ErrorCode,
    detail: string,
    extra: { errors?: FieldError[]; retryAfterMs?: number; allow?: readonly string[]; cause?: unknown } = {},
  ) {
    super(detail, { cause: extra.cause });
    this.name = 'BatonError';
    this.errors = extra.errors;
    this.allow = extra.allow;
    this.retryAfterMs = extra.retryAfterMs;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  /** As it stands among the items of a bulk answer. */
  toItem(): ItemError {
    return { code: this.code, detail: this.message, ...(this.errors === undefined ? {} : { errors: this.errors }) };
  }
}
