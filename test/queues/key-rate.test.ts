import { expectStatus } from '../support/api';
import { eventually } from '../support/eventually';
import { numbers, Stage } from '../flow/stage';
import { mostOver, Witness } from './witness';

let stage: Stage;
let witness: Witness;
beforeAll(async () => {
  stage = await Stage.open();
  witness = await Witness.install(stage.sql);
});
afterAll(() => stage.close());

const MONTH_MS = 30 * 86_400_000;
const KEYS = ['one.example', 'two.example', 'three.example'];
const monthly = (max: number) => ({ keyRateLimit: { max, perMs: MONTH_MS } });
const keyed = (n: number) => ({ concurrencyKey: KEYS[n % 3] ?? '' });

/** Lets so much time pass for the buckets of a queue. */
const pass = (queue: string, tokens: number, max: number) =>
  stage.sql.query(
    "UPDATE key_buckets SET full_at = full_at - $2 * interval '1 ms', next_at = next_at - $2 * interval '1 ms' WHERE queue = $1",
    [queue, Math.ceil((tokens * MONTH_MS) / max)],
  );

test('hosts at two coordinators never start more of a key than its bucket holds and its refill, and start all', async () => {
  const [rate, count] = [{ max: 4, perMs: 400 }, 36];
  const queue = await stage.queue({ keyRateLimit: rate });
  await stage.create(queue, count, (n) => ({
    ...keyed(n),
    type: n % 2 === 0 ? 'work' : 'other',
    priority: n % 2,
  }));
  let started = 0;
  const host = async (on: number): Promise<void> => {
    while (started < count) {
      const wanted = { types: ['work', 'other'], waitMs: 500, runnerId: `host-${on}` };
      const jobs = await stage.claim(queue, 5, wanted, stage.both[on % 2]);
      started += jobs.length;
    }
  };
  await Promise.all([0, 1, 2, 3].map(host));
  for (const key of KEYS) {
    const starts = await witness.starts(queue, key);
    expect(starts).toHaveLength(count / 3);
    // A start is witnessed a moment after the bucket was looked at.
    expect(mostOver(starts, rate)).toBeLessThanOrEqual(1);
  }
});

test('each key has a bucket of its own, over lanes and coordinators; jobs without a key have none', async () => {
  const queue = await stage.queue(monthly(2));
  await stage.create(queue, 30, (n) => ({ ...keyed(n), type: n % 2 === 0 ? 'work' : 'other', priority: n % 5 }));
  await stage.create(queue, 10);
  const types = ['work', 'other'];
  const first = await stage.claim(queue, 3, { types });
  const all = [...first, ...(await drained(queue, types))];
  expect(await Promise.all(KEYS.map(async (key) => (await witness.starts(queue, key)).length))).toEqual([2, 2, 2]);
  expect(all).toHaveLength(3 * 2 + 10);
  await held(queue, 24);
});

test('jobs that are created for claims that wait take tokens too', async () => {
  const queue = await stage.queue(monthly(2));
  const waiting = stage.both.map((on) => stage.claim(queue, 1, { waitMs: 20_000 }, on));
  await stage.create(queue, 1, keyed(0));
  await stage.create(queue, 1, keyed(0), stage.two);
  expect((await Promise.all(waiting)).flat()).toHaveLength(2);
  await stage.create(queue, 3, keyed(0));
  expect(await drained(queue)).toEqual([]);
  await held(queue, 3);
});

