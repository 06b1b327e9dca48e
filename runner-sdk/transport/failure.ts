import { inspect } from 'node:util';
import { isErrorLike, readProperty as read, type ErrorLike } from './error-like';
import { NonRetryableError, RetryAfterError } from './errors';
import { storable } from './json';
import type { ReportedError } from '../protocol';

/** The longest delay that the coordinator accepts: 30 days. */
const LONGEST_DELAY_MS = 30 * 86_400_000;
const MOST_CAUSES = 5;
const MOST_ERRORS = 10;

/** Describes a thrown value: an error's message, or the value as text. Never throws. */
export function messageOf(thrown: unknown): string {
  try {
    return textOf(thrown);
  } catch {
    return inspected(thrown);
  }
}

function textOf(thrown: unknown): string {
  if (typeof thrown === 'string') return thrown;
  if (typeof thrown !== 'object' || thrown === null) return inspect(thrown);
  if (Array.isArray(thrown)) return thrown.some(isErrorLike) ? joined(thrown) : written(thrown);
  const message = read(thrown, 'message');
  const own = typeof message === 'string' ? message : '';
  if (!isErrorLike(thrown)) return own === '' ? written(thrown) : own;
  const held = errorsIn(thrown);
  if (held.length > 0) return own === '' ? joined(held) : `${own}: ${joined(held)}`;
  if (own !== '') return own;
  return message === undefined || message === '' ? nameOf(thrown) : inspected(message);
}

/** The report of any value thrown by a handler. Never throws. */
export function reportOf(thrown: unknown): ReportedError {
  const message = messageOf(thrown);
  try {
    return { message, ...detailsOf(thrown) };
  } catch {
    return { message, retryable: true };
  }
}

function detailsOf(thrown: unknown): Omit<ReportedError, 'message'> {
  const code = codeOf(thrown);
  const stack = stackOf(thrown);
  const retryAfterMs = thrown instanceof RetryAfterError ? delayMsOf(thrown.retryAfterMs) : null;
  return {
    ...(code !== null && { code }),
    ...(stack !== null && { stack }),
    retryable: !(thrown instanceof NonRetryableError),
    ...(retryAfterMs !== null && { retryAfterMs }),
  };
}

/**
 * A delay as the coordinator accepts it, in whole milliseconds from 0 to 30 days; `null` when it is not a number, so
 * that the job's own backoff is used.
 */
export function delayMsOf(ms: unknown): number | null {
  const number = typeof ms === 'string' && ms.trim() !== '' ? Number(ms) : ms;
  if (typeof number !== 'number' || Number.isNaN(number)) return null;
  return Math.min(LONGEST_DELAY_MS, Math.max(0, Math.round(number)));
}

/** Its `code` if it has one, as text or as a number (MongoDB and gRPC); else the name of an error. */
function codeOf(thrown: unknown): string | null {
  if (typeof thrown !== 'object' || thrown === null) return null;
  const code = read(thrown, 'code');
  if (typeof code === 'string' && code !== '') return code;
  if (typeof code === 'number' || typeof code === 'bigint') return String(code);
  return isErrorLike(thrown) ? nameOf(thrown) : null;
}

/**
 * The stack, with those of all causes and nested errors; for other values the value itself, unless the message contains
 * all of it.
 */
function stackOf(thrown: unknown, depth = 0): string | null {
  if (typeof thrown !== 'object' || thrown === null) return depth === 0 ? null : inspect(thrown);
  if (!isErrorLike(thrown)) {
    const isAllInMessage = depth === 0 && !Array.isArray(thrown) && typeof read(thrown, 'message') !== 'string';
    return isAllInMessage ? null : inspected(thrown);
  }
  const stack = read(thrown, 'stack');
  const parts = [typeof stack === 'string' && stack !== '' ? stack : `${nameOf(thrown)}: ${messageOf(thrown)}`];
  if (depth < MOST_CAUSES) {
    const cause = read(thrown, 'cause');
    if (cause !== undefined && cause !== null) parts.push(`Caused by: ${stackOf(cause, depth + 1)}`);
    for (const [index, error] of errorsIn(thrown).slice(0, MOST_ERRORS).entries())
      parts.push(`[errors ${index}]: ${stackOf(error, depth + 1)}`);
  }
  return parts.join('\n');
}

function errorsIn(error: ErrorLike): unknown[] {
  const errors = read(error, 'errors');
  // Validation libraries have lists of other things under this name, and describe them in the message.
  return Array.isArray(errors) && errors.some(isErrorLike) ? errors : [];
}

function joined(errors: readonly unknown[]): string {
  const rest = errors.length - MOST_ERRORS;
  const texts = errors
    .slice(0, MOST_ERRORS)
    .map((error) => (Array.isArray(error) ? inspected(error) : messageOf(error)));
  return `${texts.join('; ')}${rest > 0 ? `; and ${rest} more` : ''}`;
}

function nameOf(error: object): string {
  const name = read(error, 'name');
  return typeof name === 'string' && name !== '' ? name : 'Error';
}

/** As JSON if nothing is lost, else as `util.inspect` shows it. */
function written(value: object): string {
  const stored = storable(value);
  return stored.isStorable && stored.text !== undefined ? stored.text : inspected(value);
}

function inspected(value: unknown): string {
  try {
    return inspect(value, { depth: 3, breakLength: 120, maxArrayLength: 20, maxStringLength: 1000 });
  } catch {
    return 'something that cannot be described was thrown';
  }
}
