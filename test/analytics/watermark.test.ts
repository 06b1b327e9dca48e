import { Watermark } from '../../coordinator/domain/analytics/watermark';
import { rollUp } from '../../coordinator/domain/analytics/roll-up';
import type { Db } from '../../coordinator/store/db';
import * as jobs from '../../coordinator/store/jobs';
import * as store from '../../coordinator/store/rollups/count';
import { startCoordinator } from '../support/coordinator';
import { jobIn, uniqueType } from '../support/factory';
import type { Session } from '../support/sql';

// What ends carries the time at which its transaction began, and is seen when that commits. Staged: whoever counts must
// wait for it, and nobody may be counted twice, or not at all, whoever is cut off in between.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let session: Session;
beforeEach(async () => {
  coordinator = await startCoordinator();
  await Promise.all([coordinator.app.loops.rollups.stop(), coordinator.app.loops.retention.stop()]);
  session = await coordinator.sql.session();
});
afterEach(async () => {
  await session.end();
  await coordinator.stop();
});

const context = () => coordinator.app.context;
const now = async () => (await store.readHorizon(context().db)).at;
/** What the rollups hold; with those written down by who removed them. */
async function counted(): Promise<[string | number, number]> {
  const { sum } = await coordinator.sql.one<{ sum: string | null }>(
    "SELECT sum(jobs_completed + jobs_failed + jobs_cancelled) AS sum FROM rollups WHERE grain = 'day' AND dimension = 'all'",
  );
  return [Number(sum ?? 0), await coordinator.sql.count('rollup_strays')];
}
async function countAll(): Promise<void> {
  const at = await now();
  while (await rollUp(context(), at));
}
const report = (claimed: { id: string; leaseToken: string } | undefined) => ({
  jobId: claimed?.id ?? '',
  leaseToken: claimed?.leaseToken ?? '',
  result: null,
  metrics: null,
});

test('nothing is watermark that a transaction under way may still end', async () => {
  const { claimed } = await jobIn('running', coordinator);
  await session.begin();
  await jobs.complete(session, [report(claimed)], false);
  await jobIn('completed', coordinator);
  const watermark = new Watermark(0);
  expect([await watermark.advance(context().db), await watermark.advance(context().db)]).toEqual([null, null]);
  await session.commit();
  const until = await watermark.advance(context().db);
  expect(until).not.toBeNull();
  await rollUp(context(), until ?? '');
  // The later one may lie after the first advance.
  const [sum] = await counted();
  expect(sum).toBeGreaterThanOrEqual(1);
  const later = new Watermark(0);
  await later.advance(context().db);
  while (await rollUp(context(), (await later.advance(context().db)) ?? ''));
  expect(await counted()).toEqual([2, 0]);
});

test('nothing is watermark that a transaction may end that has not written yet', async () => {
  const { claimed } = await jobIn('running', coordinator);
  await session.begin();
  const began = await session.query<{ at: string }>({ text: 'SELECT now()::text AS at' });
  const watermark = new Watermark();
  await watermark.advance(context().db);
  const until = await watermark.advance(context().db);
  const [{ isBefore } = { isBefore: false }] = await coordinator.sql.query<{ isBefore: boolean }>(
    'SELECT $1::timestamptz < $2::timestamptz - interval \'59 seconds\' AS "isBefore"',
    [until, began[0]?.at],
  );
  expect(isBefore).toBe(true);
  await rollUp(context(), until ?? '');
  await jobs.complete(session, [report(claimed)], false);
  await session.commit();
  await countAll();
  expect(await counted()).toEqual([1, 0]);
});

