import { z } from 'zod';

/**
 * Every error code, in a problem's `code` and in the items of bulk answers, with its HTTP status. Codes never change
 * their meaning.
 */
export const ERROR_STATUS = {
  validation_failed: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  host_not_allowed: 403,
  origin_not_allowed: 403,
  state_conflict: 409,
  name_taken: 409,
  invalid_arguments: 422,
  lease_lost: 409,
  job_cancelled: 409,
  idempotency_conflict: 409,
  dependency_cycle: 400,
  rate_limited: 429,
  queue_full: 429,
  payload_too_large: 413,
  unsupported_media_type: 415,
  unsupported_protocol: 400,
  unavailable: 503,
  internal: 500,
} as const;
export type ErrorCode = keyof typeof ERROR_STATUS;
export const errorCode = z.enum(Object.keys(ERROR_STATUS) as [ErrorCode, ...ErrorCode[]]);

export const fieldError = z.object({
  path: z.string().describe('Where in the request the fault is, such as `retry.baseMs`.'),
  message: z.string().describe('What is wrong and what is allowed there.'),
  pointer: z
    .string()
    .optional()
    .describe('The same place as a JSON pointer (RFC 6901); only with `invalid_arguments`.'),
});
export type FieldError = z.infer<typeof fieldError>;

/** The body of every error: RFC 9457, `application/problem+json`. */
export const problem = z.object({
  type: z.string().describe('A URI for the kind of error: `urn:baton:error:` and the code.'),
  title: z.string().describe('A short text, the same for every error of its kind.'),
  status: z.int().describe('The HTTP status.'),
  detail: z.string().describe('What went wrong this time and what to do about it, in words.'),
  code: errorCode.describe('A stable code to program against.'),
  errors: z.array(fieldError).optional().describe('The faults of the single fields, if the request was invalid.'),
  requestId: z.string().describe("The `X-Request-Id` of the answer, which finds the coordinator's log lines."),
});
export type Problem = z.infer<typeof problem>;

/** An error of one item in a bulk answer. */
export const itemError = z.object({
  code: errorCode.describe('A stable code to program against.'),
  detail: z.string().describe('What went wrong and what to do about it, in words.'),
  errors: z.array(fieldError).optional().describe('The faults of the single fields, if the item was invalid.'),
});
export type ItemError = z.infer<typeof itemError>;