test('held jobs go on one by one as the bucket fills, oldest first, and nothing else does', async () => {
  const queue = await stage.queue(monthly(10));
  await stage.create(queue, 16, keyed(0));
  expect(numbers(await drained(queue))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  await pass(queue, 1, 10);
  expect(numbers(await drainedLater(queue, 1))).toEqual([10]);
  await pass(queue, 3, 10);
  expect(numbers(await drainedLater(queue, 3))).toEqual([11, 12, 13]);
  await held(queue, 2);
});

test('a claim that waits gets the next job when the key has a token, without being asked again', async () => {
  const queue = await stage.queue({ keyRateLimit: { max: 1, perMs: 700 } });
  await stage.create(queue, 2, keyed(0));
  expect(await stage.claim(queue, 2)).toHaveLength(1);
  expect(await stage.claim(queue, 2, { waitMs: 20_000 }, stage.two)).toHaveLength(1);
});

test('jobs that come back take a token again', async () => {
  const queue = await stage.queue(monthly(3));
  await stage.create(queue, 3, { ...keyed(0), maxAttempts: 9, retry: { strategy: 'fixed', baseMs: 0 } });
  const [released, failed] = await stage.claim(queue, 2);
  if (released === undefined || failed === undefined) throw new Error('nothing claimed');
  await stage.one.api.post(`/jobs/${released.id}/release`, { leaseToken: released.leaseToken });
  await stage.one.api.complete(failed, { outcome: 'failed', error: { message: 'again', retryable: true } });
  expect(await drained(queue)).toHaveLength(1);
  await held(queue, 2);
});

test('a changed rate starts with full buckets; the same rate set again gives nothing more', async () => {
  const queue = await stage.queue(monthly(3));
  await stage.create(queue, 30, keyed(0));
  expect(await drained(queue)).toHaveLength(3);
  await stage.set(queue, monthly(3));
  await stage.set(queue, { concurrency: 100 });
  expect(await drained(queue)).toEqual([]);
  await stage.set(queue, monthly(5), stage.two);
  expect(await drained(queue)).toHaveLength(5);
  await stage.set(queue, { keyRateLimit: null });
  expect(await drained(queue)).toHaveLength(22);
  expect(await stage.sql.count('key_buckets WHERE queue = $1', [queue])).toBe(0);
  await stage.create(queue, 9, keyed(0));
  expect(await drained(queue)).toHaveLength(9);
});

test('a paused queue gives nothing, takes no tokens, and goes on with those that it has', async () => {
  const queue = await stage.queue(monthly(2));
  await stage.create(queue, 5, keyed(0));
  expect(await stage.claim(queue, 1)).toHaveLength(1);
  expectStatus(await stage.one.api.post(`/queues/${queue}/pause`, {}), 200);
  await pass(queue, 1, 2);
  expect(await drained(queue)).toEqual([]);
  expectStatus(await stage.two.api.post(`/queues/${queue}/resume`, {}), 200);
  expect(await drainedLater(queue, 2)).toHaveLength(2);
});

test('with concurrencyPerKey both hold', async () => {
  const queue = await stage.queue({ ...monthly(3), concurrencyPerKey: 2 });
  await stage.create(queue, 9, keyed(0));
  const first = await drained(queue);
  expect(first).toHaveLength(2);
  for (const job of first) expectStatus(await stage.one.api.complete(job), 200);
  expect(await drained(queue)).toHaveLength(1);
  expect((await stage.explain((await anyHeld(queue)) ?? '')).reasons[0]?.code).toBe('key_rate_limit');
});

test('jobs over the rate of their key do not keep a claim from those behind them', async () => {
  const queue = await stage.queue({ fair: false });
  await stage.create(queue, 40, keyed(0));
  await stage.create(queue, 1, { ...keyed(1), arguments: { n: 99 } });
  await stage.set(queue, monthly(1));
  expect(numbers(await stage.claim(queue))).toEqual([0]);
  expect(numbers(await stage.claim(queue, 1, { waitMs: 20_000 }))).toEqual([99]);
});

test('explain tells the rate, and when the key goes on', async () => {
  const queue = await stage.queue({ keyRateLimit: { max: 1, perMs: 3_600_000 } });
  await stage.create(queue, 2, keyed(0));
  await stage.claim(queue, 2);
  const [reason] = (await stage.explain((await anyHeld(queue)) ?? '')).reasons;
  expect(reason).toMatchObject({
    code: 'key_rate_limit',
    details: { concurrencyKey: 'one.example', max: 1, perMs: 3_600_000 },
  });
  const nextInMs = Number(reason?.details['nextInMs']);
  expect(nextInMs).toBeGreaterThan(0);
  expect(nextInMs).toBeLessThanOrEqual(3_600_000);
});

test('a key whose wait was not written down goes on by the rows', async () => {
  const queue = await stage.queue(monthly(1));
  await stage.create(queue, 2, keyed(0));
  expect(await drained(queue)).toHaveLength(1);
  await stage.sql.query('UPDATE key_buckets SET full_at = now(), next_at = NULL WHERE queue = $1', [queue]);
  expect(await drainedLater(queue, 1)).toHaveLength(1);
});

test('a key that waits for its token is looked at by the loop, and not written again and again', async () => {
  const queue = await stage.queue(monthly(1));
  await stage.create(queue, 3, keyed(0));
  expect(await drained(queue)).toHaveLength(1);
  const bucket = () =>
    stage.sql.query('SELECT ctid::text, xmin::text FROM key_buckets WHERE queue = $1 AND next_at > now()', [queue]);
  const before = await eventually(bucket, (rows) => rows.length === 1);
  // Enough rounds for all held keys to be looked at.
  for (let round = 0; round < 6; round += 1) await stage.one.app.loops.due.runOnce();
  expect(await bucket()).toEqual(before);
});

test('a clock that was set back leaves no bucket empty', async () => {
  const queue = await stage.queue(monthly(1));
  await stage.create(queue, 2, keyed(0));
  expect(await drained(queue)).toHaveLength(1);
  await stage.sql.query("UPDATE key_buckets SET full_at = full_at + interval '400 days' WHERE queue = $1", [queue]);
  expect(await drainedLater(queue, 1)).toHaveLength(1);
  expect(await stage.sql.count("key_buckets WHERE queue = $1 AND full_at < now() + interval '31 days'", [queue])).toBe(
    1,
  );
});

test('buckets that are full again are removed', async () => {
  const queue = await stage.queue({ keyRateLimit: { max: 5, perMs: 1000 } });
  await stage.create(queue, 50, (n) => ({ concurrencyKey: `key-${n}` }));
  expect(await drained(queue)).toHaveLength(50);
  await eventually(
    () => stage.sql.count('key_buckets WHERE queue = $1', [queue]),
    (left) => left === 0,
  );
});

async function drained(queue: string, types = ['work']) {
  const all = [];
  for (let on = 0, empty = 0; empty < 2; on += 1) {
    const jobs = await stage.claim(queue, 40, { types }, stage.both[on % 2]);
    empty = jobs.length === 0 ? empty + 1 : 0;
    all.push(...jobs);
  }
  return all;
}

/** The same, until there are so many. */
async function drainedLater(queue: string, count: number) {
  const all: Awaited<ReturnType<typeof drained>> = [];
  await eventually(
    async () => all.push(...(await drained(queue))),
    (found) => found >= count,
  );
  return all;
}

async function held(queue: string, count: number): Promise<void> {
  await eventually(
    () => stage.held(queue),
    (now) => now === count,
  );
}

async function anyHeld(queue: string): Promise<string | undefined> {
  const [row] = await stage.sql.query<{ id: string }>(
    'SELECT id FROM jobs WHERE queue = $1 AND hold IS NOT NULL LIMIT 1',
    [queue],
  );
  return row?.id;
}
