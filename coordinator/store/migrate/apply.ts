import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, DatabaseError } from 'pg';
import { type Migration, MigrationError } from './files';

export interface MigrationLog {
  info(message: string): unknown;
  warn(message: string): unknown;
}

/** A migration that waits longer for a table lock would block all later statements on that table. */
const TABLE_LOCK_WAIT = '3s';
const LOCK_TRIES = 20;
const LOCK_PAUSE_MS = 500;
const NO_TRANSACTION = /^-- baton: no transaction\s*$/m;

/**
 * Runs one migration and records it; retries while a table that it needs is in use.
 * @throws {MigrationError}
 */
export async function applyMigration(client: Client, migration: Migration, log: MigrationLog): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await (NO_TRANSACTION.test(firstLine(migration.sql))
        ? runAlone(client, migration)
        : runInTransaction(client, migration));
      log.info(`Migration ${migration.name} applied.`);
      return;
    } catch (error) {
      if (!isLockTimeout(error) || attempt === LOCK_TRIES) throw failedNow(migration, error);
      log.warn(`Migration ${migration.name} waits for a table that is in use (try ${attempt} of ${LOCK_TRIES}).`);
      await sleep(LOCK_PAUSE_MS);
    }
  }
}

/** The error for a migration that was started but neither finished nor rolled back. */
export function failedBefore(name: string): string {
  return `Migration ${name} did not finish. Undo what it left behind, then let it run again: UPDATE "_prisma_migrations" SET rolled_back_at = now() WHERE migration_name = '${name}' AND finished_at IS NULL`;
}

function isLockTimeout(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === '55P03';
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

/**
 * Such a migration blocks nobody while it waits, so it may wait. A failure stays recorded, because half of it may be
 * done.
 */
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
  await client.query(
    'INSERT INTO "_prisma_migrations" (id, checksum, migration_name, started_at) VALUES ($1, $2, $3, clock_timestamp())',
    [id, checksum, name],
  );
  return id;
}

async function noteEnd(client: Client, id: string): Promise<void> {
  await client.query(
    'UPDATE "_prisma_migrations" SET finished_at = clock_timestamp(), applied_steps_count = 1 WHERE id = $1',
    [id],
  );
}

function failedNow(migration: Migration, error: unknown): Error {
  if (error instanceof DatabaseError && error.code === '42501') return error;
  const fault = error instanceof Error ? error.message : String(error);
  if (!(error instanceof DatabaseError))
    return new MigrationError(`Migration ${migration.name} was interrupted: ${fault}. Start again.`);
  const place =
    error.position === undefined ? '' : ` (line ${migration.sql.slice(0, Number(error.position)).split('\n').length})`;
  return new MigrationError(`Migration ${migration.name} failed${place}: ${fault}. ${remedy(migration)}`);
}

function remedy(migration: Migration): string {
  if (NO_TRANSACTION.test(firstLine(migration.sql))) return failedBefore(migration.name);
  return 'Nothing of it was kept; mend the cause and start again.';
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
