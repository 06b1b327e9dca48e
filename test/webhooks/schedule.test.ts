import { judgeSent, MOST_FAILURES, readRetryAfter, type Sent } from '../../coordinator/domain/webhooks/schedule';

const failed: Sent = { status: 500, error: 'it answered 500', retryAfterMs: null, durationMs: 1 };
const DAY_MS = 86_400_000;

describe('what comes of an attempt', () => {
  test('an answer of 2xx ends it, 410 too, all else is tried again for about a day', () => {
    expect(judgeSent({ ...failed, status: 200, error: null }, 0, 0)).toEqual({ to: 'delivered' });
    expect(judgeSent({ ...failed, status: 410 }, 0, 0)).toEqual({ to: 'failed' });
    expect(judgeSent(failed, MOST_FAILURES - 1, 0)).toEqual({ to: 'failed' });
    const waits = (random: number) =>
      Array.from({ length: MOST_FAILURES - 1 }, (_, failures) => judgeSent(failed, failures, random)).map((verdict) =>
        verdict.to === 'pending' ? verdict.delayMs : NaN,
      );
    const sum = (list: number[]) => list.reduce((total, one) => total + one, 0);
    expect(waits(0).slice(0, 4)).toEqual([5000, 15_000, 45_000, 135_000]);
    expect(sum(waits(0))).toBeGreaterThan(DAY_MS);
    expect(sum(waits(0.999))).toBeLessThan(1.3 * DAY_MS);
  });

  test('no wait is the same for all, and none is over five hours', () => {
    const waitMs = (failures: number, random: number) => {
      const verdict = judgeSent(failed, failures, random);
      return verdict.to === 'pending' ? verdict.delayMs : NaN;
    };
    for (let failures = 0; failures < MOST_FAILURES - 1; failures += 1) {
      expect(waitMs(failures, 0.9)).toBeGreaterThan(waitMs(failures, 0.1));
      expect(waitMs(failures, 0.999)).toBeLessThan(5 * 3_600_000);
    }
  });

  test('the receiver may wish to wait longer, not shorter, and not for ever', () => {
    const delay = (retryAfterMs: number) => judgeSent({ ...failed, status: 429, retryAfterMs }, 0, 0);
    expect([delay(60_000), delay(1), delay(30 * DAY_MS)]).toEqual([
      { to: 'pending', delayMs: 60_000 },
      { to: 'pending', delayMs: 5000 },
      { to: 'pending', delayMs: DAY_MS },
    ]);
  });

  test.each<[string | undefined, string | undefined, number | null]>([
    ['120', undefined, 120_000],
    [' 5 ', undefined, 5000],
    [undefined, undefined, null],
    ['soon', 'Wed, 21 Oct 2026 07:28:00 GMT', null],
    ['-5', undefined, null],
    ['1e9', undefined, null],
    ['Wed, 21 Oct 2026 07:30:00 GMT', 'Wed, 21 Oct 2026 07:28:00 GMT', 120_000],
    ['Wed, 21 Oct 2026 07:20:00 GMT', 'Wed, 21 Oct 2026 07:28:00 GMT', 0],
    ['Wed, 21 Oct 2026 07:30:00 GMT', undefined, null],
  ])('Retry-After %j with Date %j is %j ms', (sent, date, waitMs) => {
    expect(readRetryAfter(sent, date)).toBe(waitMs);
  });
});
