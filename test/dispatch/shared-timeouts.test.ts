import { SharedTimeouts } from '../../coordinator/dispatch/shared-timeouts';

// Waits that end together.

const PERIOD_MS = 1000;

beforeEach(() => jest.useFakeTimers({ now: 1_000_000 }));
afterEach(() => jest.useRealTimers());

/** Goes from round to round until the wait is over; how long that was. */
function waitedMs(timeouts: SharedTimeouts<string>, waiter: string): number {
  for (let waited = 0; waited < 100_000; waited += PERIOD_MS) {
    if (timeouts.takeExpired().includes(waiter)) return waited;
    jest.advanceTimersByTime(PERIOD_MS);
  }
  throw new Error('the wait never ends');
}

test.each([10_000, 12_345, 12_346.7, 35_001, 49_999])(
  'a wait of %d ms ends in the last round before its end',
  (waitMs) => {
    const timeouts = new SharedTimeouts<string>(PERIOD_MS);
    for (let phase = 0; phase < PERIOD_MS; phase += 37) {
      jest.advanceTimersByTime(37);
      timeouts.add('one', waitMs);
      const waited = waitedMs(timeouts, 'one');
      expect(waited).toBeLessThanOrEqual(waitMs);
      expect(waited).toBeGreaterThan(waitMs - PERIOD_MS - 100);
    }
  },
);

test('what is taken out is not over any more', () => {
  const timeouts = new SharedTimeouts<string>(PERIOD_MS);
  timeouts.add('stays', 2000);
  timeouts.add('leaves', 2000).delete('leaves');
  jest.advanceTimersByTime(2000);
  expect(timeouts.takeExpired()).toEqual(['stays']);
  expect(timeouts.takeExpired()).toEqual([]);
});

test('rounds that come late, or not at all for a while, leave nobody behind', () => {
  const timeouts = new SharedTimeouts<string>(PERIOD_MS);
  timeouts.takeExpired();
  for (let waitMs = 10_000; waitMs < 20_000; waitMs += 100) timeouts.add(`${waitMs}`, waitMs);
  jest.advanceTimersByTime(60_000);
  expect(timeouts.takeExpired()).toHaveLength(100);
});
