import { readAllowed } from '@baton/url-policy';
import { migrate } from '../../coordinator/store/migrate';
import type { CreatedWebhook } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { type Cluster, startCluster, type TestCoordinator } from '../support/coordinator';
import { TestEventSource } from '../support/event-source';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import { Receiver } from '../support/receiver';
import { TestSql } from '../support/sql';
import { Rig } from './embedded-rig';

// The tables as a dump brings them into another cluster, whose counters of transactions are far behind: whatever was
// stored must mean the same there.

const SPENT_TRANSACTIONS = 20_000;
const quiet = { info: () => undefined, warn: () => undefined };

let rig: Rig;
let before: Cluster;
let receiver: Receiver;
beforeAll(async () => {
  rig = new Rig();
  receiver = await Receiver.open();
  before = await startCluster(1, { webhooks });
});
afterAll(async () => {
  await receiver.close();
  await rig.cleanUp();
});

const webhooks = { urlPolicy: { ...readAllowed(['127.0.0.0/8']), isHttpAllowed: false, ports: [443] } };

/** What `pg_dump` writes and `psql` reads, table by table: all rows, and where sequences have come to. */
async function restore(from: TestSql, to: TestSql): Promise<void> {
  await to.query('SET session_replication_role = replica');
  const tables = await from.query<{ name: string }>(
    "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' AND table_name NOT LIKE '%migrations'",
  );
  for (const { name } of tables) {
    const { rows } = await from.one<{ rows: string }>(
      `SELECT COALESCE(json_agg(t), '[]')::text AS rows FROM "${name}" t`,
    );
    await to.query(`DELETE FROM "${name}"`);
    await to.query(`INSERT INTO "${name}" SELECT * FROM json_populate_recordset(NULL::"${name}", $1)`, [rows]);
  }
  const sequences = await from.query<{ name: string; last: string }>(
    'SELECT sequencename AS name, last_value AS last FROM pg_sequences WHERE schemaname = current_schema() AND last_value IS NOT NULL',
  );
  for (const { name, last } of sequences) await to.query('SELECT setval($1::regclass, $2)', [`"${name}"`, last]);
}

const first = ({ coordinators }: Cluster): TestCoordinator => {
  const [coordinator] = coordinators;
  if (coordinator === undefined) throw new Error('no coordinator was started');
  return coordinator;
};
const told = (): unknown[] => receiver.received.map(({ body }) => [body.type, body.data['jobId']]);
const transaction = (sql: TestSql) => sql.one<{ id: number }>('SELECT pg_current_xact_id()::text::int AS id');

test('webhooks, streams and figures go on where a restored database had come to', async () => {
  const type = uniqueType();
  const one = first(before);
  await before.sql.query(
    `DO $$ BEGIN FOR n IN 1..${SPENT_TRANSACTIONS} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$`,
  );
  expectStatus(
    await one.api.post<CreatedWebhook>('/webhooks', {
      url: receiver.url(),
      events: ['job.created', 'job.completed'],
      filter: { type },
    }),
    201,
  );
  const source = await TestEventSource.open(`${one.url}/events?type=${type}`, before.adminKey);
  const early = await one.api.create({ type });
  await eventually(() => told().length === 1 && source.events.length === 1);
  source.close();
  await one.app.loops.outbox.stop();
  const late = await one.api.create({ type });

  const restored = await rig.start(rig.emptyDir());
  await migrate(restored.url, { log: quiet });
  const sql = new TestSql(restored.url, 1);
  await restore(before.sql, sql);
  expect((await transaction(sql)).id).toBeLessThan((await transaction(before.sql)).id);

  const after = await startCluster(1, { webhooks, through: () => restored.url });
  const two = first(after);
  try {
    await eventually(() => told().length === 2);
    const resumed = await TestEventSource.open(`${two.url}/events?type=${type}`, after.adminKey, source.lastId);
    expect(resumed.frames[0]?.event).toBe('ready');
    await eventually(() => resumed.events.length === 1);
    const done = await two.api.claimOne({ runnerId: 'r', types: [type] });
    await two.api.complete(done);
    await eventually(() => told().length === 3 && resumed.events.length === 3);
    expect(told()).toEqual([
      ['job.created', early.id],
      ['job.created', late.id],
      ['job.completed', early.id],
    ]);
    expect(resumed.events.map(({ name }) => name)).toEqual(['job.created', 'job.claimed', 'job.completed']);
    resumed.close();
  } finally {
    await sql.end();
    await after.stop();
    await before.stop();
  }
}, 60_000);
