import type { RetryPolicy } from '@baton/runner-sdk/protocol';

/**
 * How long to wait after the n-th failure in a row, n from 1, in milliseconds.
 * @param random a number from 0 (inclusive) to 1 (exclusive)
 */
export function backoffMs(policy: RetryPolicy, failures: number, random: number): number {
  const stretched = baseMs(policy, failures) * (1 + policy.jitter * random);
  return Math.round(Math.min(policy.maxMs, stretched));
}

function baseMs(policy: RetryPolicy, failures: number): number {
  switch (policy.strategy) {
    case 'exponential':
      // A base of 0 stays 0, although the factor's power may have grown to infinity.
      return policy.baseMs === 0 ? 0 : policy.baseMs * policy.factor ** (failures - 1);
    case 'linear':
      return policy.baseMs * failures;
    case 'fixed':
      return policy.baseMs;
  }
}
