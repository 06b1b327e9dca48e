import { Client } from 'pg';
import { listen, notify } from '../../coordinator/store/listen';
import { openDb, sql } from '../../coordinator/store/db';
import { lockNames } from '../../coordinator/store/locks';
import { migrate, MigrationError, pendingMigrations } from '../../coordinator/store/migrate';
import { createTestDatabase, type TestDatabase } from '../support/database';
import { eventually } from '../support/eventually';
import { migrateAsBefore } from './before';

// Baton's tables have a schema of their own, and nothing of others in the same database is touched or taken for theirs.

const log = { info: () => undefined, warn: () => undefined };
let database: TestDatabase;
let client: Client;
beforeEach(async () => {
  database = await createTestDatabase({ migrated: false });
  client = new Client({ connectionString: database.url, options: '-c search_path=public' });
  await client.connect();
});
afterEach(async () => {
  await client.end();
  await database.drop();
});

async function tables(schema: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    "SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = to_regnamespace($1) ORDER BY 1",
    [schema],
  );
  return rows.map(({ name }) => name);
}

async function faultOf(work: Promise<unknown>): Promise<string> {
  const error = await work.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(MigrationError);
  return (error as Error).message;
}

it("leaves another application's tables and its migrations alone, even those that failed", async () => {
  await client.query(`
    CREATE TABLE _prisma_migrations (id text, checksum text, finished_at timestamptz, migration_name text,
      rolled_back_at timestamptz, started_at timestamptz DEFAULT now());
    INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES ('1', 'x', '20260101_theirs');
    CREATE TABLE jobs (theirs text);
    CREATE TYPE job_status AS ENUM ('theirs')`);
  expect(await migrate(database.url, { log })).toContain('0001_baton');
  expect(await pendingMigrations(database.url)).toEqual([]);
  expect(await tables('public')).toEqual(['_prisma_migrations', 'jobs']);
  expect((await client.query('SELECT migration_name FROM _prisma_migrations')).rows).toEqual([
    { migration_name: '20260101_theirs' },
  ]);
  expect(await tables('baton')).toEqual(expect.arrayContaining(['_prisma_migrations', 'jobs', 'attempts']));
});

it('uses the schema that the address names, as Prisma does', async () => {
  await migrate(`${database.url}&schema=My%20Jobs`, { log });
  expect(await tables('"My Jobs"')).toContain('jobs');
  expect(await tables('baton')).toEqual([]);
  const db = openDb(`${database.url}&schema=My%20Jobs`, { poolSize: 8, onError: () => undefined });
  expect(await db.query(sql`SELECT count(*)::int AS count FROM jobs`)).toEqual([{ count: 0 }]);
  expect(await db.prisma.apiKey.findMany()).toEqual([]);
  await db.close();
});

it('tables in public, and an address that names no schema, are named in one line that says what to do', async () => {
  await migrate(`${database.url}&schema=public`, { log });
  const fault = await faultOf(migrate(database.url, { log }));
  expect(fault).toMatch(/^[^\n]*schema public[^\n]*Add \?schema=public to DATABASE_URL[^\n]*$/);
  expect(await tables('baton')).toEqual([]);
  expect(await migrate(`${database.url}&schema=public`, { log })).toEqual([]);
});

describe.each(['baton', 'public'])('tables that a version before 0.1 made in the schema %s', (schema) => {
  const contents = async () =>
    (
      await client.query(
        `SELECT (SELECT json_agg(j) FROM ${schema}.jobs j) AS jobs, (SELECT json_agg(m) FROM ${schema}._prisma_migrations m) AS books`,
      )
    ).rows;
  beforeEach(async () => {
    await migrateAsBefore(`${database.url}&schema=${schema}`);
    await client.query(`INSERT INTO ${schema}.jobs (id) VALUES (gen_random_uuid())`);
  });

  it('are named in one line, and left as they are', async () => {
    const before = await contents();
    const named = `${database.url}&schema=${schema}`;
    for (const url of [database.url, named, named])
      expect(await faultOf(migrate(url, { log }))).toMatch(
        new RegExp(
          `^The schema ${schema} of this database was made by a version of Baton before 0\\.1[^\\n]*nothing in it was changed[^\\n]*$`,
        ),
      );
    expect(await contents()).toEqual(before);
    expect(await tables(schema === 'baton' ? 'public' : 'baton')).toEqual([]);
  });

  it('may stay beside those of this version in another schema', async () => {
    expect(await migrate(`${database.url}&schema=another`, { log })).toContain('0001_baton');
    expect(await tables('another')).toContain('jobs');
  });
});

it('two Batons in one database neither hear each other nor wait for each other', async () => {
  const urls = ['one', 'two'].map((schema) => `${database.url}&schema=${schema}`);
  for (const url of urls) await migrate(url, { log });
  const [one, two] = urls.map((url) => openDb(url, { poolSize: 8, onError: () => undefined }));
  if (one === undefined || two === undefined) throw new Error('two are opened');
  const heard: string[] = [];
  let isListening = false;
  const listener = listen(urls[0] ?? '', '0.1.0', {
    message: (payload) => heard.push(payload),
    connect: () => (isListening = true),
    error: () => undefined,
  });
  await eventually(() => isListening);
  await notify(two, 'of two');
  await notify(one, 'of one');
  expect(
    await eventually(
      () => [...heard],
      (all) => all.length > 0,
    ),
  ).toEqual(['of one']);
  // Inside each other: were they the same lock, the second would wait for the first for ever.
  await one.transaction(async (first) => {
    await lockNames(first, ['a']);
    await two.transaction((second) => lockNames(second, ['a']));
  });
  await listener.stop();
  await Promise.all([one.close(), two.close()]);
});
