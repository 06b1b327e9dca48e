import { DEFAULT_RETRY, retryPolicy, type RetryPolicy } from '@baton/runner-sdk/protocol';
import fc from 'fast-check';
import { backoffMs } from '../../coordinator/backoff';
import { decideRetry } from '../../coordinator/domain/jobs/retry';

const durations = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 30 * 86_400_000 }));
const policies: fc.Arbitrary<RetryPolicy> = fc
  .record({
    strategy: fc.constantFrom('exponential', 'linear', 'fixed'),
    baseMs: durations,
    maxMs: durations,
    jitter: fc.double({ min: 0, max: 1, noNaN: true }),
    factor: fc.double({ min: 1, max: 100, noNaN: true }),
  })
  .map(({ factor, ...rest }) => retryPolicy.parse(rest.strategy === 'exponential' ? { ...rest, factor } : rest));
const randoms = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
const failures = fc.integer({ min: 1, max: 1000 });

test('a backoff is a whole number of milliseconds between none and the policy’s longest, whatever the policy', () => {
  fc.assert(
    fc.property(policies, failures, randoms, (policy, count, random) => {
      const delay = backoffMs(policy, count, random);
      expect(Number.isInteger(delay)).toBe(true);
      expect(delay).toBeGreaterThanOrEqual(0);
      expect(delay).toBeLessThanOrEqual(policy.maxMs);
    }),
    {
      numRuns: 2000,
      examples: [[{ strategy: 'exponential', baseMs: 0, factor: 100, maxMs: 1000, jitter: 0 }, 1000, 0.5]],
    },
  );
});

test('jitter stretches a backoff by at most its share', () => {
  fc.assert(
    fc.property(policies, failures, randoms, (policy, count, random) => {
      const least = backoffMs({ ...policy, jitter: 0 }, count, random);
      const delay = backoffMs(policy, count, random);
      expect(delay).toBeGreaterThanOrEqual(least);
      expect(delay).toBeLessThanOrEqual(Math.min(policy.maxMs, Math.ceil(least * (1 + policy.jitter)) + 1));
    }),
    { numRuns: 1000 },
  );
});

test.each([
  ['exponential', [4000, 8000, 16_000, 32_000]],
  ['linear', [4000, 8000, 12_000, 16_000]],
  ['fixed', [4000, 4000, 4000, 4000]],
] as const)('%s grows as it says', (strategy, delays) => {
  const policy = retryPolicy.parse({ strategy, jitter: 0 });
  expect([1, 2, 3, 4].map((count) => backoffMs(policy, count, 0.9))).toEqual(delays);
});

test('by default the first retry comes after 4 to 8 s, each following range doubles, none is over an hour', () => {
  const range = (count: number) => [
    backoffMs(DEFAULT_RETRY, count, 0),
    backoffMs(DEFAULT_RETRY, count, 1 - Number.EPSILON),
  ];
  expect(range(1)).toEqual([4000, 8000]);
  expect(range(2)).toEqual([8000, 16_000]);
  expect(range(11)).toEqual([3_600_000, 3_600_000]);
});

test('a failure is retried while it is retryable and tries are left, and only then', () => {
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.integer({ min: 0, max: 20 }),
      fc.integer({ min: 1, max: 20 }),
      randoms,
      (retryable, before, maxAttempts, random) => {
        const verdict = decideRetry({ retryable }, { failures: before, maxAttempts, retry: null }, random);
        expect(verdict.to).toBe(retryable && before + 1 < maxAttempts ? 'pending' : 'failed');
      },
    ),
  );
});

test('the runner’s own wish for when goes before the policy', () => {
  expect(decideRetry({ retryable: true, retryAfterMs: 0 }, { failures: 0, maxAttempts: 2, retry: null }, 0)).toEqual({
    to: 'pending',
    delayMs: 0,
  });
  expect(decideRetry({ retryable: false, retryAfterMs: 5 }, { failures: 0, maxAttempts: 2, retry: null }, 0)).toEqual({
    to: 'failed',
  });
});
