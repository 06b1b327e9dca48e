import { randomUUID } from 'node:crypto';
import * as batches from '../../coordinator/store/batches/end';
import type { Executor } from '../../coordinator/store/db';
import * as jobs from '../../coordinator/store/jobs';
import * as batchViews from '../../coordinator/store/views/batches';
import * as workflowViews from '../../coordinator/store/views/workflows';
import * as edges from '../../coordinator/store/workflows/edges';
import * as workflows from '../../coordinator/store/workflows/end';
import * as members from '../../coordinator/store/workflows/insert';
import { Explainer, PLANNED } from '../flow/explained';
import { createTestDatabase } from '../support/database';
import { TestSql } from '../support/sql';

// What follows the end of a job of a batch, of a workflow, or of a parent, reads what it must and walks over nothing,
// however large they and the table are, and whatever the planner believes of it.

const MANY = 40_000;
const TABLES = ['jobs', 'dependencies', 'batches', 'workflows'];
const SHARE = { ofEach: 100, inAll: 500 };
const EVERYBODY = { userId: null, keyId: null };
const ANYBODYS = { userId: null, queues: ['q'], types: null };

const [batch, ended, workflow, parent] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()];
const gate = randomUUID();
let database: Awaited<ReturnType<typeof createTestDatabase>>;
let sql: TestSql;
let explainer: Explainer;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new TestSql(database.url);
  for (const table of TABLES) await sql.query(`ALTER TABLE ${table} SET (autovacuum_enabled = false)`);
  explainer = await Explainer.connect(database.url);
  for (const [id, status] of [
    [batch, 'running'],
    [ended, 'completed'],
  ])
    await sql.query(
      `INSERT INTO batches (id, status, caller, key_id, callbacks, callback_jobs, callback_errors, created_at, sealed_at, finished_at, callbacks_due, counts)
       VALUES ($1, $2::batch_status, '{}', 'k', '{}', '{}', '{}', now(), now(), CASE WHEN $2 <> 'running' THEN now() END, false,
         CASE WHEN $2 <> 'running' THEN '{}'::json END)`,
      [id, status],
    );
  await sql.query(
    `INSERT INTO workflows (id, name, status, created_at, link_secret, queues, types)
     VALUES ($1, 'w', 'running', now(), 's', '{q}', '{t}')`,
    [workflow],
  );
});
afterAll(async () => {
  await explainer.end();
  await sql.end();
  await database.drop();
});

/** Copies of a job that differ in what is given, by `n`. */
async function pad(columns: Record<string, string>, count = MANY): Promise<void> {
  await sql.query(`
    INSERT INTO jobs (id, type, queue, priority, lane_id, arguments, max_attempts, timeout_ms, run_at, created_at, updated_at, tags,
      ${Object.keys(columns).join(', ')})
    SELECT gen_random_uuid(), 't', 'q', 0, 1, '{}', 1, 1000, now(), now(), now(), '{}', ${Object.values(columns).join(', ')}
    FROM generate_series(1, ${count}) n`);
}

const done = { status: "'completed'", finished_at: 'now()' };
const FILLINGS: [string, () => Promise<unknown>][] = [
  ['a batch of many that have ended, and one that has not', () => pad({ ...done, batch_id: `'${batch}'` })],
  ['the same, and a job that waits', () => pad({ status: "'pending'", batch_id: `'${batch}'` }, 1)],
  [
    'a workflow of many that have ended',
    () => pad({ ...done, workflow_id: `'${workflow}'`, workflow_key: "'k' || n" }),
  ],
  [
    'the same, and a gate that waits for a job',
    async () => {
      await sql.query(
        `INSERT INTO jobs (id, type, queue, priority, lane_id, arguments, max_attempts, timeout_ms, run_at, created_at,
           updated_at, tags, status, workflow_id, workflow_key, depends_on)
         VALUES ($1, 'gate', '', 0, 0, '{}', 1, 1, now(), now(), now(), '{}', 'blocked', $2, 'approve',
           ARRAY(SELECT id FROM jobs WHERE workflow_key IN ('k1', 'k2')))`,
        [gate, workflow],
      );
      await sql.query('INSERT INTO dependencies (job_id, parent_id, tolerates_failure) VALUES ($1, $1, false)', [gate]);
    },
  ],
  [
    'a parent of many children',
    async () => {
      await sql.query(
        `INSERT INTO jobs (id, type, queue, priority, lane_id, arguments, max_attempts, timeout_ms, run_at, created_at,
           updated_at, tags, status, finished_at)
         VALUES ($1, 't', 'q', 0, 1, '{}', 1, 1000, now(), now(), now(), '{}', 'completed', now())`,
        [parent],
      );
      await pad({ status: "'blocked'", user_id: "'child'" }, 10_000);
      await sql.query(
        "INSERT INTO dependencies (job_id, parent_id, tolerates_failure) SELECT id, $1, false FROM jobs WHERE user_id = 'child'",
        [parent],
      );
    },
  ],
  [
    'a workflow of many that wait',
    () => pad({ status: "'blocked'", workflow_id: `'${workflow}'`, workflow_key: "'b' || n" }, 10_000),
  ],
  ['the same, counted', () => sql.query(`ANALYZE ${TABLES.join(', ')}`)],
];

