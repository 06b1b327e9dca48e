import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrate } from '../../coordinator/store/migrate';

/**
 * Leaves behind what tells the tables of a version before 0.1: its first migration in the books, and tables of these
 * names.
 */
export async function migrateAsBefore(url: string): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'baton-migrations-'));
  mkdirSync(join(directory, '0001_jobs'));
  writeFileSync(
    join(directory, '0001_jobs', 'migration.sql'),
    'CREATE TABLE jobs (id uuid); CREATE TABLE idempotency_keys (key text);',
  );
  await migrate(url, { log: { info: () => undefined, warn: () => undefined }, directory });
  rmSync(directory, { recursive: true });
}
