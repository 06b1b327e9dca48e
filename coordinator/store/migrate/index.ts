import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, DatabaseError, escapeIdentifier } from 'pg';
import { type DatabaseAddress, readAddress } from '../connections/address';
import { requireFit } from '../connections/fitness';
import { Route } from '../connections/route';
import { closeSession, openSession, type SessionOptions } from '../connections/session';
import { applyMigration, failedBefore, type MigrationLog } from './apply';
import { type Migration, MigrationError, readMigrations } from './files';
import { ensureSchema, requireUsable } from './layout';

export { MigrationError };

export interface MigrateOptions {
  log: MigrationLog;
  /** The folder of the migrations; default: that of this version. */
  directory?: string;
  /** The folder of an embedded database, for messages. */
  dataDir?: string | undefined;
}

/** Anything that runs a statement of PostgreSQL: a client or a pool of `pg`. */
export interface Queryable {
  query(text: string): Promise<{ rows: unknown[] }>;
}

interface AppliedMigration {
  migration_name: string;
  checksum: string;
  finished_at: Date | null;
}

/** The advisory lock that `prisma migrate` takes, so that the two never run at the same time. */
const PRISMA_LOCK = 72707369;
const LOCK_WAIT_MS = 60_000;
const LOCK_PAUSE_MS = 100;
/** No timeout, because a migration may take long. */
const SESSION: SessionOptions = {
  applicationName: 'baton migrate',
  statementTimeoutMs: 0,
  settings: { idle_in_transaction_session_timeout: '0' },
};

/**
 * Applies `prisma/migrations/NNNN_name/migration.sql` in the order of their names, each in one transaction, and records
 * them as `prisma migrate deploy` does, so that either can follow the other. A file whose first line is `-- baton: no
 * transaction` runs outside of one and contains a single statement, such as `CREATE INDEX CONCURRENTLY`. When nothing
 * is pending it only reads.
 * @returns the names of those it applied
 * @throws {MigrationError} when one failed, now or before, or was changed after it was applied, or when the tables are
 * of a version that cannot be upgraded
 * @throws {DatabaseFault} when the database cannot serve
 */
export async function migrate(url: string, options: MigrateOptions): Promise<string[]> {
  const address = readAddress(url);
  const migrations = readMigrations(options.directory);
  const route = new Route(address);
  const client = await openSession(route, SESSION);
  try {
    await requireFit(client, route, SESSION);
    const found = await readApplied(client);
    const names = found.map(({ migration_name }) => migration_name);
    await requireUsable(client, address, names, migrations[0]?.name ?? '', options.dataDir);
    if (checkApplied(migrations, found, options).length === 0) return [];
    await takeLock(client);
    await ensureSchema(client, address);
    await client.query(bookkeepingTable(address));
    const pending = checkApplied(migrations, await readApplied(client), options);
    for (const migration of pending) await applyMigration(client, migration, options.log);
    return pending.map(({ name }) => name);
  } catch (error) {
    throw isForbidden(error) ? new MigrationError(forbidden(error)) : error;
  } finally {
    await closeSession(client);
  }
}

/**
 * The names of the migrations that this version needs and that were not (successfully) applied to the database. Only
 * reads.
 */
export async function pendingMigrations(database: string | Queryable, directory?: string): Promise<string[]> {
  if (typeof database !== 'string') return pendingOf(database, directory);
  const client = await openSession(new Route(readAddress(database)), SESSION);
  try {
    return await pendingOf(client, directory);
  } finally {
    await closeSession(client);
  }
}

async function pendingOf(database: Queryable, directory?: string): Promise<string[]> {
  const applied = await readApplied(database);
  const done = new Set(
    applied.filter(({ finished_at }) => finished_at !== null).map(({ migration_name }) => migration_name),
  );
  return readMigrations(directory).flatMap(({ name }) => (done.has(name) ? [] : [name]));
}

/**
 * Prisma's bookkeeping table, exactly as Prisma creates it. Its name is qualified: for a role that may not use the
 * schema, an unqualified name could resolve to a temporary table.
 */
const bookkeepingTable = ({
  schema,
}: DatabaseAddress) => `CREATE TABLE IF NOT EXISTS ${escapeIdentifier(schema)}."_prisma_migrations" (
  "id" VARCHAR(36) PRIMARY KEY NOT NULL,
  "checksum" VARCHAR(64) NOT NULL,
  "finished_at" TIMESTAMPTZ,
  "migration_name" VARCHAR(255) NOT NULL,
  "logs" TEXT,
  "rolled_back_at" TIMESTAMPTZ,
  "started_at" TIMESTAMPTZ NOT NULL DEFAULT now(),
  "applied_steps_count" INTEGER NOT NULL DEFAULT 0
)`;

/** Migrations that were rolled back count as never applied. */
async function readApplied(database: Queryable): Promise<AppliedMigration[]> {
  const { rows } = await database.query(`SELECT to_regclass('"_prisma_migrations"') IS NOT NULL AS present`);
  if (!(rows as { present: boolean }[])[0]?.present) return [];
  const applied = await database.query(
    'SELECT migration_name, checksum, finished_at FROM "_prisma_migrations" WHERE rolled_back_at IS NULL ORDER BY started_at',
  );
  return applied.rows as AppliedMigration[];
}

/** Returns what is pending. */
function checkApplied(migrations: Migration[], applied: AppliedMigration[], { log }: MigrateOptions): Migration[] {
  const known = new Map(migrations.map((migration) => [migration.name, migration]));
  for (const { migration_name: name, checksum, finished_at } of applied) {
    const migration = known.get(name);
    if (finished_at === null) throw new MigrationError(failedBefore(name));
    if (migration === undefined)
      log.info(
        `The database has migration ${name}, which a newer version of Baton applied; this version can work with it.`,
      );
    else if (migration.checksum !== checksum) throw new MigrationError(changedSince(migration, checksum));
  }
  const done = new Set(applied.map(({ migration_name }) => migration_name));
  return migrations.filter(({ name }) => !done.has(name));
}

/**
 * Asks again and again: a statement that waited for the lock would keep its snapshot meanwhile, and CREATE INDEX
 * CONCURRENTLY of the process that has the lock waits for all earlier snapshots, so the two would deadlock.
 */
async function takeLock(client: Client): Promise<void> {
  const until = performance.now() + LOCK_WAIT_MS;
  for (;;) {
    const { rows } = await client.query<{ taken: boolean }>(`SELECT pg_try_advisory_lock(${PRISMA_LOCK}) AS taken`);
    if (rows[0]?.taken === true) return;
    if (performance.now() > until)
      throw new MigrationError(
        `Another process has been migrating this database for more than ${LOCK_WAIT_MS / 1000}s. Wait until it is done, then start again.`,
      );
    await sleep(LOCK_PAUSE_MS);
  }
}

function changedSince(migration: Migration, checksum: string): string {
  return `Migration ${migration.name} was changed after it was applied (checksum ${checksum.slice(0, 12)}… then, ${migration.checksum.slice(0, 12)}… now). Restore the file; put changes into a new migration.`;
}

function isForbidden(error: unknown): error is DatabaseError {
  return error instanceof DatabaseError && error.code === '42501';
}

function forbidden(error: DatabaseError): string {
  return (
    `The database must be migrated, or asked whether it must, and this role may not: ${error.message}. Run npm run migrate once with DATABASE_URL of a role ` +
    `that may create tables, and grant this one what docs/database-roles.md says, of which GRANT USAGE ON SCHEMA and GRANT SELECT ON "_prisma_migrations" come first.`
  );
}
