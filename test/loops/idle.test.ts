import { AsyncLocalStorage } from 'node:async_hooks';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { startCoordinator } from '../support/coordinator';

// What a coordinator asks of the database while nothing happens.

/** Enough for what a loop does only every so many rounds. */
const ROUNDS = 30;

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());
afterEach(() => jest.restoreAllMocks());

/** Counts the statements that a piece of work sends, whatever else is sent meanwhile. */
function countStatements(): (work: () => Promise<unknown>) => Promise<number> {
  const counting = new AsyncLocalStorage<{ count: number }>();
  const send = Client.prototype.query as (...sent: unknown[]) => unknown;
  jest.spyOn(Client.prototype, 'query').mockImplementation(function (this: Client, ...sent: unknown[]) {
    const counter = counting.getStore();
    if (counter !== undefined) counter.count += 1;
    return send.apply(this, sent);
  });
  return async (work) => {
    const counter = { count: 0 };
    await counting.run(counter, work);
    return counter.count;
  };
}

test('its loops send less than six statements a second', async () => {
  const countOf = countStatements();
  const perSecond: Record<string, number> = {};
  // Their first rounds may wait for connections that are still being made, which are not counted.
  for (const loop of Object.values(coordinator.app.loops)) await loop.runOnce();
  for (const [name, loop] of Object.entries(coordinator.app.loops)) {
    let statements = 0;
    for (let round = 0; round < ROUNDS; round += 1) statements += await countOf(() => loop.runOnce());
    // The timeout monitor rests in tests; by itself it runs once a second.
    const intervalMs = name === 'monitor' ? 1000 : loop.intervalMs;
    perSecond[name] = (statements / ROUNDS) * (1000 / intervalMs);
  }
  const total = Object.values(perSecond).reduce((sum, one) => sum + one);
  expect(total).toBeLessThan(6);
  // They begin a transaction each round, so they run seldom unless the poller of pending work wakes them.
  expect(Math.max(perSecond['alerts'] ?? NaN, perSecond['bulk'] ?? NaN)).toBeLessThanOrEqual(0.5);
  // It does count.
  expect(total).toBeGreaterThan(3);
});

test('V8 is told before all else how much memory to keep and for how long, and knows the words', () => {
  const root = join(__dirname, '../..');
  const [first] = /^import .*$/m.exec(readFileSync(join(root, 'coordinator/main.ts'), 'utf8')) ?? [];
  expect(first).toBe("import './v8-settings';");
  const { stderr, status } = spawnSync(process.execPath, [join(root, 'coordinator/dist/v8-settings.js')], {
    encoding: 'utf8',
  });
  expect([stderr, status]).toEqual(['', 0]);
});
