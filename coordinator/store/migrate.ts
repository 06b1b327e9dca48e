import { createHash, randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, DatabaseError } from 'pg';

/** Why the database cannot be brought to this version. The message is one line that says what to do. */
export class MigrationError extends Error {}

export interface MigrateOptions {
  log: { info(message: string): unknown; warn(message: string): unknown };
  /** The folder of the migrations; default: the one that comes with this version. */
  directory?: string;
}

/** Anything that runs a statement of PostgreSQL: a client or a pool of `pg`. */
export interface Queryable {
  query(text: string): Promise<{ rows: unknown[] }>;
}

interface Migration {
  name: string;
  sql: string;
  checksum: string;
}

interface AppliedMigration {
  migration_name: string;
  checksum: string;
  finished_at: Date | null;
}

/** The advisory lock that `prisma migrate` takes, so that the two never run at the same time. */
const PRISMA_LOCK = 72707369;
const LOCK_WAIT = '60s';
/** Longer, and a migration that waits for a table would stop all that come after it to that table. */
const TABLE_LOCK_WAIT = '3s';
const LOCK_TRIES = 20;
const LOCK_PAUSE_MS = 500;
const NO_TRANSACTION = /^-- baton: no transaction\s*$/m;

/**
 * Applies `prisma/migrations/NNNN_name/migration.sql` in the order of their names, each in one transaction, and writes
 * them down as `prisma migrate deploy` does, so that either can follow the other. A file whose first line is
 * `-- baton: no transaction` runs outside of one and holds a single statement, such as `CREATE INDEX CONCURRENTLY`.
 * When nothing is pending it only reads.
 * @returns the names of those it applied.
 * @throws {MigrationError} when one failed, now or before, or was changed after it was applied.
 */
export async function migrate(url: string, options: MigrateOptions): Promise<string[]> {
  const migrations = readMigrations(options.directory);
  const client = new Client({ connectionString: url, application_name: 'baton migrate' });
  // A connection that breaks also fails the statement in flight, which reports it.
  client.on('error', () => undefined);
  await client.connect();
  try {
    if (judge(migrations, await readApplied(client), options).length === 0) return [];
    await takeLock(client);
    await client.query(BOOKKEEPING_TABLE);
    const pending = judge(migrations, await readApplied(client), options);
    for (const migration of pending) await apply(client, migration, options);
    return pending.map(({ name }) => name);
  } finally {
    await client.end();
  }
}

/** The names of the migrations that this version needs and the database has not (successfully) applied. It only reads. */
export async function pendingMigrations(database: string | Queryable, directory?: string): Promise<string[]> {
  if (typeof database !== 'string') return pendingOf(database, directory);
  const client = new Client({ connectionString: database, application_name: 'baton migrate' });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await pendingOf(client, directory);
  } finally {
    await client.end();
  }
}

async function pendingOf(database: Queryable, directory?: string): Promise<string[]> {
  const applied = await readApplied(database);
  const done = new Set(applied.filter(({ finished_at }) => finished_at !== null).map(({ migration_name }) => migration_name));
  return readMigrations(directory).flatMap(({ name }) => (done.has(name) ? [] : [name]));
}

/** Prisma's own bookkeeping, to the letter. */
const BOOKKEEPING_TABLE = `CREATE TABLE IF NOT EXISTS "_prisma_migrations" (
  "id" VARCHAR(36) PRIMARY KEY NOT NULL,
  "checksum" VARCHAR(64) NOT NULL,
  "finished_at" TIMESTAMPTZ,
  "migration_name" VARCHAR(255) NOT NULL,
  "logs" TEXT,
  "rolled_back_at" TIMESTAMPTZ,
  "started_at" TIMESTAMPTZ NOT NULL DEFAULT now(),
  "applied_steps_count" INTEGER NOT NULL DEFAULT 0
)`;

