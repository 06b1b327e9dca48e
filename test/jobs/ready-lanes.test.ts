import { ReadyLanes } from '../../coordinator/domain/jobs/ready-lanes';

const LANE = { id: 7 };
const AT = Date.UTC(2026, 0, 1);
const hint = (dueInMs: number, runAtMs = AT + dueInMs) => ({ laneId: LANE.id, dueInMs, runAtMs });
const head = (runAtMs: number, id = '5', dueInMs = 0) => ({ laneId: LANE.id, runAt: new Date(runAtMs), id, dueInMs });

let ready: ReadyLanes;
beforeEach(() => (ready = new ReadyLanes()));

const isDue = (now: number) => ready.due([LANE, { id: 8 }], now).length === 1;

test('nothing is due of which nothing was heard', () => {
  expect(isDue(1e9)).toBe(false);
  expect(ready.nextDueAt(0)).toBe(Infinity);
  expect(ready.from(LANE.id)).toBeNull();
});

test('a hint makes a lane due at its time', () => {
  ready.hint([hint(100)], 1000);
  expect(ready.nextDueAt(1000)).toBe(1100);
  expect([isDue(1099), isDue(1100)]).toEqual([false, true]);
});

test('a hint of the past makes a lane due now', () => {
  ready.hint([hint(-500)], 1000);
  expect(isDue(1000)).toBe(true);
});

test('a drained lane rests until the next time it heard of', () => {
  ready.hint([hint(0), hint(300), hint(200)], 1000);
  ready.drained(LANE.id, ready.version(LANE.id));
  expect([isDue(1100), isDue(1200)]).toEqual([false, true]);
});

test('an earlier hint keeps the later one', () => {
  ready.hint([hint(300), hint(0)], 1000);
  ready.drained(LANE.id, ready.version(LANE.id));
  expect(ready.nextDueAt(1000)).toBe(1300);
});

test('a hint that comes while a claim is under way is not drained away by it', () => {
  ready.hint([hint(0)], 1000);
  const before = ready.version(LANE.id);
  ready.hint([hint(0)], 1001);
  ready.drained(LANE.id, before);
  expect(isDue(1001)).toBe(true);
});

test('claims move the bound forward, never back', () => {
  ready.advance(LANE.id, { runAt: new Date(AT), id: '5' });
  ready.advance(LANE.id, { runAt: new Date(AT - 1), id: '9' });
  ready.advance(LANE.id, { runAt: new Date(AT), id: '4' });
  expect(ready.from(LANE.id)).toEqual({ runAt: new Date(AT), id: '5' });
  ready.advance(LANE.id, { runAt: new Date(AT), id: '6' });
  expect(ready.from(LANE.id)).toEqual({ runAt: new Date(AT), id: '6' });
});

test.each([[0], [-1]])('a job that is put %i ms from the bound moves it back', (byMs) => {
  ready.advance(LANE.id, { runAt: new Date(AT), id: '5' });
  ready.hint([hint(0, AT + byMs)], 0);
  expect(ready.from(LANE.id)).toEqual({ runAt: new Date(AT + byMs), id: null });
});

test('a look at the table puts right what was believed', () => {
  ready.hint([hint(0)], 1000);
  ready.advance(LANE.id, { runAt: new Date(AT + 5000), id: '5' });
  ready.seen([head(AT, '1', 40)], ready.versions(), 2000);
  expect(ready.from(LANE.id)).toEqual({ runAt: new Date(AT), id: '1' });
  expect(ready.nextDueAt(2000)).toBe(2040);
});

test('a lane that a look did not see is empty', () => {
  ready.hint([hint(0)], 1000);
  ready.seen([], ready.versions(), 2000);
  expect(isDue(1e9)).toBe(false);
});

test('what was hinted during a look is kept, and the earlier place counts', () => {
  const before = ready.versions();
  ready.hint([hint(0)], 1000);
  ready.seen([], before, 1001);
  expect(isDue(1001)).toBe(true);
  ready.advance(LANE.id, { runAt: new Date(AT), id: '5' });
  ready.seen([head(AT - 10)], before, 1002);
  expect(ready.from(LANE.id)?.runAt).toEqual(new Date(AT - 10));
});
