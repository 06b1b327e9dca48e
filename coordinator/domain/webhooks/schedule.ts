import type { RetryPolicy } from '@baton/runner-sdk/protocol';
import { backoffMs } from '../../backoff';

/** The result of one attempt. */
export interface Sent {
  /** Null: there was no answer. */
  status: number | null;
  /** What went wrong; null for a 2xx answer. */
  error: string | null;
  /** The delay that the receiver asked for. */
  retryAfterMs: number | null;
  durationMs: number;
}

export type Verdict = { to: 'delivered' } | { to: 'failed' } | { to: 'pending'; delayMs: number };

const WAITS: RetryPolicy = { strategy: 'exponential', baseMs: 5000, factor: 3, maxMs: 4 * 3_600_000, jitter: 0 };
/** Added on top, so that the longest waits differ too. */
const JITTER = 0.2;
/** With the waits above this takes somewhat more than a day. */
export const MOST_FAILURES = 14;
const MOST_RETRY_AFTER_MS = 24 * 3_600_000;
const GONE = 410;

/**
 * Decides whether and when a delivery is retried.
 * @param failures before this attempt
 * @param random a number from 0 (inclusive) to 1 (exclusive)
 */
export function judgeSent(sent: Sent, failures: number, random: number): Verdict {
  if (sent.error === null) return { to: 'delivered' };
  if (isGone(sent) || failures + 1 >= MOST_FAILURES) return { to: 'failed' };
  const waitMs = Math.round(backoffMs(WAITS, failures + 1, 0) * (1 + JITTER * random));
  const wished = Math.min(sent.retryAfterMs ?? 0, MOST_RETRY_AFTER_MS);
  return { to: 'pending', delayMs: Math.max(waitMs, wished) };
}

/** The receiver has answered that the URL no longer exists. */
export function isGone({ status }: Pick<Sent, 'status'>): boolean {
  return status === GONE;
}

/**
 * `Retry-After` in milliseconds. A date is compared with the answer's own `Date`, so that no two clocks are compared.
 */
export function readRetryAfter(sent: string | undefined, date: string | undefined): number | null {
  if (sent === undefined) return null;
  if (/^\d{1,9}$/.test(sent.trim())) return Number(sent) * 1000;
  const waitMs = Date.parse(sent) - Date.parse(date ?? '');
  return Number.isFinite(waitMs) ? Math.max(0, waitMs) : null;
}
