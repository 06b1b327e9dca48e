import { randomUUID } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';
import { type AlertMeasure } from '@baton/runner-sdk/protocol';
import * as alerts from '../../coordinator/store/alerts';
import type { Executor } from '../../coordinator/store/db';
import * as store from '../../coordinator/store/jobs';
import * as keys from '../../coordinator/store/keys';
import * as leases from '../../coordinator/store/leases';
import * as logs from '../../coordinator/store/logs';
import * as explain from '../../coordinator/store/views/explain';
import * as views from '../../coordinator/store/views/jobs';
import * as queues from '../../coordinator/store/views/queues';
import * as deliveries from '../../coordinator/store/webhook-deliveries';
import { createTestDatabase } from '../support/database';
import { TestSql } from '../support/sql';
import { Explainer, PLANNED } from './explained';

// Plans that were made for small tables, and are kept while the tables grow, read no more than they must.

const WAITING = 40_000;
const DONE = 40_000;
const FEW = 10;
const TABLES = ['jobs', 'attempts', 'idempotency_keys', 'webhook_deliveries', 'job_log_totals'];

interface Samples {
  running: { jobId: string; leaseToken: string }[];
  waiting: string[];
  done: string[];
  failed: string[];
  cancelled: string[];
  inLine: { id: string; queue: string; type: string; priority: number; position: Date | null };
}

const measured = (measure: AlertMeasure) => (db: Executor) =>
  alerts.measure(db, { measure, windowMs: 1000, queue: 'q1', type: null });

/** Each with the most rows that it may touch. */
const STATEMENTS: [string, number, (db: Executor, of: Samples) => Promise<unknown>][] = [
  [
    'holders of unique keys',
    40,
    (db) =>
      keys.findUniqueHolders(
        db,
        Array.from({ length: FEW }, (_, n) => ({ type: 't', uniqueKey: `x${n + 1}`, userId: '' })),
      ),
  ],
  [
    'complete',
    40,
    (db, { running }) =>
      store.complete(
        db,
        running.map((token) => ({ ...token, result: null, metrics: null })),
        false,
      ),
  ],
  ['extend', 60, (db, { running }) => store.extend(db, running)],
  [
    'fail',
    60,
    (db, { running }) =>
      store.fail(
        db,
        running.map((token) => ({
          ...token,
          outcome: 'failed',
          to: 'pending',
          delayMs: 0,
          error: {},
          fingerprint: null,
          metrics: null,
        })),
        false,
      ),
  ],
  [
    'release',
    60,
    (db, { running }) =>
      store.release(
        db,
        running.map((token) => ({ ...token, delayMs: 0 })),
        false,
      ),
  ],
  [
    'cancel',
    100,
    (db, { running, waiting }) =>
      store.cancel(
        db,
        [...running.map(({ jobId }) => jobId), ...waiting].map((jobId) => ({ jobId, userId: null, reason: null })),
        false,
      ),
  ],
  [
    'retry by hand',
    100,
    (db, { failed, cancelled }) =>
      store.retryByHand(
        db,
        [...failed, ...cancelled].map((jobId) => ({ jobId, userId: null })),
      ),
  ],
  [
    'prioritise',
    60,
    (db, { waiting }) =>
      store.prioritise(
        db,
        waiting.map((jobId) => ({ jobId, laneId: 1 })),
        7,
      ),
  ],
  ['delete', 150, (db, { done }) => store.remove(db, done)],
  [
    'delete what is old',
    300,
    (db) =>
      store.removeOld(
        db,
        [
          { queue: 'q0', status: 'completed', keepMs: 1000 },
          { queue: 'q0', status: 'cancelled', keepMs: 1000 },
        ],
        30,
      ),
  ],
  [
    'log',
    60,
    (db, { running }) =>
      logs.append(
        db,
        running.map(({ jobId }) => ({
          jobId,
          attempt: 1,
          level: 'info' as const,
          message: 'm',
          fields: undefined,
          ageMs: 0,
        })),
      ),
  ],
  ['what became of leases', 60, (db, { running }) => leases.traceTokens(db, running)],
  [
    'keep late results',
    60,
    (db, { failed }) =>
      leases.keepLate(
        db,
        failed.map((jobId) => ({ jobId, leaseToken: randomUUID(), outcome: 'completed', result: null, error: null })),
      ),
  ],
  ['which have finished', 40, (db, { done, waiting }) => views.finished(db, [...done, ...waiting])],
  ['how many are before', 60, (db, { inLine }) => explain.countAhead(db, inLine)],
  ['how long jobs run', 220, (db) => queues.meanRunMs(db, 'q0')],
  ['how many wait in another queue', 40, measured('depth')],
  ['how long the first waits in another queue', 40, measured('oldestAgeMs')],
  ['give back deliveries', 30, (db) => deliveries.release(db, [{ id: randomUUID(), leaseToken: randomUUID() }])],
];

const STARTS: [string, (sql: TestSql) => Promise<unknown>][] = [
  ['were never counted', async () => undefined],
  ['were counted while they were empty', (sql) => sql.query('VACUUM ANALYZE')],
  [
    'had one running job, and were counted',
    async (sql) => {
      await fill(sql, 1, RUNNING);
      await sql.query('VACUUM ANALYZE');
    },
  ],
  [
    'had a few finished jobs, and were counted',
    async (sql) => {
      await fill(sql, 300, done('completed'));
      await sql.query('VACUUM ANALYZE');
    },
  ],
];

