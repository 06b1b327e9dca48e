import { Client } from 'pg';
import { readAddress } from '../../coordinator/store/connections/address';
import { Route } from '../../coordinator/store/connections/route';
import { closeSession, openSession } from '../../coordinator/store/connections/session';
import { openDb, sql } from '../../coordinator/store/db';
import { migrate } from '../../coordinator/store/migrate';
import { startCoordinator } from '../support/coordinator';
import { createTestDatabase } from '../support/database';
import { jobIn, STATES } from '../support/factory';

// Whatever the role, the database, `options` of the address or the shell say: Baton's sessions are set by Baton.

const HOSTILE: Record<string, string> = {
  default_transaction_isolation: 'serializable',
  default_transaction_read_only: 'on',
  datestyle: 'German',
  intervalstyle: 'sql_standard',
  timezone: 'Pacific/Auckland',
  search_path: 'nowhere',
  statement_timeout: '20ms',
  lock_timeout: '1ms',
  idle_session_timeout: '250ms',
  idle_in_transaction_session_timeout: '1ms',
  array_nulls: 'off',
  bytea_output: 'escape',
  extra_float_digits: '-15',
  standard_conforming_strings: 'off',
  transform_null_equals: 'on',
  client_encoding: 'LATIN1',
  exit_on_error: 'on',
  enable_indexscan: 'off',
  enable_nestloop: 'off',
  jit: 'on',
};
const OPTIONS =
  '-c datestyle=German -c default_transaction_isolation=serializable -c enable_seqscan=on -c timezone=Asia/Tokyo';

async function asOwner(
  url: string,
  run: (client: Client, database: string, role: string) => Promise<void>,
): Promise<void> {
  const { pathname, username } = new URL(url);
  const client = new Client({ connectionString: url, options: '-c default_transaction_read_only=off' });
  await client.connect();
  await run(client, pathname.slice(1), username);
  await client.end();
}

async function makeHostile(url: string): Promise<string> {
  await asOwner(url, async (client, database, role) => {
    for (const [name, value] of Object.entries(HOSTILE)) {
      await client.query(`ALTER DATABASE ${database} SET ${name} = '${value}'`);
      await client.query(`ALTER ROLE ${role} IN DATABASE ${database} SET ${name} = '${value}'`);
    }
  });
  return `${url}&options=${encodeURIComponent(OPTIONS)}`;
}

const EXPECTED = {
  transaction_isolation: 'read committed',
  transaction_read_only: 'off',
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  search_path: '"baton", pg_temp',
  lock_timeout: '0',
  idle_session_timeout: '0',
  array_nulls: 'on',
  bytea_output: 'hex',
  extra_float_digits: '1',
  standard_conforming_strings: 'on',
  transform_null_equals: 'off',
  client_encoding: 'UTF8',
  exit_on_error: 'off',
  enable_seqscan: 'off',
  enable_indexscan: 'on',
  enable_nestloop: 'on',
  jit: 'off',
};
const READ_ALL = sql`SELECT name, setting AS value FROM pg_settings WHERE name = ANY (${Object.keys(EXPECTED)})`;

test('every session has the settings that are relied on', async () => {
  const database = await createTestDatabase();
  const url = await makeHostile(database.url);
  const db = openDb(url, { poolSize: 8, onError: () => undefined });
  const settingsOf = async (rows: Promise<{ name: string; value: string }[]>) =>
    Object.fromEntries((await rows).map(({ name, value }) => [name, value]));
  for (const pool of [db, db.hot, db.vital, db.keyed, db.reads('somebody')])
    expect(await settingsOf(pool.query(READ_ALL))).toEqual(EXPECTED);
  expect(await settingsOf(db.transaction((transaction) => transaction.query(READ_ALL)))).toEqual(EXPECTED);
  expect(await settingsOf(db.prisma.$queryRaw(READ_ALL))).toEqual(EXPECTED);
  const session = await openSession(new Route(readAddress(url)), {
    applicationName: 'test',
    statementTimeoutMs: 0,
  });
  const { rows } = await session.query<{ name: string; value: string }>(READ_ALL.text, READ_ALL.values);
  expect(await settingsOf(Promise.resolve(rows))).toEqual(EXPECTED);
  await closeSession(session);
  await db.close();
  await database.drop();
});

test('what the address says of other things stays', async () => {
  const database = await createTestDatabase();
  const db = openDb(`${database.url}&options=${encodeURIComponent('-c work_mem=77MB')}`, {
    poolSize: 8,
    onError: () => undefined,
  });
  expect(await db.query(sql`SELECT current_setting('work_mem') AS work_mem`)).toEqual([{ work_mem: '77MB' }]);
  await db.close();
  await database.drop();
});

test('the migration and the whole life of jobs go on under hostile defaults', async () => {
  const empty = await createTestDatabase({ migrated: false });
  const log = { info: () => undefined, warn: () => undefined };
  const url = await makeHostile(empty.url);
  expect((await migrate(url, { log })).length).toBeGreaterThan(0);
  expect(await migrate(url, { log })).toEqual([]);
  await empty.drop();

  const coordinator = await startCoordinator({ through: makeHostile });
  // The test's own look at the database is no session of Baton's.
  for (const state of STATES.filter((each) => each !== 'blocked' && each !== 'expired'))
    await jobIn(state, coordinator);
  const { api } = coordinator;
  await api.call('put', '/queues/limited', { json: { userRateLimit: { max: 5, perMs: 3_600_000 } } });
  const made = await Promise.all(
    Array.from({ length: 30 }, () => api.post('/jobs', { type: 'a', queue: 'limited', userId: 'ann' })),
  );
  expect(made.filter(({ status }) => status === 201)).toHaveLength(5);
  expect(made.filter(({ status }) => status === 429)).toHaveLength(25);
  expect((await api.get<{ items: unknown[] }>('/api-keys')).status).toBe(200);
  expect((await api.get('/readyz')).status).toBe(200);
  await asOwner(coordinator.sql.url, async (client, database, role) => {
    await client.query(`ALTER DATABASE ${database} RESET ALL; ALTER ROLE ${role} IN DATABASE ${database} RESET ALL`);
  });
  await coordinator.stop();
});

test('the shell does not reach sessions', async () => {
  const database = await createTestDatabase();
  const before = { ...process.env };
  Object.assign(process.env, { PGSSLMODE: 'require', PGOPTIONS: '-c nonsense=1', PGREPLICATION: 'true' });
  try {
    const db = openDb(database.url, { poolSize: 8, onError: () => undefined });
    expect(await db.query(sql`SELECT 1 AS one`)).toEqual([{ one: 1 }]);
    await db.close();
  } finally {
    process.env = before;
  }
  await database.drop();
});
