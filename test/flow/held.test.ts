import { expectStatus } from '../support/api';
import { eventually } from '../support/eventually';
import { numbers, Stage } from './stage';

// Nothing stays held, or waits for the next look of a loop, when what held it has ended: the loops rest here.

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
  await stage.restDueLoops();
});
afterAll(() => stage.close());

const KEY = { concurrencyKey: 'k' };

/** Stops statements that hold a job by its key at the moment after they have counted, until they are let go. */
async function whileHolding<T>(start: () => Promise<T>, meanwhile: () => Promise<unknown>): Promise<T> {
  await stage.sql.query(`
    CREATE OR REPLACE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(77); RETURN NEW; END $$;
    CREATE TRIGGER gate BEFORE INSERT OR UPDATE ON jobs FOR EACH ROW WHEN (NEW.hold = 'key') EXECUTE FUNCTION gate();`);
  const guard = await stage.sql.session();
  try {
    await guard.query({ text: 'SELECT pg_advisory_lock(77)' });
    const started = start();
    await guard.hasWaiter();
    await meanwhile();
    await guard.query({ text: 'SELECT pg_advisory_unlock(77)' });
    return await started;
  } finally {
    await guard.end();
    await stage.sql.query('DROP TRIGGER gate ON jobs');
  }
}

test('a job that is held while the one before it completes goes on', async () => {
  const queue = await stage.queue({ concurrencyPerKey: 1 });
  await stage.create(queue, 1, KEY);
  const [first] = await stage.claim(queue);
  if (first === undefined) throw new Error('nothing claimed');
  const { body } = await whileHolding(
    () => stage.two.api.post<{ id: string }>('/jobs', { type: 'work', queue, ...KEY }),
    () => stage.one.api.complete(first),
  );
  expect((await stage.claim(queue, 1, { waitMs: 3000 })).map(({ id }) => id)).toEqual([body.id]);
});

test('a job that a claim holds back while the one before it completes goes on', async () => {
  const queue = await stage.queue();
  await stage.create(queue, 2, KEY);
  await stage.set(queue, { concurrencyPerKey: 1 });
  const [first] = await stage.claim(queue);
  if (first === undefined) throw new Error('nothing claimed');
  const second = await whileHolding(
    () => stage.claim(queue, 1, { waitMs: 3000 }, stage.two),
    () => stage.one.api.complete(first),
  );
  expect(numbers(second)).toEqual([1]);
});

test('jobs over their limit at the head of a queue do not keep a claim from those behind them', async () => {
  const queue = await stage.queue({ fair: false });
  await stage.create(queue, 40, KEY);
  await stage.create(queue, 1, { concurrencyKey: 'other', arguments: { n: 99 } });
  await stage.set(queue, { concurrencyPerKey: 1 });
  expect(numbers(await stage.claim(queue))).toEqual([0]);
  expect(numbers(await stage.claim(queue, 1, { waitMs: 5000 }))).toEqual([99]);
});

test('a job in turn that no runner takes does not hold those of its key that a runner takes', async () => {
  const queue = await stage.queue({ concurrencyPerKey: 1 });
  await stage.create(queue, 1, { ...KEY, type: 'nobody-takes-it' });
  await stage.create(queue, 2, KEY);
  expect(await stage.drain(queue)).toEqual([0, 1]);
});

test('a job in turn at a low priority does not hold an urgent one of its key', async () => {
  const queue = await stage.queue({ concurrencyPerKey: 1 });
  await stage.create(queue, 2, (n) => ({ ...KEY, priority: n * 10 }));
  expect(await stage.drain(queue)).toEqual([1, 0]);
});

test('jobs for later hold nobody, nor do those that are put off while they are held', async () => {
  const queue = await stage.queue({ concurrencyPerKey: 1 });
  await stage.create(queue, 1, { ...KEY, priority: 10, arguments: { n: 7 } });
  const [running] = await stage.claim(queue);
  const [putOff] = await stage.create(queue, 1, { ...KEY, priority: 10 });
  if (running === undefined || putOff === undefined) throw new Error('nothing claimed');
  expectStatus(
    await stage.one.api.patch(`/jobs/${putOff.id}`, { runAt: new Date(Date.now() + 3_600_000).toISOString() }),
    200,
  );
  await stage.create(queue, 20, { ...KEY, priority: 10, delayMs: 3_600_000 });
  await stage.create(queue, 1, { ...KEY, arguments: { n: 5 } });
  expectStatus(await stage.one.api.complete(running), 200);
  expect(await stage.drain(queue)).toEqual([5]);
  expect(await stage.held(queue)).toBe(0);
});

test.each([
  ['raised', 3, 2],
  ['taken away', null, 2499],
])('a limit that is %s lets held jobs go on at once', async (_what, concurrencyPerKey, more) => {
  const queue = await stage.queue({ concurrencyPerKey: 1 });
  await stage.create(queue, 2500, KEY);
  expect(await stage.claim(queue)).toHaveLength(1);
  expect(await stage.held(queue)).toBe(2499);
  await stage.set(queue, { concurrencyPerKey }, stage.two);
  expect(
    await stage.sql.count('jobs WHERE queue = $1 AND position IS NOT NULL AND status = $2', [queue, 'pending']),
  ).toBe(more);
});

test('a job held by key, in an order, keeps its place in it', async () => {
  const queue = await stage.queue({ concurrencyPerKey: 1 });
  const order = { orderKey: 'o', orderOnFailure: 'skip' as const };
  const [first] = await stage.create(queue, 1, { ...order, maxAttempts: 1 });
  const [failing] = await stage.claim(queue);
  if (first === undefined || failing === undefined) throw new Error('nothing claimed');
  expectStatus(await stage.one.api.complete(failing, { outcome: 'failed', error: { message: 'no' } }), 200);
  await stage.create(queue, 1, { ...KEY, arguments: { n: 5 } });
  const [holder] = await stage.claim(queue);
  await stage.create(queue, 1, { ...order, ...KEY, arguments: { n: 6 } });
  if (holder === undefined) throw new Error('nothing claimed');
  // The second of the order is held by its key; the first is retried: both together would break the order.
  expectStatus(await stage.one.api.post(`/jobs/${first.id}/retry`), 200);
  expectStatus(await stage.one.api.complete(holder), 200);
  expect(numbers(await stage.claim(queue, 2))).toHaveLength(1);
  await eventually(
    () => stage.sql.count("jobs WHERE queue = $1 AND status = 'running'", [queue]),
    (running) => running === 1,
  );
});

test('what a crash left behind is derived from the rows', async () => {
  const queue = await stage.queue({ concurrencyPerKey: 1 });
  await stage.create(queue, 3, (n) => (n === 2 ? { ...KEY, orderKey: 'o' } : KEY));
  await stage.create(queue, 2, { orderKey: 'x' });
  const claimed = await stage.claim(queue, 5);
  expect(numbers(claimed).sort()).toEqual([0, 0]);
  await stage.sql.query(
    "UPDATE jobs SET status = 'completed', finished_at = now(), lease_expires_at = NULL, deadline_at = NULL WHERE id = ANY ($1)",
    [claimed.map(({ id }) => id)],
  );
  expect(await stage.claim(queue, 5)).toEqual([]);
  await eventually(
    async () => {
      await stage.two.app.loops.due.runOnce();
      return numbers(await stage.claim(queue, 5)).sort();
    },
    (found) => found.length === 2,
  );
});