function readMigrations(directory = findDirectory()): Migration[] {
  const names = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return names
    .map(({ name }) => {
      const sql = readFileSync(join(directory, name, 'migration.sql'), 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    })
    .sort((one, other) => (one.name < other.name ? -1 : 1));
}

/** Upwards from here: this file runs both compiled, from coordinator/dist/store, and as source. */
function findDirectory(): string {
  for (let folder = __dirname; folder !== dirname(folder); folder = dirname(folder)) {
    const directory = join(folder, 'prisma', 'migrations');
    if (existsSync(join(directory, 'migration_lock.toml'))) return directory;
  }
  throw new MigrationError(`The folder prisma/migrations was not found above ${__dirname}. Install Baton again.`);
}

/** Those that were rolled back count as never applied. */
async function readApplied(database: Queryable): Promise<AppliedMigration[]> {
  const { rows } = await database.query(`SELECT to_regclass('"_prisma_migrations"') IS NOT NULL AS present`);
  if (!(rows as { present: boolean }[])[0]?.present) return [];
  const applied = await database.query(
    'SELECT migration_name, checksum, finished_at FROM "_prisma_migrations" WHERE rolled_back_at IS NULL ORDER BY started_at',
  );
  return applied.rows as AppliedMigration[];
}

/** Returns what is pending. */
function judge(migrations: Migration[], applied: AppliedMigration[], { log }: MigrateOptions): Migration[] {
  const known = new Map(migrations.map((migration) => [migration.name, migration]));
  for (const { migration_name: name, checksum, finished_at } of applied) {
    const migration = known.get(name);
    if (finished_at === null) throw new MigrationError(failedBefore(name));
    if (migration === undefined) log.info(`The database has migration ${name}, which a newer version of Baton applied; this version can work with it.`);
    else if (migration.checksum !== checksum) throw new MigrationError(changedSince(migration, checksum));
  }
  const done = new Set(applied.map(({ migration_name }) => migration_name));
  return migrations.filter(({ name }) => !done.has(name));
}

async function takeLock(client: Client): Promise<void> {
  await client.query(`SET lock_timeout = '${LOCK_WAIT}'`);
  try {
    await client.query(`SELECT pg_advisory_lock(${PRISMA_LOCK})`);
  } catch (error) {
    if (!isLockTimeout(error)) throw error;
    throw new MigrationError(`Another process has been migrating this database for more than ${LOCK_WAIT}. Wait until it is done, then start again.`);
  }
}

async function apply(client: Client, migration: Migration, { log }: MigrateOptions): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await (NO_TRANSACTION.test(firstLine(migration.sql)) ? runAlone(client, migration) : runInTransaction(client, migration));
      log.info(`Migration ${migration.name} applied.`);
      return;
    } catch (error) {
      if (!isLockTimeout(error) || attempt === LOCK_TRIES) throw failedNow(migration, error);
      log.warn(`Migration ${migration.name} waits for a table that is in use (try ${attempt} of ${LOCK_TRIES}).`);
      await sleep(LOCK_PAUSE_MS);
    }
  }
}

async function runInTransaction(client: Client, migration: Migration): Promise<void> {
  await client.query('BEGIN');
  try {
    await client.query(`SET LOCAL lock_timeout = '${TABLE_LOCK_WAIT}'`);
    const id = await noteStart(client, migration);
    await client.query(migration.sql);
    await noteEnd(client, id);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/** What such a migration waits for stops nobody else, so it may wait. A failure stays noted: half of it may be done. */
async function runAlone(client: Client, migration: Migration): Promise<void> {
  await client.query('SET lock_timeout = 0');
  const id = await noteStart(client, migration);
  try {
    await client.query(migration.sql);
  } catch (error) {
    await client.query('UPDATE "_prisma_migrations" SET logs = $2 WHERE id = $1', [id, String(error)]);
    throw error;
  }
  await noteEnd(client, id);
}

async function noteStart(client: Client, { name, checksum }: Migration): Promise<string> {
  const id = randomUUID();
  await client.query('INSERT INTO "_prisma_migrations" (id, checksum, migration_name, started_at) VALUES ($1, $2, $3, clock_timestamp())', [
    id,
    checksum,
    name,
  ]);
  return id;
}

async function noteEnd(client: Client, id: string): Promise<void> {
  await client.query('UPDATE "_prisma_migrations" SET finished_at = clock_timestamp(), applied_steps_count = 1 WHERE id = $1', [id]);
}

function isLockTimeout(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === '55P03';
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}

function failedNow(migration: Migration, error: unknown): Error {
  const fault = error instanceof Error ? error.message : String(error);
  if (!(error instanceof DatabaseError)) return new MigrationError(`Migration ${migration.name} was interrupted: ${fault}. Start again.`);
  const place = error.position === undefined ? '' : ` (line ${migration.sql.slice(0, Number(error.position)).split('\n').length})`;
  return new MigrationError(`Migration ${migration.name} failed${place}: ${fault}. ${remedy(migration, error)}`);
}

function remedy(migration: Migration, error: DatabaseError): string {
  if (error.code === '42501') return 'Run npm run migrate once with DATABASE_URL of a role that may create tables.';
  if (NO_TRANSACTION.test(firstLine(migration.sql))) return failedBefore(migration.name);
  return 'Nothing of it was kept; mend the cause and start again.';
}

function failedBefore(name: string): string {
  return `Migration ${name} did not finish. Undo what it left behind, then let it run again: UPDATE "_prisma_migrations" SET rolled_back_at = now() WHERE migration_name = '${name}' AND finished_at IS NULL`;
}

function changedSince(migration: Migration, checksum: string): string {
  return `Migration ${migration.name} was changed after it was applied (checksum ${checksum.slice(0, 12)}… then, ${migration.checksum.slice(0, 12)}… now). Restore the file; put changes into a new migration.`;
}
