import { ReadyLanes } from '../../coordinator/state/ready-lanes';

const LANE = { id: 7 };
const AT = Date.UTC(2026, 0, 1);
const at = (positionMs = AT) => ({ laneId: LANE.id, positionMs });
const head = (positionMs: number, { id = '5', isClosed = false } = {}) => ({
  laneId: LANE.id,
  position: new Date(positionMs),
  id,
  isClosed,
});

let ready: ReadyLanes;
beforeEach(() => (ready = new ReadyLanes()));

const isReady = () => ready.among([LANE, { id: 8 }]).length === 1;

test('a lane that nothing is known of is not ready', () => {
  expect(isReady()).toBe(false);
  expect(ready.from(LANE.id)).toBeNull();
});

test('a notification makes a lane ready, a claim that found too few jobs makes it empty', () => {
  ready.markReady([at()]);
  expect(isReady()).toBe(true);
  ready.exhausted(LANE.id, ready.now);
  expect(isReady()).toBe(false);
});

test.each([
  ['a notification', () => ready.markReady([at()])],
  ['room in a limit', () => ready.reopen([LANE.id])],
])('%s that arrives while a claim is under way outlives it', (_what, happen) => {
  ready.markReady([at()]);
  const before = ready.now;
  happen();
  ready.exhausted(LANE.id, before);
  expect(isReady()).toBe(true);
});

test('claims move the lower bound forward, never back', () => {
  ready.advance(LANE.id, { position: new Date(AT), id: '5' });
  ready.advance(LANE.id, { position: new Date(AT - 1), id: '9' });
  ready.advance(LANE.id, { position: new Date(AT), id: '4' });
  expect(ready.from(LANE.id)).toEqual({ position: new Date(AT), id: '5' });
  ready.advance(LANE.id, { position: new Date(AT), id: '6' });
  expect(ready.from(LANE.id)).toEqual({ position: new Date(AT), id: '6' });
});

test.each([[0], [-1]])('a job at %i ms from the bound moves it back', (byMs) => {
  ready.advance(LANE.id, { position: new Date(AT), id: '5' });
  ready.markReady([at(AT + byMs)]);
  expect(ready.from(LANE.id)).toEqual({ position: new Date(AT + byMs), id: null });
});

test('a poll of the table corrects the bound', () => {
  ready.advance(LANE.id, { position: new Date(AT + 5000), id: '5' });
  ready.sync([head(AT, { id: '1' })], ready.now);
  expect(ready.from(LANE.id)?.position).toEqual(new Date(AT));
  expect(isReady()).toBe(true);
});

test('a lane that a poll did not find is empty', () => {
  ready.markReady([at()]);
  ready.sync([], ready.now);
  expect(isReady()).toBe(false);
});

test('a lane of a queue that gives nothing now is not ready until it is reopened, also during the poll', () => {
  ready.markReady([at()]);
  ready.sync([head(AT, { isClosed: true })], ready.now);
  expect(isReady()).toBe(false);
  // It still tells what the time of its queue is.
  expect(ready.hasJobs(LANE.id)).toBe(true);
  expect(ready.from(LANE.id)?.position).toEqual(new Date(AT));
  const before = ready.now;
  ready.reopen([LANE.id]);
  ready.sync([head(AT, { isClosed: true })], before);
  expect(isReady()).toBe(true);
  ready.close(LANE.id, before);
  expect(isReady()).toBe(true);
  ready.close(LANE.id, ready.now);
  expect([isReady(), ready.hasJobs(LANE.id)]).toEqual([false, true]);
});

test('a lane notified of during a poll stays ready, and the earlier position counts', () => {
  const before = ready.now;
  ready.markReady([at()]);
  ready.sync([], before);
  expect(isReady()).toBe(true);
  ready.advance(LANE.id, { position: new Date(AT), id: '5' });
  ready.sync([head(AT - 10)], before);
  expect(ready.from(LANE.id)?.position).toEqual(new Date(AT - 10));
});
