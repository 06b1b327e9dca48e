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

const BASE_MS = 5000;
const FACTOR = 3;
const MOST_MS = 4 * 3_600_000;
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
  const wished = Math.min(sent.retryAfterMs ?? 0, MOST_RETRY_AFTER_MS);
  return { to: 'pending', delayMs: Math.max(backoffMs(failures + 1, random), wished) };
}

/** The receiver wants nothing of it any more. */
export function isGone({ status }: Pick<Sent, 'status'>): boolean {
  return status === GONE;
}

/** How long to wait after the n-th failure, n from 1. */
export function backoffMs(failures: number, random: number): number {
  return Math.round(Math.min(MOST_MS, BASE_MS * FACTOR ** (failures - 1)) * (1 + JITTER * random));
}

/** `Retry-After` in milliseconds. A date is read against the answer's own `Date`, so that no two clocks are compared. */
export function readRetryAfter(sent: string | undefined, date: string | undefined): number | null {
  if (sent === undefined) return null;
  if (/^\d{1,9}$/.test(sent.trim())) return Number(sent) * 1000;
  const waitMs = Date.parse(sent) - Date.parse(date ?? '');
  return Number.isFinite(waitMs) ? Math.max(0, waitMs) : null;
}
