import { Loop } from '../../coordinator/loops/loop';
import type { Logger } from '../../coordinator/logger';
import { eventually } from '../support/eventually';

const warnings: unknown[] = [];
const log = {
  error: jest.fn(),
  info: jest.fn(),
  debug: jest.fn(),
  warn: (message: unknown) => warnings.push(message),
} as unknown as Logger;

function loopOf(round: () => Promise<boolean>, intervalMs = 1): Loop {
  return new Loop({ name: 'test', intervalMs, round, log });
}

test('rounds follow each other, never two at once, until it is stopped', async () => {
  let [rounds, under, most] = [0, 0, 0];
  const loop = loopOf(async () => {
    most = Math.max(most, (under += 1));
    await new Promise((resolve) => setImmediate(resolve));
    under -= 1;
    rounds += 1;
    return false;
  });
  loop.start();
  await eventually(() => rounds > 5);
  await loop.stop();
  const atStop = rounds;
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect([most, rounds]).toEqual([1, atStop]);
});

test('a round that left something is followed at once', async () => {
  let left = 50;
  const loop = loopOf(async () => (left -= 1) > 0, 3_600_000);
  loop.start();
  await eventually(() => left <= 0);
  await loop.stop();
});

test('a round that fails is told and followed by others', async () => {
  let rounds = 0;
  const loop = loopOf(async () => {
    rounds += 1;
    if (rounds < 3) throw new Error('not yet');
    return false;
  });
  expect(loop.lagMs()).toBeNull();
  loop.start();
  await eventually(() => loop.lagMs() !== null);
  await loop.stop();
  expect(warnings).toEqual(['the test failed and will be tried again', 'the test failed and will be tried again']);
});

test('stop waits for the round under way', async () => {
  let [isUnder, isOver] = [false, false];
  let end: () => void = () => undefined;
  const loop = loopOf(async () => {
    isUnder = true;
    await new Promise<void>((resolve) => (end = resolve));
    isOver = true;
    return false;
  });
  loop.start();
  await eventually(() => isUnder);
  const stopped = loop.stop();
  end();
  await stopped;
  expect(isOver).toBe(true);
});

test('runOnce runs a round though the loop was never started', async () => {
  let rounds = 0;
  await loopOf(async () => ((rounds += 1), false)).runOnce();
  expect(rounds).toBe(1);
});

test('what fails is not woken by the regular poll before its time; by a notification it is', async () => {
  let rounds = 0;
  let isFailing = false;
  const loop = loopOf(async () => {
    rounds += 1;
    if (isFailing) throw new Error('no');
    return false;
  }, 3_600_000);
  loop.start();
  await eventually(() => rounds === 1);
  await loop.runOnce();
  loop.wakeUnlessFailing(0);
  await eventually(() => rounds === 3);
  isFailing = true;
  await loop.runOnce();
  loop.wakeUnlessFailing(0);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(rounds).toBe(4);
  loop.wake(0);
  await eventually(() => rounds === 5);
  await loop.stop();
});

test('what runs seldom is tried again soon after it failed', async () => {
  let rounds = 0;
  const loop = loopOf(async () => {
    rounds += 1;
    throw new Error('no');
  }, 3_600_000);
  loop.start();
  try {
    await eventually(() => rounds > 1);
  } finally {
    await loop.stop();
  }
});
