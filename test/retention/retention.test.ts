import type { Queue } from '@baton/runner-sdk/protocol';
import { removeLost, markSeen } from '../../coordinator/store/runners';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { jobIn, type State, uniqueType } from '../support/factory';

const HOUR_MS = 3_600_000;

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeEach(async () => {
  coordinator = await startCoordinator({
    keepMs: { completed: HOUR_MS, failed: 10 * HOUR_MS, cancelled: 2 * HOUR_MS },
  });
});
afterEach(() => coordinator.stop());

async function made(
  state: State,
  ageMs: number,
  more: { queue?: string; uniqueKey?: string; uniqueForMs?: number } = {},
): Promise<string> {
  const { job } = await jobIn(state, coordinator, { type: uniqueType(), ...more });
  await coordinator.sql.query("UPDATE jobs SET finished_at = now() - $2::float8 * interval '1 ms' WHERE id = $1", [
    job.id,
    ageMs,
  ]);
  return job.id;
}

async function isThere(id: string): Promise<boolean> {
  return (await coordinator.api.get(`/jobs/${id}`)).status === 200;
}

async function prune(): Promise<void> {
  while (await coordinator.app.loops.retention.runOnce());
}

it('deletes what was kept long enough, by how it ended, and nothing else', async () => {
  const gone = [
    await made('completed', HOUR_MS + 1),
    await made('failed', 10 * HOUR_MS + 1),
    await made('cancelled', 2 * HOUR_MS + 1),
  ];
  const kept = [
    await made('completed', HOUR_MS - 60_000),
    await made('failed', 2 * HOUR_MS),
    await made('cancelled', HOUR_MS),
  ];
  const { job: waiting } = await jobIn('delayed', coordinator);
  expect((await coordinator.api.get('/cleanup')).body).toEqual({ completed: 1, failed: 1, cancelled: 1 });
  await prune();
  expect(await Promise.all(gone.map(isThere))).toEqual([false, false, false]);
  expect(await Promise.all([...kept, waiting.id].map(isThere))).toEqual([true, true, true, true]);
});

it('takes attempts, log lines and idempotency keys with the job', async () => {
  const { api, sql } = coordinator;
  const type = uniqueType();
  const { body } = await api.call<{ id: string }>('post', '/jobs', {
    json: { type },
    headers: { 'idempotency-key': 'k-1' },
  });
  const first = await api.claimOne({ runnerId: 'r', types: [type] });
  await api.post(`/jobs/${first.id}/release`, {
    leaseToken: first.leaseToken,
    logs: [{ level: 'info', message: 'given back' }],
  });
  await api.complete(await api.claimOne({ runnerId: 'r', types: [type] }));
  expect(await Promise.all(['attempts', 'job_logs', 'idempotency_keys'].map((table) => sql.count(table)))).toEqual([
    1, 1, 1,
  ]);
  await sql.query("UPDATE jobs SET finished_at = now() - interval '2 hours' WHERE id = $1", [body.id]);
  await prune();
  expect(
    await Promise.all(['jobs', 'attempts', 'job_logs', 'idempotency_keys'].map((table) => sql.count(table))),
  ).toEqual([0, 0, 0, 0]);
});

it('leaves no idempotency key behind when an operator empties the table of jobs', async () => {
  const { api, sql } = coordinator;
  await api.call('post', '/jobs', { json: { type: uniqueType() }, headers: { 'idempotency-key': 'k-2' } });
  await sql.query('TRUNCATE jobs CASCADE');
  expect(await sql.count('idempotency_keys')).toBe(0);
});

