import { ERROR_STATUS, type ErrorCode, type FieldError, type ItemError } from '@baton/runner-sdk/protocol';

interface ErrorKind {
  status: number;
  /** Short, and the same for every error with this code. */
  title: string;
  /** Whether the same call, unchanged, may succeed later. */
  retryable: boolean;
  /** What the caller should do; included in docs/errors.md. */
  remedy: string;
}

/** Every error that a caller can see, with its texts. */
const KINDS: Record<ErrorCode, Omit<ErrorKind, 'status'>> = {
  validation_failed: {
    title: 'The request is not valid',
    retryable: false,
    remedy: 'Correct the fields listed in `errors`; each entry gives a path into the request and the allowed values.',
  },
  unauthenticated: {
    title: 'No valid credentials',
    retryable: false,
    remedy: 'Send `Authorization: Bearer <api key>` with a key that is neither revoked nor expired.',
  },
  forbidden: {
    title: 'This key is not allowed to do that',
    retryable: false,
    remedy: 'Use a key whose role, user, queues and types allow the call.',
  },
  not_found: {
    title: 'Not found',
    retryable: false,
    remedy: 'Check the id and the path. Resources of other users are reported as not found.',
  },
  method_not_allowed: {
    title: 'The path does not support this method',
    retryable: false,
    remedy: 'Use one of the methods in the `Allow` header.',
  },
  host_not_allowed: {
    title: 'This coordinator does not serve that host name',
    retryable: false,
    remedy: 'Use a host name listed in `BATON_ALLOWED_HOSTS`, or add this one to it. Another key does not help.',
  },
  origin_not_allowed: {
    title: 'Pages of another origin are not allowed to do that',
    retryable: false,
    remedy: 'Send an API key instead of the session cookie, or call from a page that the coordinator serves.',
  },
  queue_full: {
    title: 'The queue is full',
    retryable: true,
    remedy: 'Wait for `Retry-After` seconds, or until the queue is shorter than its `maxWaiting`.',
  },
  state_conflict: {
    title: 'The current state does not allow this',
    retryable: false,
    remedy: 'Read the job again; `docs/state-machine.md` lists the transitions that each status allows.',
  },
  name_taken: {
    title: 'The name is taken',
    retryable: false,
    remedy: 'Choose another name, or change what has this one: `PUT /schedules` creates or replaces by name.',
  },
  invalid_arguments: {
    title: 'The arguments fit no schema of the type',
    retryable: false,
    remedy:
      'Correct what `errors` names. `GET /types/:type` shows the schemas that the runners of the type have published; the check is a setting of the queue, `checkArguments`.',
  },
  lease_lost: {
    title: 'The lease is no longer valid',
    retryable: false,
    remedy:
      'Stop working on this attempt. Its lease has expired, was released, or was replaced by that of a later attempt. A late outcome is stored with the attempt.',
  },
  job_cancelled: {
    title: 'The job was cancelled',
    retryable: false,
    remedy: 'Stop working on this attempt.',
  },
  idempotency_conflict: {
    title: 'The idempotency key was used for another request',
    retryable: false,
    remedy: 'Use a new key for a new request, or repeat the first request unchanged.',
  },
  dependency_cycle: {
    title: 'The dependencies form a cycle',
    retryable: false,
    remedy: 'Remove one of the dependencies named in `detail`.',
  },
  rate_limited: {
    title: 'Too many requests',
    retryable: true,
    remedy: 'Wait for `Retry-After` seconds, then repeat the call.',
  },
  payload_too_large: {
    title: 'The payload is too large',
    retryable: false,
    remedy: 'Send less data, or store it elsewhere and send a reference.',
  },
  unsupported_media_type: {
    title: 'The body is not JSON',
    retryable: false,
    remedy: 'Send JSON with `Content-Type: application/json`.',
  },
  unsupported_protocol: {
    title: 'The runner speaks another version of the protocol',
    retryable: false,
    remedy:
      'The header `Baton-Protocol` of every answer says which versions this coordinator speaks. Upgrade the side that is behind: the SDK of a runner whose version is below, the coordinator when it is above.',
  },
  unavailable: {
    title: 'Temporarily unavailable',
    retryable: true,
    remedy:
      'Repeat the call after `Retry-After` seconds. Creates with an idempotency key, claims with a `claimId`, and reports are safe to repeat.',
  },
  internal: {
    title: 'Internal error',
    retryable: true,
    remedy: "Repeat the call; if it persists, look for `requestId` in the coordinator's log.",
  },
};

/** The same with their statuses. `docs/errors.md` is generated from this table. */
export const ERRORS = Object.fromEntries(
  Object.entries(KINDS).map(([code, kind]) => [code, { status: ERROR_STATUS[code as ErrorCode], ...kind }]),
) as Record<ErrorCode, ErrorKind>;

/** An error whose code, detail and field errors are sent to the caller. */
export class BatonError extends Error {
  readonly retryAfterMs: number | undefined;
  readonly errors: FieldError[] | undefined;
  /** With `method_not_allowed`: the methods that the path supports. */
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
    return ERROR_STATUS[this.code];
  }

  /** As an item of a bulk response. */
  toItem(): ItemError {
    return { code: this.code, detail: this.message, ...(this.errors === undefined ? {} : { errors: this.errors }) };
  }
}
