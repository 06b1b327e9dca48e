import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { migrate, MigrationError, pendingMigrations } from '../../coordinator/store/migrate';
import { createTestDatabase, type TestDatabase } from '../support/database';

let database: TestDatabase;
let client: Client;
let directory: string;
let lines: string[];
const log = { info: (line: string) => lines.push(line), warn: (line: string) => lines.push(line) };

beforeEach(async () => {
  lines = [];
  directory = mkdtempSync(join(tmpdir(), 'baton-migrations-'));
  database = await createTestDatabase({ migrated: false });
  client = new Client({ connectionString: database.url });
  await client.connect();
  await client.query('CREATE SCHEMA baton');
});
afterEach(async () => {
  await client.end();
  await database.drop();
  rmSync(directory, { recursive: true, force: true });
});

describe('migrate', () => {
  it("applies Baton's own migrations once", async () => {
    const pending = await pendingMigrations(database.url);
    expect(pending.length).toBeGreaterThan(0);
    expect(await migrate(database.url, { log })).toEqual(pending);
    expect(await migrate(database.url, { log })).toEqual([]);
    expect(await pendingMigrations(client)).toEqual([]);
  });

  it('goes by name and keeps the books as Prisma does', async () => {
    write('0002_second', 'ALTER TABLE first ADD COLUMN y int;');
    const sql = write('0001_first', 'CREATE TABLE first (x int); -- ä\n');
    expect(await run()).toEqual(['0001_first', '0002_second']);
    const books = await rows('SELECT * FROM "_prisma_migrations" ORDER BY started_at');
    expect(books[0]).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
      checksum: createHash('sha256').update(sql).digest('hex'),
      finished_at: expect.any(Date) as Date,
      migration_name: '0001_first',
      logs: null,
      rolled_back_at: null,
      started_at: expect.any(Date) as Date,
      applied_steps_count: 1,
    });
  });

  it('applies each migration once when many ask at the same time', async () => {
    write('0001_first', 'CREATE TABLE first (x int); SELECT pg_sleep(0.2);');
    write('0002_second', 'CREATE TABLE second (x int);');
    const applied = await Promise.all([run(), run(), run(), run()]);
    expect(applied.flat().sort()).toEqual(['0001_first', '0002_second']);
  });

  it('waits for a table that is in use', async () => {
    await client.query('CREATE TABLE busy (x int)');
    write('0001_first', 'ALTER TABLE busy ADD COLUMN y int;');
    await client.query('BEGIN; SELECT * FROM busy');
    const waited = new Promise<void>((resolve) => {
      log.warn = (line) => {
        resolve();
        return lines.push(line);
      };
    });
    const applied = run();
    await waited;
    await client.query('COMMIT');
    expect(await applied).toEqual(['0001_first']);
    expect(lines[0]).toMatch(/waits for a table that is in use/);
  });

  it('keeps nothing of one that fails, and says where it failed', async () => {
    write('0001_first', 'CREATE TABLE first (x int);\nSELECT nonsense;\n');
    expect(await faultOf(run())).toBe(
      'Migration 0001_first failed (line 2): column "nonsense" does not exist. Nothing of it was kept; mend the cause and start again.',
    );
    expect(await rows(`SELECT to_regclass('first') AS first`)).toEqual([{ first: null }]);
    write('0001_first', 'CREATE TABLE first (x int);');
    expect(await run()).toEqual(['0001_first']);
  });

  it('refuses one that was changed after it was applied', async () => {
    write('0001_first', 'CREATE TABLE first (x int);');
    await run();
    write('0001_first', 'CREATE TABLE first (x bigint);');
    expect(await faultOf(run())).toMatch(/^Migration 0001_first was changed after it was applied .*Restore the file/);
  });

  it('works with a database that a newer version has migrated', async () => {
    write('0001_first', 'CREATE TABLE first (x int);');
    write('0002_newer', 'CREATE TABLE newer (x int);');
    await run();
    rmSync(join(directory, '0002_newer'), { recursive: true });
    lines = [];
    expect(await run()).toEqual([]);
    expect(lines).toEqual([expect.stringMatching(/0002_newer, which a newer version/)]);
    expect(await pendingMigrations(database.url, directory)).toEqual([]);
  });
});

describe('a migration that wants no transaction', () => {
  const HEAD = '-- baton: no transaction\n';

  it('runs outside of one', async () => {
    write('0001_first', 'CREATE TABLE first (x int);');
    write('0002_index', `${HEAD}CREATE INDEX CONCURRENTLY first_x ON first (x);`);
    expect(await run()).toEqual(['0001_first', '0002_index']);
  });

  it('runs once when many coordinators start at the same moment', async () => {
    write('0001_first', 'CREATE TABLE first (x int); INSERT INTO first SELECT generate_series(1, 100000);');
    write('0002_index', `${HEAD}CREATE INDEX CONCURRENTLY first_x ON first (x);`);
    const applied = await Promise.all([run(), run(), run(), run()]);
    expect(applied.flat().sort()).toEqual(['0001_first', '0002_index']);
  });

  it('stays noted when it fails, until somebody has looked', async () => {
    write('0001_first', `${HEAD}CREATE INDEX CONCURRENTLY first_x ON first (x);`);
    expect(await faultOf(run())).toMatch(/relation "first" does not exist.*Undo what it left behind/);
    await client.query('CREATE TABLE first (x int)');
    const fault = await faultOf(run());
    expect(fault).toMatch(/^Migration 0001_first did not finish/);
    expect(await pendingMigrations(database.url, directory)).toEqual(['0001_first']);
    await client.query(fault.slice(fault.indexOf('UPDATE')));
    expect(await run()).toEqual(['0001_first']);
  });
});

describe('a role that may only read', () => {
  const role = `reader_${process.pid}`;
  let readerUrl: string;
  beforeEach(async () => {
    write('0001_first', 'CREATE TABLE first (x int);');
    await client.query(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'`);
    readerUrl = Object.assign(new URL(database.url), { username: role, password: 'secret' }).href;
  });
  afterEach(() => client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`));

  it('needs no more when nothing is pending', async () => {
    await run();
    await client.query(`GRANT USAGE ON SCHEMA baton TO ${role}`);
    await client.query(`GRANT SELECT ON "_prisma_migrations" TO ${role}`);
    expect(await migrate(readerUrl, { log, directory })).toEqual([]);
    expect(await pendingMigrations(readerUrl, directory)).toEqual([]);
  });

  it('is told what to do when something is', async () => {
    const fault = await faultOf(migrate(readerUrl, { log, directory }));
    expect(fault).toMatch(/permission denied.*npm run migrate once with DATABASE_URL of a role that may create tables/);
  });

  it('is told what to do when it may not read the books', async () => {
    await run();
    expect(await faultOf(migrate(readerUrl, { log, directory }))).toMatch(/permission denied.*GRANT SELECT/);
  });
});

function write(name: string, sql: string): string {
  mkdirSync(join(directory, name), { recursive: true });
  writeFileSync(join(directory, name, 'migration.sql'), sql);
  return sql;
}

function run(): Promise<string[]> {
  return migrate(database.url, { log, directory });
}

async function rows(text: string): Promise<unknown[]> {
  return (await client.query<Record<string, unknown>>(text)).rows;
}

/** The one line of the fault that stopped it. */
async function faultOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(MigrationError);
  const { message } = error as MigrationError;
  expect(message).not.toContain('\n');
  return message;
}
