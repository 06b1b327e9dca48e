import * as jobs from '../../coordinator/store/jobs';
import * as store from '../../coordinator/store/rollups/count';
import * as statistics from '../../coordinator/store/views/statistics';
import * as stats from '../../coordinator/store/views/stats';
import type { Executor } from '../../coordinator/store/db';
import { Explainer } from '../flow/explained';
import { startCoordinator } from '../support/coordinator';
import { jobIn } from '../support/factory';

// Neither counting nor telling walks over what was counted, or is not asked for, whatever the planner believes.

const MANY = 30_000;
const FEW = 10;
const HOUR_MS = 3_600_000;
const TABLES = ['jobs', 'attempts', 'rollups'];

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let explainer: Explainer;
const ids: string[] = [];
let cancelled = '';
beforeAll(async () => {
  coordinator = await startCoordinator();
  const { sql, app } = coordinator;
  await app.loops.rollups.stop();
  await sql.query('ALTER TABLE jobs SET (autovacuum_enabled = false)');
  await sql.query('ALTER TABLE attempts SET (autovacuum_enabled = false)');
  await sql.query('ALTER TABLE rollups SET (autovacuum_enabled = false)');
  explainer = await Explainer.connect(sql.url);
  const { job } = await jobIn('completed', coordinator, { queue: 'q', type: 't', userId: 'ann' });
  await sql.query("UPDATE rollup_progress SET counted_until = now() - interval '1 hour'");
  await sql.query(
    `INSERT INTO jobs (id, type, queue, priority, lane_id, arguments, max_attempts, timeout_ms, created_at, updated_at, status, run_at, started_at, finished_at, user_id)
     SELECT gen_random_uuid(), j.type, j.queue, 0, j.lane_id, '{}', 1, 1000, now(), now(), (ARRAY['completed', 'cancelled', 'failed'])[1 + n % 3]::job_status, p.at, p.at, p.at, 'u' || n % 100
     FROM jobs j, (SELECT n, now() - interval '2 hours' - n * interval '1 second' AS at FROM generate_series(1, $2::int) n) p WHERE j.id = $1`,
    [job.id, MANY],
  );
  await sql.query(
    "INSERT INTO attempts (job_id, attempt, runner_id, lease_token, started_at, finished_at, outcome) SELECT id, 1, 'r', gen_random_uuid(), finished_at, finished_at, 'failed' FROM jobs WHERE status = 'failed'",
  );
  await sql.query(
    `INSERT INTO rollups (grain, dimension, owner, at, key, jobs_completed, jobs_failed, jobs_cancelled, attempts_failed, attempts_timed_out, attempts_released, attempts_cancelled, retries, run_ms, cpu_ms, cost)
     SELECT g.grain, d.dimension, CASE WHEN n % 2 = 0 AND d.dimension NOT IN ('all', 'user') THEN 'u' || n % 100 ELSE '' END, date_trunc(g.grain::text, now(), 'UTC') - (n % 200) * ('1 ' || g.grain)::interval, 'k' || n / 200, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
     FROM unnest(enum_range(NULL::rollup_grain)) g (grain), unnest(enum_range(NULL::rollup_dimension)) d (dimension), generate_series(0, 1999) n
     -- Of all together there is one row at a time.
     WHERE d.dimension <> 'all' OR n < 200 ON CONFLICT DO NOTHING`,
  );
  for (let n = 0; n < FEW; n += 1)
    ids.push(
      (await jobIn(n % 2 === 0 ? 'completed' : 'failed', coordinator, { queue: 'q', type: 't', userId: 'ann' })).job.id,
    );
  cancelled = (await jobIn('cancelled', coordinator, { queue: 'q' })).job.id;
});
afterAll(async () => {
  await explainer.end();
  await coordinator.stop();
});

/**
 * A range that begins at this hour of yesterday: its hours until midnight are read one by one, its whole days as such.
 */
const sinceYesterdayAt = (hour: number): number => (Date.now() % (24 * HOUR_MS)) + (24 - hour) * HOUR_MS;

const asked = (
  by: statistics.Dimension,
  grain: statistics.Grain,
  rangeMs: number,
  key: string | null = null,
): statistics.Asked => ({ by, grain, rangeMs, key, limit: 100 });

