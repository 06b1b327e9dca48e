import type { Lane } from '../../coordinator/state/lanes';
import { RateLimitTimers } from '../../coordinator/dispatch/rate-limit-timers';

// When lanes of queues with rate limits are opened again.

beforeAll(() => jest.useFakeTimers());
afterAll(() => jest.useRealTimers());

const PACES: Record<string, number> = { slow: 950, fast: 50, faster: 1, slowest: 1000 };
const lane = (id: number, queue: string): Lane => ({
  id,
  queue,
  type: 't',
  priority: 0,
  requires: null,
  prefers: null,
  key: String(id),
});

function begin(): { timers: RateLimitTimers; opened: number[] } {
  const opened: number[] = [];
  const context = {
    queueSettings: { paceMs: (queue: string) => PACES[queue] ?? null },
    readyLanes: { reopen: (ids: number[]) => void opened.push(...ids) },
  };
  return { timers: new RateLimitTimers(context, 1000, () => undefined), opened };
}

/** What is opened up to this time, in milliseconds from the last. */
function after(ms: number, opened: number[]): number[] {
  jest.advanceTimersByTime(ms);
  return opened.splice(0);
}

test('each queue is opened in its own time, whatever others wait for', () => {
  const { timers, opened } = begin();
  timers.start([lane(1, 'slow')]);
  timers.start([lane(2, 'fast'), lane(3, 'faster'), lane(4, 'none'), lane(5, 'slowest')]);
  expect([
    after(19, opened),
    after(1, opened),
    after(30, opened),
    after(899, opened),
    after(1, opened),
    after(9000, opened),
  ]).toEqual([[], [3], [2], [], [1], []]);
});

test('lanes of one queue are opened together, when the first is; and then each again', () => {
  const { timers, opened } = begin();
  timers.start([lane(1, 'fast')]);
  jest.advanceTimersByTime(40);
  timers.start([lane(1, 'fast'), lane(2, 'fast')]);
  expect(after(10, opened)).toEqual([1, 2]);
  timers.start([lane(2, 'fast')]);
  expect(after(50, opened)).toEqual([2]);
});

test('nothing is opened after the end', () => {
  const { timers, opened } = begin();
  timers.start([lane(1, 'fast')]);
  timers.close();
  expect(after(9000, opened)).toEqual([]);
});