/** Each with the most rows of the tables that it may give or throw away. */
const STATEMENTS: [string, number, (db: Executor) => Promise<unknown>][] = [
  ['work of a batch', 20, (db) => batches.findWork(db, [batch, ended])],
  ['batches left behind', 20, (db) => batches.findLeftBehind(db, null, 100)],
  ['workflows left behind', 20, (db) => workflows.findUnended(db, null, 100)],
  ['children of an ended parent', 8 * SHARE.ofEach, (db) => edges.settleEdges(db, [parent], SHARE)],
  ['parents left behind', 20, (db) => edges.findUnsettled(db, null, 100)],
  ['an ended batch', 10, (db) => batchViews.getBatch(db, EVERYBODY, ended)],
  ['a page of results', 400, (db) => batchViews.pageOfResults(db, batch, null, 100)],
  ['workflows to decide', 20, (db) => workflowViews.page(db, ANYBODYS, { gate: 'waiting' }, null, 100)],
  ['a gate by its key', 10, (db) => workflowViews.gate(db, workflow, 'approve')],
  ['a workflow without its counts', 10, (db) => workflowViews.head(db, ANYBODYS, workflow)],
  ['keys of the parents of a gate', 10, (db) => workflowViews.keysOf(db, [gate, parent])],
  ['a decision', 10, (db) => jobs.decideGate(db, { gateId: gate, to: 'completed', result: null, reason: null })],
  ['the owner of a lease', 5, (db) => members.leaseOwner(db, { jobId: parent, leaseToken: randomUUID() })],
];

test('freeing many children, and promoting many jobs, compares none with all others', async () => {
  await pad({ status: "'blocked'", user_id: "'kin'" }, 20_000);
  await sql.query(
    "INSERT INTO dependencies (job_id, parent_id, tolerates_failure) SELECT id, gen_random_uuid(), false FROM jobs WHERE user_id = 'kin'",
  );
  const children = await sql.query<{ id: string }>(
    `WITH freed AS (SELECT id FROM jobs WHERE user_id = 'kin' LIMIT 500)
     UPDATE dependencies SET outcome = 'completed' WHERE job_id IN (SELECT id FROM freed) RETURNING job_id AS id`,
  );
  await pad({ status: "'pending'" }, 500);
  const ids = children.map(({ id }) => id);
  const ready = [{ laneId: 1, queue: 'q', priority: 0, fromPosition: null }];
  const statements: [string, (db: Executor) => Promise<unknown>][] = [
    ['free', (db) => jobs.unblock(db, ids, null)],
    ['free in turns', (db) => jobs.unblock(db, ids, ready)],
    ['promote', (db) => jobs.promoteDue(db, ready, 500)],
  ];
  for (const [statement, run] of statements)
    for (const planned of PLANNED) {
      const { mismatches, seqScans, buffers } = await explainer.cost(run, planned, TABLES);
      const isDear = mismatches > 10 * ids.length || seqScans > 0 || buffers > 60 * ids.length;
      expect([statement, planned, isDear ? { mismatches, seqScans, buffers } : 'cheap']).toEqual([
        statement,
        planned,
        'cheap',
      ]);
    }
  await sql.query('DELETE FROM dependencies; DELETE FROM jobs');
});

test('what follows an end walks over nothing', async () => {
  const walked: string[] = [];
  for (const [filling, fill] of FILLINGS) {
    await fill();
    for (const planned of PLANNED)
      for (const [statement, most, run] of STATEMENTS) {
        const cost = await explainer.cost(run, planned, TABLES);
        if (cost.seqScans > 0 || cost.rows > most)
          walked.push(`${filling}, ${statement}, ${planned} plan: ${JSON.stringify(cost)}`);
      }
  }
  expect(walked).toEqual([]);
}, 180_000);