it('keeps what its queue keeps, longer or shorter', async () => {
  const { api } = coordinator;
  const set = expectStatus(
    await api.call<Queue>('put', '/queues/long', { json: { retention: { completedMs: 5 * HOUR_MS } } }),
    200,
  );
  expect(set.retention).toEqual({ completedMs: 5 * HOUR_MS });
  await api.call('put', '/queues/short', { json: { retention: { completedMs: 60_000 } } });
  const long = await made('completed', 2 * HOUR_MS, { queue: 'long' });
  const short = await made('completed', 120_000, { queue: 'short' });
  const other = await made('completed', 120_000, { queue: 'other' });
  await prune();
  expect(await Promise.all([long, short, other].map(isThere))).toEqual([true, false, true]);
  expect(
    expectStatus(await api.call<Queue>('put', '/queues/long', { json: { retention: null } }), 200).retention,
  ).toBeNull();
  await prune();
  expect(await isThere(long)).toBe(false);
});

it('passes over a job that somebody works on, and takes it next time', async () => {
  const busy = await made('completed', 2 * HOUR_MS);
  const free = await made('completed', 2 * HOUR_MS);
  const session = await coordinator.sql.session();
  await session.begin();
  await session.query({ text: 'SELECT FROM jobs WHERE id = $1 FOR UPDATE', values: [busy] });
  await prune();
  expect(await Promise.all([busy, free].map(isThere))).toEqual([true, false]);
  await session.commit();
  await session.end();
  await prune();
  expect(await isThere(busy)).toBe(false);
});

it('keeps a job whose unique key is still held', async () => {
  const id = await made('completed', 2 * HOUR_MS, { uniqueKey: 'u', uniqueForMs: HOUR_MS });
  await prune();
  expect(await isThere(id)).toBe(true);
});

it('deletes more than a batch, and at once what an admin asks for', async () => {
  const { api, sql } = coordinator;
  const type = uniqueType();
  const jobs = Array.from({ length: 700 }, () => ({ type, queue: 'many' }));
  await api.post('/jobs/bulk', { jobs });
  await api.post('/jobs/cancel', { filter: { type: [type] } });
  const failed = await made('failed', 2 * HOUR_MS, { queue: 'many' });
  expect((await api.post('/cleanup', { olderThanMs: 0, status: ['cancelled'], queue: ['many'] })).body).toEqual({
    count: 700,
  });
  expect(await isThere(failed)).toBe(true);
  expect(await sql.count("jobs WHERE status = 'cancelled'")).toBe(0);
});

it('forgets runners that were silent for a week, or are too many, and bulk operations that ended a month ago', async () => {
  const { api, app, sql } = coordinator;
  const { db } = app.services.context;
  await markSeen(db, [{ id: 'week' }, { id: 'day' }, { id: 'hour' }, { id: 'now' }]);
  for (const [id, age] of [
    ['week', '8 days'],
    ['day', '1 day'],
    ['hour', '1 hour'],
  ])
    await sql.query('UPDATE runners SET last_seen_at = now() - $2::interval WHERE id = $1', [id, age]);
  const ask = async () =>
    expectStatus(
      await api.post<{ id: string }>('/jobs/cancel', { filter: { type: uniqueType() }, background: true }),
      202,
    ).id;
  const [old, recent, open] = [await ask(), await ask(), await ask()];
  await app.loops.bulk.stop();
  const ended = 'UPDATE bulk_operations SET finished_at = now() - $2::interval WHERE id = $1';
  await sql.query(ended, [old, '31 days']);
  await sql.query(ended, [recent, '29 days']);
  await sql.query('UPDATE bulk_operations SET finished_at = NULL WHERE id = $1', [open]);
  await prune();
  const runners = async () =>
    (await sql.query<{ id: string }>('SELECT id FROM runners ORDER BY id')).map(({ id }) => id);
  expect(await runners()).toEqual(['day', 'hour', 'now']);
  expect((await sql.query<{ id: string }>('SELECT id FROM bulk_operations ORDER BY id')).map(({ id }) => id)).toEqual([
    recent,
    open,
  ]);
  // Of too many the longest silent goes, but none that was heard of late.
  expect(await removeLost(db, { keepMs: 7 * 86_400_000, most: 2 }, 10)).toBe(1);
  expect(await removeLost(db, { keepMs: 7 * 86_400_000, most: 0 }, 10)).toBe(1);
  expect(await runners()).toEqual(['now']);
});
