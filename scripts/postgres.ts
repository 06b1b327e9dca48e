import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { environmentOf, rootOf, unpackPackage } from './debian';

/** Programs of a PostgreSQL server and its clients. */
export interface PostgresPrograms {
  /** The folder of `initdb`, `postgres`, `pg_dump` … */
  bin: string;
  env: NodeJS.ProcessEnv;
}

/** The embedded server comes without clients, and tests of backups need a server of another version as well. */
const NEEDED = ['initdb', 'postgres', 'pg_dump', 'pg_restore', 'pg_basebackup', 'psql'];
const LEAST_VERSION = 14;
const PACKAGE = 'postgresql';
const SKIPPED = 'tests of backups';

/** The newest of this machine; null: there is none. */
export function findPostgres(): PostgresPrograms | null {
  for (const root of ['/', rootOf(PACKAGE)]) {
    const versions = join(root, 'usr/lib/postgresql');
    if (!existsSync(versions)) continue;
    const newest = readdirSync(versions)
      .map(Number)
      .filter((version) => version >= LEAST_VERSION)
      .sort((one, other) => other - one);
    for (const version of newest) {
      const bin = join(versions, String(version), 'bin');
      if (NEEDED.every((name) => existsSync(join(bin, name))))
        return { bin, env: root === '/' ? process.env : environmentOf(root) };
    }
  }
  return null;
}

/**
 * Fetches Debian's PostgreSQL where there is none, apt is there, and this process may use it. Nothing is installed.
 * @returns what became of it, in words; null: one was there
 */
export async function fetchPostgres(): Promise<string | null> {
  if (findPostgres() !== null) return null;
  const outcome = await unpackPackage(PACKAGE, SKIPPED);
  return outcome.startsWith('unpacked') && findPostgres() === null
    ? `lacks a program, so ${SKIPPED} are skipped`
    : outcome;
}
