import type { JobCount, JobList } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { uniqueType } from '../support/factory';
import { Stage } from './stage';

let stage: Stage;
const type = uniqueType();
beforeAll(async () => {
  stage = await Stage.open();
  const { api } = stage.one;
  await api.create({ type, priority: 3, concurrencyKey: 'c', arguments: { n: 1 } });
  await api.create({ type, priority: -2, orderKey: 'o', arguments: { n: 2 } });
  await api.create({ type, uniqueKey: 'u', arguments: { n: 3 } });
  await api.complete(await api.claimOne({ runnerId: 'r', types: [type] }));
});
afterAll(() => stage.close());

const found = async (query: string): Promise<unknown[]> => {
  const { items } = expectStatus(await stage.one.api.get<JobList>(`/jobs?type=${type}&${query}`), 200);
  const { count } = expectStatus(await stage.one.api.get<JobCount>(`/jobs/count?type=${type}&${query}`), 200);
  expect(count).toBe(items.length);
  return items.map((job) => (job.arguments as { n: number }).n).sort();
};

test.each<[string, number[]]>([
  ['priority=3', [1]],
  ['priority=-2&priority=0', [2, 3]],
  ['priority=normal', [3]],
  ['concurrencyKey=c', [1]],
  ['concurrencyKey=o', []],
  ['orderKey=o', [2]],
  ['uniqueKey=u&uniqueKey=v', [3]],
  ['finishedAfter=2020-01-01T00:00:00Z', [1]],
  ['finishedAfter=2020-01-01T00:00:00Z&queue=default&status=completed', [1]],
  ['finishedBefore=2020-01-01T00:00:00Z', []],
  ['finishedAfter=2020-01-01T00:00:00Z&status=pending', []],
])('%s', async (query, expected) => {
  expect(await found(query)).toEqual(expected);
});

test('verbs in bulk take the same', async () => {
  const { body } = await stage.one.api.post<{ count: number }>('/jobs/cancel', {
    filter: { type, priority: [-2], orderKey: 'o' },
    dryRun: true,
  });
  expect(body.count).toBe(1);
  expect(await stage.one.api.refusal('get', '/jobs?priority=101')).toEqual([400, 'validation_failed']);
  expect(await stage.one.api.refusal('get', '/jobs?priority=x')).toEqual([400, 'validation_failed']);
});

test('ids choose some of them, in lists and in bulk', async () => {
  const { items } = expectStatus(await stage.one.api.get<JobList>(`/jobs?type=${type}&status=pending`), 200);
  const [first, second] = items.map(({ id }) => id);
  expect(await found(`id=${first}`)).toHaveLength(1);
  expect(await found(`id=${first}&id=${second}&priority=-2`)).toEqual([2]);
  const { body } = await stage.one.api.post<{ count: number }>('/jobs/cancel', {
    filter: { id: [first, '00000000-0000-7000-8000-000000000000'] },
    dryRun: true,
  });
  expect(body.count).toBe(1);
  expect(await stage.one.api.refusal('get', '/jobs?id=x')).toEqual([400, 'validation_failed']);
});

test('counts are exact up to a bound, and then say that there are more', async () => {
  const count = async (most: number) =>
    (await stage.one.api.get<JobCount>(`/jobs/count?type=${type}&most=${most}`)).body;
  expect(await count(3)).toEqual({ count: 3, isMore: false });
  expect(await count(2)).toEqual({ count: 2, isMore: true });
});

test('the lists of a key, of an uncommon priority and of what finished lately walk over nothing else', async () => {
  await stage.sql.query(`
    INSERT INTO jobs (id, type, queue, priority, status, lane_id, run_at, arguments, tags, max_attempts, timeout_ms, created_at, updated_at, finished_at)
    SELECT ('01000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'bulk', 'default', 0, 'completed', 0, now(), '{}', '{}', 1, 1000,
      now() - interval '1 day', now(), now() - interval '1 day'
    FROM generate_series(1, 30000) n`);
  await stage.sql.query('ANALYZE jobs');
  for (const query of [
    'concurrencyKey=c',
    'orderKey=o',
    'uniqueKey=u',
    'priority=3',
    `finishedAfter=${new Date(Date.now() - 3_600_000).toISOString()}`,
  ]) {
    const before = await rowsRead();
    expectStatus(await stage.one.api.get<JobList>(`/jobs?${query}`), 200);
    const read = (await rowsRead()) - before;
    expect([query, read < 5000]).toEqual([query, true]);
  }
});

/** How many rows of jobs were read so far, by sequential scans and through indexes. */
async function rowsRead(): Promise<number> {
  await stage.sql.query('SELECT pg_stat_clear_snapshot()');
  const { read } = await stage.sql.one<{ read: number }>(
    "SELECT (seq_tup_read + idx_tup_fetch)::int AS read FROM pg_stat_user_tables WHERE relname = 'jobs'",
  );
  return read;
}