const RUNNING = {
  status: "'running'",
  started_at: 'now()',
  runner_id: "'r' || n % 9",
  claim_hash: 'n',
  lease_token: 'gen_random_uuid()',
  lease_ms: '30000',
  lease_expires_at: "now() + interval '1 day'",
  deadline_at: "now() + interval '1 day'",
  attempt: '1',
};
/** Five hundred at a time, as statements end them. */
const done = (status: string): Record<string, string> => ({
  status: `'${status}'`,
  started_at: "now() - interval '1 h'",
  finished_at: "now() - interval '10 min' - n / 500 * interval '10 ms'",
  attempt: '1',
  runner_id: "'r' || n % 9",
});

/** Copies with ids in the order of time, the last ones of now. */
async function fill(sql: TestSql, count: number, columns: Record<string, string>): Promise<void> {
  const all: Record<string, string> = {
    ...{
      type: "'t'",
      queue: "'q0'",
      priority: '0',
      lane_id: '1',
      status: "'pending'",
      arguments: "'{}'",
      max_attempts: '3',
      timeout_ms: '1000',
      tags: "'{}'",
      created_at: 'now()',
      updated_at: 'now()',
      run_at: "now() - interval '2 h'",
    },
    ...columns,
  };
  await sql.query(
    `INSERT INTO jobs (id, ${Object.keys(all).join(', ')}) SELECT uuidv7(), ${Object.values(all).join(', ')} FROM generate_series(1, ${count}) n`,
  );
}

async function samples(sql: TestSql): Promise<Samples> {
  // The last ones, so that a walk along the ids is a long one.
  const ids = async (status: string) =>
    (
      await sql.query<{ id: string }>(`SELECT id FROM jobs WHERE status = '${status}' ORDER BY id DESC LIMIT ${FEW}`)
    ).map(({ id }) => id);
  const running = await sql.query<{ jobId: string; leaseToken: string }>(
    `SELECT id AS "jobId", lease_token AS "leaseToken" FROM jobs WHERE status = 'running' ORDER BY id DESC LIMIT ${FEW}`,
  );
  const [inLine] = await sql.query<Samples['inLine']>(
    `SELECT id, queue, type, priority, position FROM jobs WHERE position IS NOT NULL ORDER BY position OFFSET ${FEW} LIMIT 1`,
  );
  return {
    running,
    waiting: await ids('pending'),
    done: await ids('completed'),
    failed: await ids('failed'),
    cancelled: await ids('cancelled'),
    inLine: inLine ?? { id: uuidv7(), queue: 'q0', type: 't', priority: 0, position: new Date() },
  };
}

let database: Awaited<ReturnType<typeof createTestDatabase>>;
let sql: TestSql;
let explainer: Explainer;
beforeEach(async () => {
  database = await createTestDatabase();
  sql = new TestSql(database.url);
  explainer = await Explainer.connect(database.url);
});
afterEach(async () => {
  await explainer.end();
  await sql.end();
  await database.drop();
});

test.each(STARTS)(
  'of tables that %s',
  async (_start, prepare) => {
    for (const table of TABLES) await sql.query(`ALTER TABLE ${table} SET (autovacuum_enabled = false)`);
    await sql.query(
      "INSERT INTO lanes (queue, type, priority, key, made_by, made_at) VALUES ('q0', 't', 0, 'l0', '', now()), ('q1', 't', 0, 'l1', '', now())",
    );
    await sql.query("UPDATE rollup_progress SET counted_until = now() - interval '1 h'");
    await prepare(sql);
    const small = await samples(sql);
    for (const [, , run] of STATEMENTS) await explainer.cost((db) => run(db, small), 'kept', TABLES);

    await fill(sql, DONE, done('completed'));
    await fill(sql, 3000, { ...done('failed'), fingerprint: "'f'" });
    await fill(sql, 3000, done('cancelled'));
    await fill(sql, WAITING, { position: "now() - interval '1 h' + n * interval '1 us'", unique_key: "'x' || n" });
    await fill(sql, FEW, { queue: "'q1'", lane_id: '2', position: 'now()' });
    await fill(sql, 100, RUNNING);
    await sql.query(`INSERT INTO attempts (job_id, attempt, runner_id, lease_token, started_at, finished_at, outcome, reply)
    SELECT id, 2, 'r', gen_random_uuid(), now(), finished_at, CASE status WHEN 'cancelled' THEN 'cancelled' ELSE 'timed_out' END::attempt_outcome, '{"status":"failed"}' FROM jobs WHERE finished_at IS NOT NULL AND fingerprint IS NULL`);
    await sql.query(`INSERT INTO webhook_deliveries (id, url, endpoint, name, at, data, status, next_at, created_at)
    SELECT gen_random_uuid(), 'https://a.example/', 'callback::a', 'x', now(), '{}', 'pending', now() + interval '1 h', now() FROM generate_series(1, 20000)`);

    const grown = await samples(sql);
    const walked: string[] = [];
    const look = async (when: string): Promise<void> => {
      for (const [name, most, run] of STATEMENTS) {
        for (const planned of PLANNED) {
          const cost = await explainer.cost((db) => run(db, grown), planned, TABLES);
          if (cost.seqScans > 0 || cost.rows > most)
            walked.push(`${name}, ${when}, ${planned} plan: ${JSON.stringify(cost)}`);
        }
      }
    };
    await look('grown');
    await sql.query('ANALYZE');
    await look('counted');
    expect(walked).toEqual([]);
  },
  60_000,
);
