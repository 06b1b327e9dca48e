import type { RetryPolicy } from '@baton/runner-sdk/protocol';
import { backoffMs } from '../../backoff';

/** What came of one attempt. */
export interface Sent {
  /** Null: there was no answer. */
  status: number | null;
  /** What was wrong; null for an answer of 2xx. */
  error: string | null;
  /** The receiver's wish for when to try again. */
  retryAfterMs: number | null;
  durationMs: number;
}

export type Verdict = { to: 'delivered' } | { to: 'failed' } | { to: 'pending'; delayMs: number };

const WAITS: RetryPolicy = { strategy: 'exponential', baseMs: 5000, factor: 3, maxMs: 4 * 3_600_000, jitter: 0 };
/** On top, so that the longest waits differ too. */
const JITTER = 0.2;
/** With the waits above they take a day and a bit. */
export const MOST_FAILURES = 14;
const MOST_RETRY_AFTER_MS = 24 * 3_600_000;
const GONE = 410;

/**
 * Whether and when a delivery is tried again.
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

/** The receiver wants nothing of it any more. */
export function isGone({ status }: Pick<Sent, 'status'>): boolean {
  return status === GONE;
}

/** `Retry-After` in milliseconds. A date is read against the answer's own `Date`, so that no two clocks are compared. */
export function readRetryAfter(sent: string | undefined, date: string | undefined): number | null {
  if (sent === undefined) return null;
  if (/^\d{1,9}$/.test(sent.trim())) return Number(sent) * 1000;
  const waitMs = Date.parse(sent) - Date.parse(date ?? '');
  return Number.isFinite(waitMs) ? Math.max(0, waitMs) : null;
}
