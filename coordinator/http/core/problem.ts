import type { ServerResponse } from 'node:http';
import type { Problem } from '@baton/runner-sdk/protocol';
import type { z } from 'zod';
import { BatonError, ERRORS } from '../../errors';
import { describeError, type Logger } from '../../logger';
import { fieldErrors } from './faults';
import { isUnavailable, translated } from '../../store/db';

/**
 * Answers with a problem. Errors other than BatonError reveal no internals; the log line with the same request id does.
 */
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
  if (known.allow !== undefined) response.setHeader('Allow', known.allow.join(', '));
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

/**
 * Turns zod's issues into one error: the first fault in words, all of them in `errors`.
 * @param where what was parsed: `body`, `query`, `path`, or the name of an item
 */
export function invalid(where: string, schema: z.ZodType, value: unknown, error: z.ZodError): BatonError {
  const errors = fieldErrors(schema, value, error.issues, where === 'query' ? 'parameter' : 'field').slice(
    0,
    MOST_ERRORS,
  );
  const [first] = errors;
  const rule = first?.message ?? 'is not valid';
  const at = first === undefined || first.path === '' ? where : `${PARTS.get(where) ?? `${where} field`} ${first.path}`;
  return new BatonError('validation_failed', `The ${at} ${rule}${rule.endsWith('?') ? '' : '.'}`, { errors });
}

const MOST_ERRORS = 50;
const PARTS = new Map([
  ['query', 'query parameter'],
  ['path', 'path parameter'],
]);

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

/** Errors thrown by the router. */
function bodyFault(error: unknown): BatonError | null {
  if (typeof error !== 'object' || error === null) return null;
  const status = 'status' in error ? error.status : undefined;
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new BatonError('validation_failed', 'The request could not be read: its path or body is malformed.');
  }
  return null;
}

/** The result of the only item of a call. */
export function orThrow<T>(outcome: T | BatonError | undefined): T {
  if (outcome === undefined) throw missing();
  if (outcome instanceof BatonError) throw outcome;
  return outcome;
}

export function missing(): BatonError {
  return new BatonError('internal', 'The call was not answered.');
}
