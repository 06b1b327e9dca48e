import { DEFAULT_RETRY, type RetryPolicy } from '@baton/runner-sdk/protocol';
import { backoffMs } from '../../backoff';

export interface Failure {
  retryable: boolean;
  /** The delay that the runner asked for. */
  retryAfterMs?: number | undefined;
}

export interface Tries {
  /** Failures and timeouts before this one. */
  failures: number;
  maxAttempts: number;
  /** Null: the default policy. */
  retry: RetryPolicy | null;
}

export type Verdict = { to: 'pending'; delayMs: number } | { to: 'failed' };

/**
 * The only function that decides whether a failed job is retried, and when.
 * @param random a number from 0 (inclusive) to 1 (exclusive)
 */
export function decideRetry(failure: Failure, tries: Tries, random: number): Verdict {
  const failures = tries.failures + 1;
  if (!failure.retryable || failures >= tries.maxAttempts) return { to: 'failed' };
  return { to: 'pending', delayMs: failure.retryAfterMs ?? backoffMs(tries.retry ?? DEFAULT_RETRY, failures, random) };
}