test('a time that was watermark stays so until a later one is, and a database that begins anew is looked at anew', async () => {
  const looks: store.TransactionHorizon[] = [
    { at: '2026-01-01 00:00:00+00', oldest: 10, next: 12 },
    { at: '2026-01-01 00:00:10+00', oldest: 11, next: 15 },
    { at: '2026-01-01 00:00:20+00', oldest: 12, next: 16 },
    { at: '2026-01-01 00:00:30+00', oldest: 15, next: 17 },
    { at: '2026-01-01 00:00:40+00', oldest: 16, next: 18 },
    { at: '2026-01-01 00:00:50+00', oldest: 3, next: 4 },
    { at: '2026-01-01 00:01:00+00', oldest: 4, next: 5 },
  ];
  let next = 0;
  const answer = (statement: { text: string; values: unknown[] }) =>
    Promise.resolve([statement.values.length === 0 ? looks[next++] : { at: statement.values[0] }]);
  const watermark = new Watermark(0);
  const seen: (string | null)[] = [];
  for (const _look of looks) seen.push(await watermark.advance({ query: answer } as unknown as Db));
  expect(seen.map((at) => at?.slice(17, 19) ?? null)).toEqual([null, null, '00', '00', '20', '20', '50']);
});

test('two do not count at once, and one that is killed leaves all as it was', async () => {
  await jobIn('completed', coordinator);
  const at = await now();
  await session.begin();
  expect(await store.lockProgress(session)).toBe(true);
  await store.count(session, at);
  expect(await rollUp(context(), at)).toBe(false);
  await coordinator.sql.query('SELECT pg_terminate_backend($1)', [session.pid]);
  session = await coordinator.sql.session();
  await session.begin();
  await session.query({ text: 'SELECT FROM rollup_progress FOR UPDATE' });
  expect(await counted()).toEqual([0, 0]);
  await session.rollback();
  await countAll();
  await countAll();
  expect(await counted()).toEqual([1, 0]);
});

test('a job that is deleted while it is counted is counted once', async () => {
  const { job } = await jobIn('completed', coordinator);
  const at = await now();
  await session.begin();
  await store.lockProgress(session);
  await store.count(session, at);
  const gone = coordinator.api.delete(`/jobs/${job.id}?purge=true`);
  await session.hasWaiter();
  await session.commit();
  expect((await gone).status).toBe(204);
  await countAll();
  expect(await counted()).toEqual([1, 0]);
});

test('a count waits for who is deleting, and counts once what was deleted', async () => {
  const { job } = await jobIn('failed', coordinator);
  const at = await now();
  await session.begin();
  expect(await jobs.remove(session, [job.id])).toHaveLength(1);
  const counting = rollUp(context(), at);
  await session.hasWaiter();
  await session.commit();
  await counting;
  await countAll();
  expect(await counted()).toEqual([1, 0]);
  const row = await coordinator.sql.one<{ jobs_failed: string; attempts_failed: string }>(
    "SELECT jobs_failed, attempts_failed FROM rollups WHERE grain = 'hour' AND dimension = 'all'",
  );
  expect(row).toEqual({ jobs_failed: '1', attempts_failed: '1' });
});

test('retention takes nothing that was not counted, though the count be late', async () => {
  const { api, sql, app } = coordinator;
  const type = uniqueType();
  const { id } = await api.create({ type, queue: 'q', retry: { strategy: 'fixed', baseMs: 0 } });
  const first = await api.claimOne({ runnerId: 'r', types: [type] });
  await api.post(`/jobs/${first.id}/release`, { leaseToken: first.leaseToken });
  await api.complete(await api.claimOne({ runnerId: 'r', types: [type] }));
  await sql.query("UPDATE jobs SET finished_at = now() - interval '2 days' WHERE id = $1", [id]);
  await sql.query("UPDATE attempts SET finished_at = now() - interval '3 days' WHERE job_id = $1", [id]);
  const told = async () => (await api.get<{ items: unknown[] }>('/analytics?range=7d')).body.items;
  const before = await told();
  while (await app.loops.retention.runOnce());
  expect([await sql.count('jobs'), await sql.count('attempts'), await sql.count('rollup_strays')]).toEqual([0, 0, 2]);
  expect(await told()).toEqual(before);
  await countAll();
  expect([await told(), await sql.count('rollup_strays')]).toEqual([before, 0]);
});

