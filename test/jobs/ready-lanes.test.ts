import { ReadyLanes } from '../../coordinator/domain/jobs/ready-lanes';

const LANE = { id: 7 };
const AT = Date.UTC(2026, 0, 1);
const hint = (positionMs = AT) => ({ laneId: LANE.id, positionMs });
const head = (positionMs: number, id = '5') => ({ laneId: LANE.id, position: new Date(positionMs), id });

let ready: ReadyLanes;
beforeEach(() => (ready = new ReadyLanes()));

const isReady = () => ready.ready([LANE, { id: 8 }]).length === 1;

test('nothing is ready of which nothing was heard', () => {
  expect(isReady()).toBe(false);
  expect(ready.from(LANE.id)).toBeNull();
});

test('a hint makes a lane ready, a claim that found too little drains it', () => {
  ready.hint([hint()]);
  expect(isReady()).toBe(true);
  ready.drained(LANE.id, ready.version(LANE.id));
  expect(isReady()).toBe(false);
});

test.each([
  ['a hint', () => ready.hint([hint()])],
  ['room in a limit', () => ready.reopen([LANE.id])],
])('%s that comes while a claim is under way is not drained away by it', (_what, happen) => {
  ready.hint([hint()]);
  const before = ready.version(LANE.id);
  happen();
  ready.drained(LANE.id, before);
  expect(isReady()).toBe(true);
});

test('claims move the bound forward, never back', () => {
  ready.advance(LANE.id, { position: new Date(AT), id: '5' });
  ready.advance(LANE.id, { position: new Date(AT - 1), id: '9' });
  ready.advance(LANE.id, { position: new Date(AT), id: '4' });
  expect(ready.from(LANE.id)).toEqual({ position: new Date(AT), id: '5' });
  ready.advance(LANE.id, { position: new Date(AT), id: '6' });
  expect(ready.from(LANE.id)).toEqual({ position: new Date(AT), id: '6' });
});

test.each([[0], [-1]])('a job that is put %i ms from the bound moves it back', (byMs) => {
  ready.advance(LANE.id, { position: new Date(AT), id: '5' });
  ready.hint([hint(AT + byMs)]);
  expect(ready.from(LANE.id)).toEqual({ position: new Date(AT + byMs), id: null });
});

test('a look at the table puts right what was believed', () => {
  ready.advance(LANE.id, { position: new Date(AT + 5000), id: '5' });
  ready.seen([head(AT, '1')], ready.versions());
  expect(ready.from(LANE.id)?.position).toEqual(new Date(AT));
  expect(isReady()).toBe(true);
});

test('a lane that a look did not see is empty', () => {
  ready.hint([hint()]);
  ready.seen([], ready.versions());
  expect(isReady()).toBe(false);
});

test('what was hinted during a look is kept, and the earlier place counts', () => {
  const before = ready.versions();
  ready.hint([hint()]);
  ready.seen([], before);
  expect(isReady()).toBe(true);
  ready.advance(LANE.id, { position: new Date(AT), id: '5' });
  ready.seen([head(AT - 10)], before);
  expect(ready.from(LANE.id)?.position).toEqual(new Date(AT - 10));
});
