import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import type { Executor, Sql } from '../../coordinator/store/db';
import * as store from '../../coordinator/store/jobs';
import * as lanes from '../../coordinator/store/lanes';
import * as leases from '../../coordinator/store/leases';
import { Explainer, PLANNED } from './explained';
import { Stage } from './stage';

// One type of job in one queue, most of it waiting: what a first user has. Where a whole table is of one lane, the
// planner takes a claim for a good part of it.

const MANY = 20_000;
const QUEUE = 'only';

let stage: Stage;
let explainer: Explainer;
let laneId = 0;
let running: { jobId: string; leaseToken: string }[] = [];
beforeAll(async () => {
  stage = await Stage.open();
  await stage.restDueLoops();
  await stage.sql.query('ALTER TABLE jobs SET (autovacuum_enabled = false)');
  explainer = await Explainer.connect(stage.sql.url);
  laneId = (
    await stage
      .create(QUEUE, 20)
      .then(() => stage.sql.one<{ id: number }>('SELECT id FROM lanes WHERE queue = $1', [QUEUE]))
  ).id;
  running = (await stage.claim(QUEUE, 5)).map(({ id: jobId, leaseToken }) => ({ jobId, leaseToken }));
});
afterAll(async () => {
  await explainer.end();
  await stage.close();
});

const OFFERED = randomUUID();
const insertion = (more: Partial<store.InsertJob>): store.InsertJob => ({
  id: randomUUID(),
  type: 'work',
  queue: QUEUE,
  priority: 0,
  laneId,
  arguments: {},
  timeoutMs: 1000,
  maxAttempts: 1,
  orderBlocks: false,
  tags: [],
  ...more,
});
const start = (): store.LaneStart => ({
  laneId,
  queue: QUEUE,
  priority: 0,
  fromPosition: null,
  fromId: null,
  dueForMs: 0,
});
const slots = (count: number): store.Slot[] =>
  Array.from({ length: count }, () => ({ runnerId: 'r', claimId: 'c', leaseMs: 30_000 }));

type Cost = Parameters<Explainer['cost']>[0];
const TABLES = ['jobs', 'attempts', 'idempotency_keys'];

/** Each with the most rows of these tables that it may touch. */
const STATEMENTS: [string, number, Cost][] = [
  ['insert of a job of nobody', 5, (db) => store.insert(db, [insertion({})], [])],
  ['insert of a user’s job', 20, (db) => store.insert(db, [insertion({ userId: 'u1' })], [])],
  [
    'insert with an idempotency key',
    5,
    (db) => store.insert(db, [insertion({ idempotencyScope: '', idempotencyKey: 'k', requestHash: 'h' })], []),
  ],
  [
    'insert for a waiting claim',
    10,
    (db) =>
      store.insert(
        db,
        [insertion({ id: OFFERED })],
        [],
        [{ jobId: OFFERED, runnerId: 'r', claimId: 'waits', leaseMs: 30_000 }],
      ),
  ],
  ['claim of one', 5, (db) => store.claim(db, [start()], slots(1), false)],
  ['claim of nine', 40, (db) => store.claim(db, [start()], slots(9), false)],
  ['claim under limits', 60, (db) => store.claim(db, [start()], slots(9), true)],
  [
    'complete',
    20,
    (db) =>
      store.complete(
        db,
        running.map((token) => ({ ...token, result: null, metrics: null })),
        false,
      ),
  ],
  ['extend', 40, (db) => store.extend(db, running)],
  [
    'fail',
    40,
    (db) =>
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
    40,
    (db) =>
      store.release(
        db,
        running.map((token) => ({ ...token, delayMs: 0 })),
        false,
      ),
  ],
  ['what became of a lease', 20, (db) => leases.traceTokens(db, running)],
  [
    'keeping of a late result',
    20,
    (db) =>
      leases.keepLate(
        db,
        running.map((token) => ({ ...token, outcome: 'completed', result: null, error: null })),
      ),
  ],
  ['finding of lost leases', 20, (db) => leases.lockExpiredLeases(db, 500)],
  ['heads', 10, (db) => lanes.heads(db)],
  ['placing of due jobs', 20, (db) => store.promoteDue(db, [], 100)],
];

async function look(when: string): Promise<string[]> {
  const walked: string[] = [];
  for (const [name, most, run] of STATEMENTS) {
    for (const planned of PLANNED) {
      const cost = await explainer.cost(run, planned, TABLES);
      if (cost.seqScans > 0 || cost.rows > most)
        walked.push(`${name}, ${when}, ${planned} plan: ${JSON.stringify(cost)}`);
    }
  }
  return walked;
}

test('nothing walks along the lane', async () => {
  // The plans that are kept are made here, as a coordinator's are that was started on an empty database.
  const walked = await look('nearly empty');
  // Ids of real jobs come in the order of time, which makes a walk along them cheap. The first in turn has the last
  // one.
  await stage.sql.query(
    `INSERT INTO jobs (id, type, queue, priority, lane_id, arguments, max_attempts, timeout_ms, created_at, updated_at, tags, status, run_at, position)
     SELECT ('01f00000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, j.type, j.queue, j.priority, j.lane_id, '{}', 1, 1000, now(), now(), '{}', 'pending', now(), now() - interval '1 hour' - n * interval '1 us'
     FROM (SELECT * FROM jobs LIMIT 1) j, generate_series(1, $1::int) n`,
    [MANY],
  );
  walked.push(...(await look('without statistics')));
  await stage.sql.query(
    `INSERT INTO attempts (job_id, attempt, runner_id, lease_token, started_at, finished_at, outcome)
     SELECT id, 1, 'r', gen_random_uuid(), now(), now(), 'timed_out' FROM jobs WHERE status = 'pending'`,
  );
  walked.push(...(await look('with attempts, without statistics')));
  await stage.sql.query('ANALYZE jobs, attempts');
  walked.push(...(await look('counted')));
  await stage.sql.query("UPDATE jobs SET user_id = 'u1'");
  await stage.sql.query('ANALYZE jobs');
  walked.push(...(await look('of one user, counted')));
  expect(walked).toEqual([]);
});

test('a claim tells its jobs in their order, whatever way they were found', async () => {
  const client = new Client({ connectionString: stage.sql.url, options: '-c enable_nestloop=off' });
  await client.connect();
  const db: Executor = {
    query: async <Row>({ text, values }: Sql) => (await client.query<Row & object>(text, values)).rows,
  };
  const { claimed } = await store.claim(db, [start()], slots(9), false);
  await client.end();
  const inOrder = await stage.sql.query<{ id: string }>(
    "SELECT id FROM jobs WHERE runner_id = 'r' AND claim_hash IS NOT NULL ORDER BY position, id",
  );
  expect(claimed.map(({ id }) => id)).toEqual(inOrder.map(({ id }) => id));
});