test('what was counted is not written down when it is deleted, or started again', async () => {
  const { job: done } = await jobIn('completed', coordinator);
  const { job: cancelled } = await jobIn('cancelled', coordinator);
  const { job: failed } = await jobIn('failed', coordinator);
  await countAll();
  await coordinator.api.delete(`/jobs/${done.id}?purge=true`);
  await coordinator.api.post(`/jobs/${cancelled.id}/retry`);
  await coordinator.api.post(`/jobs/${failed.id}/retry`);
  expect(await counted()).toEqual([3, 0]);
});

test('a job that ends again is counted again', async () => {
  const { job } = await jobIn('cancelled', coordinator, { type: 'again' });
  await coordinator.api.post(`/jobs/${job.id}/retry`);
  expect(await counted()).toEqual([0, 1]);
  await coordinator.api.post(`/jobs/${job.id}/cancel`);
  await countAll();
  await coordinator.api.post(`/jobs/${job.id}/retry`);
  await coordinator.api.complete(await coordinator.api.claimOne({ runnerId: 'r', types: ['again'] }));
  await countAll();
  expect(await counted()).toEqual([3, 0]);
});

test('a job whose attempt was cancelled, and that is cancelled again before it runs, ended twice', async () => {
  const { job } = await jobIn('running', coordinator);
  const { api } = coordinator;
  for (const verb of ['cancel', 'retry', 'cancel'])
    expect((await api.post(`/jobs/${job.id}/${verb}`)).status).toBe(200);
  await countAll();
  expect(await counted()).toEqual([2, 0]);
  for (const verb of ['retry', 'cancel', 'retry']) expect((await api.post(`/jobs/${job.id}/${verb}`)).status).toBe(200);
  await countAll();
  expect(await counted()).toEqual([3, 0]);
  const { attempts } = await coordinator.sql.one<{ attempts: string }>(
    "SELECT attempts_cancelled AS attempts FROM rollups WHERE grain = 'day' AND dimension = 'all'",
  );
  expect(attempts).toBe('1');
});

test('a count that was away for days goes through all of them, minute by minute', async () => {
  const { sql } = coordinator;
  const { job } = await jobIn('completed', coordinator);
  await sql.query(
    `INSERT INTO jobs (id, type, queue, priority, lane_id, arguments, max_attempts, timeout_ms, created_at, updated_at, status, run_at, started_at, finished_at)
    SELECT gen_random_uuid(), j.type, j.queue, 0, j.lane_id, '{}', 1, 1000, now(), now(), 'completed', p.at, p.at, p.at
    FROM jobs j, (SELECT now() - n * interval '37 minutes' AS at FROM generate_series(1, 200) n) p WHERE j.id = $1`,
    [job.id],
  );
  await countAll();
  expect(await counted()).toEqual([201, 0]);
  expect(await sql.count("rollups WHERE grain = 'minute' AND dimension = 'all'")).toBe(201);
});

test('old figures are deleted, by the minute sooner than by the day', async () => {
  const { sql, app } = coordinator;
  await sql.query(`INSERT INTO rollups (grain, dimension, owner, at, key, jobs_completed, jobs_failed, jobs_cancelled, attempts_failed, attempts_timed_out, attempts_released, attempts_cancelled, retries, run_ms, cpu_ms, cost)
    SELECT g.grain, 'all', '', now() - a.age, '', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM unnest(enum_range(NULL::rollup_grain)) g (grain),
      unnest(ARRAY['2 hours', '7 days', '60 days', '91 days']::interval[]) a (age)`);
  await app.loops.rollups.runOnce();
  expect(await sql.query('SELECT grain, count(*)::int AS count FROM rollups GROUP BY 1 ORDER BY 1')).toEqual([
    { grain: 'minute', count: 1 },
    { grain: 'hour', count: 2 },
    { grain: 'day', count: 3 },
  ]);
});
