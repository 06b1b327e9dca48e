import type { ServerResponse } from 'node:http';
import type { FieldError, Problem } from '@baton/runner-sdk/protocol';
import type { z } from 'zod';
import { BatonError, ERRORS } from '../errors';
import { describeError, type Logger } from '../logger';
import { isUnavailable, translated } from '../store/db';

/** Answers with a problem. What is not a BatonError tells nothing of the inside; the log line with its request id does. */
export function sendProblem(response: ServerResponse, error: unknown, requestId: string, log: Logger): void {
  const known = toBatonError(error);
  if (known.code === 'internal') log.error('a request failed', { requestId, ...describeError(error) });
  if (known.code === 'unavailable')
    log.warn('a request met a database that is away', { requestId, ...describeError(known.cause ?? known) });
  if (response.headersSent || response.destroyed) return;
  const { status, title } = ERRORS[known.code];
  if (known.retryAfterMs !== undefined || status === 429 || status === 503) {
    response.setHeader('Retry-After', String(Math.max(1, Math.ceil((known.retryAfterMs ?? 1000) / 1000))));
  }
  if (status === 401) response.setHeader('WWW-Authenticate', 'Bearer');
  const problem: Problem = {
    type: `urn:baton:error:${known.code}`,
    title,
    status,
    detail: known.message,
    code: known.code,
    ...(known.errors === undefined ? {} : { errors: known.errors }),
    requestId,
  };
  response.statusCode = status;
  response.setHeader('Content-Type', 'application/problem+json');
  response.end(JSON.stringify(problem));
}

/** Turns what zod found into one error: the first fault in words, all of them in `errors`. */
export function invalid(where: string, error: z.ZodError): BatonError {
  const errors = error.issues.flatMap((issue) => toFieldErrors(issue)).slice(0, 50);
  const [first] = errors;
  const at = first === undefined || first.path === '' ? where : `${where} field ${first.path}`;
  return new BatonError('validation_failed', `The ${at}: ${first?.message ?? 'is not valid'}.`, { errors });
}

function toBatonError(error: unknown): BatonError {
  const known = translated(error);
  if (known instanceof BatonError) return known;
  if (isUnavailable(error)) return new BatonError('unavailable', 'Not available at the moment.', { cause: error });
  return (
    bodyFault(error) ??
    new BatonError('internal', 'Something went wrong on our side; the request id names it in our log.', {
      cause: error,
    })
  );
}

/** What the body reader and the router throw. */
function bodyFault(error: unknown): BatonError | null {
  if (typeof error !== 'object' || error === null) return null;
  const type = 'type' in error ? error.type : undefined;
  if (type === 'entity.too.large')
    return new BatonError('payload_too_large', 'The request takes more than 16 MiB. Split it into several.');
  if (type === 'entity.parse.failed') return new BatonError('validation_failed', 'The body is not well-formed JSON.');
  if (type === 'encoding.unsupported' || type === 'charset.unsupported') {
    return new BatonError(
      'unsupported_media_type',
      'The body must be UTF-8 JSON, plain or compressed with gzip, deflate or br.',
    );
  }
  const status = 'status' in error ? error.status : undefined;
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new BatonError('validation_failed', 'The request could not be read: its path or body is malformed.');
  }
  return null;
}

function toFieldErrors(issue: z.core.$ZodIssue): FieldError[] {
  const path = issue.path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      path: path === '' ? key : `${path}.${key}`,
      message: 'is not a field of this call',
    }));
  }
  if (issue.code === 'invalid_union') {
    const branches = issue.errors.map((branch) => branch[0]).filter((one) => one !== undefined);
    const nested = branches.find((one) => one.path.length > 0);
    if (nested !== undefined) return toFieldErrors({ ...nested, path: [...issue.path, ...nested.path] });
    return [
      { path, message: [...new Set(branches.map((one) => lower(one.message)))].join(', or ') || lower(issue.message) },
    ];
  }
  return [{ path, message: lower(issue.message) }];
}

function lower(message: string): string {
  return message.replace(/^Invalid input: /, '').replace(/^Invalid /, 'invalid ');
}

/** What became of one item of a call that has only one. */
export function orThrow<T>(outcome: T | BatonError | undefined): T {
  if (outcome === undefined) throw missing();
  if (outcome instanceof BatonError) throw outcome;
  return outcome;
}

export function missing(): BatonError {
  return new BatonError('internal', 'The call was not answered.');
}
