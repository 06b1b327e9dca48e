import { Poller } from '../../coordinator/dispatch/poller';

// One poll for all who wait.

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

const PERIOD_MS = 1000;

function stage() {
  const seen: string[] = [];
  const polls: (() => void)[] = [];
  const stage = { seen, polls, isNeeded: true, poller: undefined as unknown as Poller };
  stage.poller = new Poller(PERIOD_MS, {
    poll: () => {
      seen.push('poll');
      return new Promise((resolve) => polls.push(resolve));
    },
    isNeeded: () => stage.isNeeded,
    onPolled: () => seen.push('polled'),
    onPeriod: () => seen.push('period'),
    onStop: () => seen.push('stop'),
  });
  return stage;
}

test('it polls every period, never twice at once, and calls onPeriod also while a poll takes longer', async () => {
  const { seen, polls, poller } = stage();
  poller.start();
  poller.start();
  jest.advanceTimersByTime(2 * PERIOD_MS);
  poller.poll();
  expect(seen.splice(0)).toEqual(['period', 'poll', 'period']);
  polls.shift()?.();
  await poller.settled();
  expect(seen.splice(0)).toEqual(['polled']);
  jest.advanceTimersByTime(PERIOD_MS);
  expect(seen).toEqual(['period', 'poll']);
});

test('a poll may be started as soon as the last one has ended, from onPolled too', async () => {
  const { seen, polls, poller } = stage();
  poller.poll();
  polls.shift()?.();
  await poller.settled();
  poller.poll();
  expect(seen).toEqual(['poll', 'polled', 'poll']);
});

test('it stops when nobody waits, and starts again', () => {
  const one = stage();
  one.poller.start();
  one.isNeeded = false;
  jest.advanceTimersByTime(5 * PERIOD_MS);
  expect([one.seen.splice(0), one.poller.isRunning]).toEqual([['period', 'stop'], false]);
  one.isNeeded = true;
  one.poller.start();
  jest.advanceTimersByTime(PERIOD_MS);
  expect(one.seen).toEqual(['period', 'poll']);
});
