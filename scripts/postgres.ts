import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, runApt } from './debian';

/** Programs of a PostgreSQL server and its clients. */
export interface PostgresPrograms {
  /** The folder of `initdb`, `postgres`, `pg_dump` … */
  bin: string;
  env: NodeJS.ProcessEnv;
}

/** The embedded server comes without clients, and tests of backups need a server of another version as well. */
const NEEDED = ['initdb', 'postgres', 'pg_dump', 'pg_restore', 'pg_basebackup', 'psql'];
const LEAST_VERSION = 14;
/** Unpacked here and not installed, because the package would start a server. */
const UNPACKED = '/var/cache/baton/postgresql';
const INSTALL = `
  mkdir -p ${UNPACKED}/archives/partial && apt-get update -qq &&
  apt-get install -y -qq --no-install-recommends --download-only -o Dir::Cache::archives=${UNPACKED}/archives postgresql &&
  for file in ${UNPACKED}/archives/*.deb; do dpkg-deb -x "$file" ${UNPACKED} || exit 1; done; rm -rf ${UNPACKED}/archives`;

/** The newest of this machine; null: there is none. */
export function findPostgres(): PostgresPrograms | null {
  for (const root of ['/', UNPACKED]) {
    const versions = join(root, 'usr/lib/postgresql');
    if (!existsSync(versions)) continue;
    const newest = readdirSync(versions)
      .map(Number)
      .filter((version) => version >= LEAST_VERSION)
      .sort((one, other) => other - one);
    for (const version of newest) {
      const bin = join(versions, String(version), 'bin');
      if (NEEDED.every((name) => existsSync(join(bin, name)))) return { bin, env: librariesOf(root) };
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
  if (process.getuid?.() !== 0 || findProgram('apt-get') === null)
    return 'there is none, so tests of backups are skipped; install the package postgresql';
  const fault = await runApt(INSTALL);
  if (fault === null && findPostgres() !== null) return `unpacked in ${UNPACKED}`;
  return `could not be fetched, so tests of backups are skipped: ${fault ?? 'a program is missing'}`;
}

function librariesOf(root: string): NodeJS.ProcessEnv {
  const folder = join(root, 'usr/lib');
  if (root === '/') return process.env;
  const triplets = readdirSync(folder).filter((name) => name.endsWith('-linux-gnu'));
  return { ...process.env, LD_LIBRARY_PATH: triplets.map((name) => join(folder, name)).join(':') };
}
