import { randomUUID } from 'node:crypto';
import { expectStatus } from '../support/api';
import { eventually } from '../support/eventually';
import { numbers, Stage } from './stage';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
});
afterAll(() => stage.close());

const whose = (jobs: { userId: string | null }[]) => jobs.map(({ userId }) => userId ?? '-').join('');

test('newcomers do not wait for a user with 20,000 jobs, and take turns with that user', async () => {
  const queue = await stage.queue();
  await stage.create(queue, 20_000, { userId: 'A' });
  await stage.claim(queue, 500);
  await stage.create(queue, 3, { userId: 'B' }, stage.two);
  await stage.create(queue, 3, { userId: 'C' });
  const next = await stage.claim(queue, 9);
  expect(whose(next.slice(0, 3))).toBe('ABC');
  expect([...whose(next)].sort().join('')).toBe('AAABBBCCC');
  expect(numbers(next.filter(({ userId }) => userId === 'A'))).toEqual([500, 501, 502]);
});

test('a newcomer’s delayed and retried jobs are not behind the backlog either', async () => {
  const queue = await stage.queue();
  await stage.create(queue, 500, { userId: 'A' });
  await stage.create(queue, 1, { userId: 'B', delayMs: 50 });
  await stage.create(queue, 1, { userId: 'C', retry: { strategy: 'fixed', baseMs: 20 } });
  const first = await eventually(
    () => stage.claim(queue, 3),
    (jobs) => jobs.length === 3,
  );
  const failing = first.find(({ userId }) => userId === 'C');
  expectStatus(
    await stage.one.api.complete(failing ?? missing(), { outcome: 'failed', error: { message: 'once' } }),
    200,
  );
  await eventually(
    () => stage.sql.count("jobs WHERE queue = $1 AND position IS NULL AND status = 'pending'", [queue]),
    (left) => left === 0,
  );
  const seen = whose([...first, ...(await stage.claim(queue, 5))]);
  expect(seen).toContain('B');
  expect([...seen].filter((user) => user === 'C')).toHaveLength(2);
});

test('concurrency keys take turns, before users', async () => {
  const queue = await stage.queue();
  await stage.create(queue, 100, { userId: 'A', concurrencyKey: 'k1' });
  await stage.create(queue, 2, (n) => ({ userId: 'A', concurrencyKey: 'k2', arguments: { n: 200 + n } }));
  expect(numbers(await stage.claim(queue, 4)).sort((a, b) => a - b)).toEqual([0, 1, 200, 201]);
});

test('priorities still come first', async () => {
  const queue = await stage.queue();
  await stage.create(queue, 20, { userId: 'A', priority: 5 });
  await stage.create(queue, 1, { userId: 'B' });
  expect(whose(await stage.claim(queue, 21))).toBe(`${'A'.repeat(20)}B`);
});

test('where fairness is switched off, and among jobs of nobody, the first come first', async () => {
  const unfair = await stage.queue({ fair: false });
  await stage.create(unfair, 5, { userId: 'A' });
  await stage.create(unfair, 1, { userId: 'B' });
  expect(whose(await stage.claim(unfair, 6))).toBe('AAAAAB');
  const queue = await stage.queue();
  await stage.create(queue, 3);
  await stage.create(queue, 1, { arguments: { n: 3 } }, stage.two);
  await stage.create(queue, 1, { arguments: { n: 4 }, runAt: '2020-01-01T00:00:00Z' });
  expect(await stage.drain(queue)).toEqual([0, 1, 2, 3, 4]);
});

test('a job that no runner takes does not make time stand still for the others', async () => {
  const queue = await stage.queue();
  await stage.create(queue, 1, { userId: 'Z', type: 'nobody-takes-it' });
  await stage.create(queue, 300, { userId: 'A' });
  await stage.claim(queue, 200);
  // Had A to pay for the 200 that are done, B's would all come first.
  await stage.create(queue, 100, { userId: 'B' });
  expect([...whose(await stage.claim(queue, 40))].filter((user) => user === 'A')).toHaveLength(20);
});

test('run-now does not put a job that is in turn behind its user’s other jobs', async () => {
  const queue = await stage.queue();
  const [first] = await stage.create(queue, 10, { userId: 'A' });
  expectStatus(await stage.one.api.post(`/jobs/${first?.id}/run-now`), 200);
  expect(numbers(await stage.claim(queue, 1))).toEqual([0]);
});

test('a claim touches as few rows among 10,000 users as among ten', async () => {
  const touched = async (users: number): Promise<number> => {
    const queue = await stage.queue();
    const { creates } = await reads();
    await stage.create(queue, 10_000, (n) => ({ userId: `${queue}-${n % users}` }));
    await stage.sql.query('ANALYZE jobs');
    const session = await stage.sql.session();
    // A connection that rests tells what it read only after some seconds, and then all of it: what the creates read
    // too.
    const before = await eventually(reads, (now) => now.creates - creates >= 10_000, TOLD_WITHIN_MS);
    for (let round = 0; round < 10; round += 1) expect(await stage.claim(queue, 10)).toHaveLength(10);
    const after = await eventually(reads, (now) => now.claims - before.claims >= 100, TOLD_WITHIN_MS);
    await session.end();
    return after.reads - before.reads;
  };
  const few = await touched(10);
  const many = await touched(10_000);
  process.stdout.write(`rows touched by ten claims: ${few} among 10 users, ${many} among 10,000\n`);
  expect(many).toBeLessThan(few * 1.5 + 100);
});

const TOLD_WITHIN_MS = 30_000;

/** Index entries and rows read of `jobs` so far, by everybody; and jobs that were created and claimed. */
async function reads(): Promise<{ reads: number; claims: number; creates: number }> {
  await stage.sql.query('SELECT pg_stat_force_next_flush()');
  return stage.sql.one(
    `
    SELECT (t.seq_tup_read + t.idx_tup_fetch + (SELECT sum(i.idx_tup_read) FROM pg_stat_user_indexes i WHERE i.relname = 'jobs'))::float8 AS reads,
      t.n_tup_upd::float8 AS claims, t.n_tup_ins::float8 AS creates
    FROM pg_stat_user_tables t WHERE t.relname = 'jobs' AND $1::text <> ''`,
    [randomUUID()],
  );
}

function missing(): never {
  throw new Error('missing');
}
