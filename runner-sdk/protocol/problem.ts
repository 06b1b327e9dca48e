import { z } from 'zod';

/** Every code an error may carry, in a problem's `code` and in the items of bulk answers. Codes never change meaning. */
export const errorCode = z.enum([
  'validation_failed',
  'unauthenticated',
  'forbidden',
  'not_found',
  'state_conflict',
  'lease_lost',
  'job_cancelled',
  'idempotency_conflict',
  'dependency_cycle',
  'rate_limited',
  'payload_too_large',
  'unsupported_media_type',
  'unavailable',
  'internal',
]);
export type ErrorCode = z.infer<typeof errorCode>;

export const fieldError = z.object({ path: z.string(), message: z.string() });
export type FieldError = z.infer<typeof fieldError>;

/** The body of every error: RFC 9457, `application/problem+json`. */
export const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: errorCode,
  errors: z.array(fieldError).optional(),
  requestId: z.string(),
});
export type Problem = z.infer<typeof problem>;

/** An error of one item in a bulk answer. */
export const itemError = z.object({ code: errorCode, detail: z.string(), errors: z.array(fieldError).optional() });
export type ItemError = z.infer<typeof itemError>;
