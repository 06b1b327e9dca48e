import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findShipped } from '../../shipped';

/** Why the database cannot be brought to this version. The message is one line that says what to do. */
export class MigrationError extends Error {}

export interface Migration {
  name: string;
  sql: string;
  /** SHA-256 of the file, in hex, as Prisma stores it. */
  checksum: string;
}

/** Reads migrations in the order in which they are applied, by name. */
export function readMigrations(directory = findDirectory()): Migration[] {
  const names = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return names
    .map(({ name }) => {
      const sql = readFileSync(join(directory, name, 'migration.sql'), 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    })
    .sort((one, other) => (one.name < other.name ? -1 : 1));
}

function findDirectory(): string {
  const found = findShipped(join('prisma', 'migrations'), 'migration_lock.toml');
  if (found !== null) return found;
  throw new MigrationError(`The folder prisma/migrations was not found above ${__dirname}. Install Baton again.`);
}