/** Each with the most rows of jobs, attempts and rollups that it may touch, of which there are 70,000. */
const STATEMENTS: [string, number, (db: Executor) => Promise<unknown>][] = [
  ['finding of the next slice', 60, (db) => store.nextSlice(db, 'infinity', 20_000)],
  ['counting', 100, (db) => store.count(db, 'infinity')],
  ['an hour by queue', 900, (db) => statistics.statistics(db, null, asked('queue', 'minute', HOUR_MS))],
  ...[0, 1, 23].flatMap((hour): [string, number, (db: Executor) => Promise<unknown>][] => {
    const rangeMs = sinceYesterdayAt(hour);
    return [
      [
        `by type since ${hour}:00 of yesterday`,
        1500,
        (db) => statistics.statistics(db, null, asked('type', 'hour', rangeMs)),
      ],
      [
        `of one type since ${hour}:00 of yesterday`,
        1500,
        (db) => statistics.statistics(db, null, asked('type', 'hour', rangeMs, 'k1')),
      ],
      [
        `of a user by runner since ${hour}:00 of yesterday`,
        1500,
        (db) => statistics.statistics(db, 'u4', asked('runner', 'hour', rangeMs)),
      ],
      [
        `a user among users since ${hour}:00 of yesterday`,
        2200,
        (db) => statistics.statistics(db, 'k4', asked('user', 'hour', rangeMs)),
      ],
    ];
  }),
  ['a window of a queue', 150, (db) => statistics.outcomes(db, { by: 'queue', key: 'q', windowMs: 300_000 })],
  ['deleting', 120, (db) => jobs.remove(db, ids)],
  ['starting again', 40, (db) => jobs.retryByHand(db, [{ jobId: cancelled, userId: null }])],
  ['what types wait for', 20, (db) => stats.types(db, 200)],
  ['the jobs of a user', 40, (db) => stats.ofUser(db, 'ann')],
  ['deleting of old statistics', 250, (db) => store.prune(db, { minute: 1e12, hour: 1e12, day: 1e12 }, 100)],
];

async function look(when: string): Promise<string[]> {
  const walked: string[] = [];
  for (const [name, most, run] of STATEMENTS) {
    // A reader that is given no rows complains.
    for (const planned of ['generic', 'custom'] as const) {
      const cost = await explainer.cost((db) => run(db).catch(() => null), planned, TABLES);
      if (cost.seqScans > 0 || cost.rows > most)
        walked.push(`${name}, ${when}, ${planned} plan: ${JSON.stringify(cost)}`);
    }
  }
  return walked;
}

test('nothing walks', async () => {
  const walked = await look('without statistics');
  await coordinator.sql.query('ANALYZE');
  walked.push(...(await look('with statistics')));
  expect(walked).toEqual([]);
}, 60_000);

test('what one statement cancelled while it ran is counted job by job, not each against all', async () => {
  const many = 3000;
  const { sql } = coordinator;
  await sql.query(
    `INSERT INTO jobs (id, type, queue, priority, lane_id, arguments, max_attempts, timeout_ms, created_at, updated_at, status, run_at, started_at, finished_at)
     SELECT uuidv7(), j.type, j.queue, 0, j.lane_id, '{}', 1, 1000, now(), now(), 'cancelled', now(), now(), now() FROM jobs j, generate_series(1, $2::int) n WHERE j.id = $1`,
    [ids[0], many],
  );
  await sql.query(
    "INSERT INTO attempts (job_id, attempt, runner_id, lease_token, started_at, finished_at, outcome) SELECT id, 1, 'r', gen_random_uuid(), started_at, finished_at, 'cancelled' FROM jobs WHERE status = 'cancelled' AND started_at = created_at",
  );
  for (const isCounted of [false, true]) {
    if (isCounted) await sql.query('ANALYZE');
    for (const planned of ['generic', 'custom'] as const) {
      const { rows } = await explainer.cost(
        (db) => statistics.outcomes(db, { by: 'queue', key: 'q', windowMs: 300_000 }).catch(() => null),
        planned,
        TABLES,
      );
      expect([isCounted, planned, rows < many * 12]).toEqual([isCounted, planned, true]);
    }
  }
});
