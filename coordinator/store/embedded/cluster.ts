import { spawn } from 'node:child_process';
import {
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { EmbeddedDatabaseError } from './account';
import { type Installation, PROGRAM_ENV } from './installation';
import type { DataLocation } from './location';
import { isAlive } from './process';

/** Name of the server's only user, its owner, and of the database. */
export const DATABASE_NAME = 'baton';

/**
 * Creates the cluster if there is none. It is created under another name and renamed when it is complete, so a killed
 * process leaves nothing that looks like a cluster, and of two processes the first one wins.
 * @throws {EmbeddedDatabaseError} when it cannot be created, or was created by another major version
 */
export async function ensureCluster(location: DataLocation, installation: Installation): Promise<void> {
  const { clusterDir } = location;
  if (existsSync(clusterDir)) {
    checkMajor(clusterDir, installation);
    return;
  }
  sweepDrafts(clusterDir);
  const draft = mkdtempSync(`${clusterDir}.new-${process.pid}-`);
  try {
    await initialise(draft, location, installation);
    renameSync(join(draft, 'cluster'), clusterDir);
  } catch (error) {
    if (!existsSync(clusterDir)) throw error;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** Removes what killed first starts left behind. */
function sweepDrafts(clusterDir: string): void {
  for (const name of readdirSync(dirname(clusterDir))) {
    const pid = name.startsWith(`${basename(clusterDir)}.new-`) ? Number(name.split('-').at(-2)) : Number.NaN;
    if (Number.isInteger(pid) && !isAlive(pid))
      rmSync(join(dirname(clusterDir), name), { recursive: true, force: true });
  }
}

async function initialise(draft: string, location: DataLocation, installation: Installation): Promise<void> {
  const passwordFile = join(draft, 'password');
  writeFileSync(passwordFile, location.password, { mode: 0o600 });
  if (location.account !== undefined) {
    for (const path of [draft, passwordFile]) chownSync(path, location.account.uid, location.account.gid);
  }
  const { status, output } = await run(join(installation.bin, 'initdb'), location, [
    ...[
      '-D',
      join(draft, 'cluster'),
      '-U',
      DATABASE_NAME,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
    ],
    // Text sorts by code point, the same on every machine, whatever its C library knows about languages.
    ...['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--no-instructions'],
  ]);
  if (status === 0) return;
  const line = output.split('\n').find((each) => /error|fatal|could not/i.test(each)) ?? output;
  const fault = line.replace(/^.*(FATAL|PANIC|error):\s*/, '').trim();
  const advice = /No space left/.test(output)
    ? ' The disk is full: free some space.'
    : ' Set BATON_DATA_DIR to another folder, or DATABASE_URL.';
  throw new EmbeddedDatabaseError(
    `The embedded database could not be made in ${location.clusterDir}: ${fault}.${advice}`,
  );
}

function run(
  program: string,
  location: DataLocation,
  args: string[],
): Promise<{ status: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      ...location.account,
      cwd: '/',
      env: PROGRAM_ENV,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, output }));
  });
}

function checkMajor(clusterDir: string, installation: Installation): void {
  const file = join(clusterDir, 'PG_VERSION');
  const major = existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
  if (major === installation.major) return;
  throw new EmbeddedDatabaseError(
    major === undefined
      ? `${clusterDir} is not a PostgreSQL data directory (it has no PG_VERSION). Move it away, or set BATON_DATA_DIR to another folder.`
      : `The database in ${clusterDir} is of PostgreSQL ${major}, and this Baton brings PostgreSQL ${installation.major}. ` +
          `Use the Baton that made it, move the data with pg_dump, or set BATON_DATA_DIR to another folder.`,
  );
}
