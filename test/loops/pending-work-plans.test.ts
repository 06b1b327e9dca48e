import { findPendingWork } from '../../coordinator/store/pending-work';
import { Explainer, PLANNED } from '../flow/explained';
import { createTestDatabase } from '../support/database';
import { TestSql } from '../support/sql';

// The findPendingWork that is taken once a second, for ever, touches next to nothing, whatever was told, sent and done
// before.

const MANY = 50_000;
const TABLES = ['events', 'webhook_deliveries', 'bulk_operations'];

let database: Awaited<ReturnType<typeof createTestDatabase>>;
let sql: TestSql;
let explainer: Explainer;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new TestSql(database.url);
  for (const table of TABLES) await sql.query(`ALTER TABLE ${table} SET (autovacuum_enabled = false)`);
  explainer = await Explainer.connect(database.url);
});
afterAll(async () => {
  await explainer.end();
  await sql.end();
  await database.drop();
});

const FILLINGS: [string, () => Promise<unknown>][] = [
  ['nothing', async () => undefined],
  [
    'much that was told, sent and done, and no statistics',
    async () => {
      await sql.query(`INSERT INTO events (position, at, name, job_id, type, queue, status, attempt)
      SELECT n, now(), 'job.created', gen_random_uuid(), 't', 'q', 'pending', 0 FROM generate_series(1, ${MANY}) n`);
      await sql.query(
        `WITH given AS (UPDATE event_log SET position = ${MANY}) UPDATE webhook_outbox SET position = ${MANY}`,
      );
      await sql.query(`INSERT INTO webhook_deliveries (id, url, endpoint, name, at, data, status, next_at, created_at, finished_at)
      SELECT gen_random_uuid(), 'https://a.example/', 'callback::a' || n % 9, 'x', now(), '{}', 'delivered', now(), now(), now() FROM generate_series(1, ${MANY}) n`);
      await sql.query(`INSERT INTO bulk_operations (id, verb, filter, parameters, matched, created_at, finished_at)
      SELECT gen_random_uuid(), 'cancel', '{}', '{}', 1, now(), now() FROM generate_series(1, ${MANY}) n`);
    },
  ],
  ['the same, counted', () => sql.query(`ANALYZE ${TABLES.join(', ')}`)],
  ['the same, tidied up', () => sql.query(`VACUUM ${TABLES.join(', ')}`)],
  [
    'much that waits to be sent later',
    () =>
      sql.query(`INSERT INTO webhook_deliveries (id, url, endpoint, name, at, data, status, next_at, created_at)
    SELECT gen_random_uuid(), 'https://a.example/', 'callback::a' || n % 9, 'x', now(), '{}', 'pending', now() + interval '1 h', now() FROM generate_series(1, ${MANY}) n`),
  ],
];

test('it walks over nothing', async () => {
  const walked: string[] = [];
  for (const [filling, fill] of FILLINGS) {
    await fill();
    for (const planned of PLANNED) {
      const cost = await explainer.cost((db) => findPendingWork(db, 5000), planned, TABLES);
      if (cost.seqScans > 0 || cost.rows > 5) walked.push(`${filling}, ${planned} plan: ${JSON.stringify(cost)}`);
    }
  }
  expect(walked).toEqual([]);
});
