import { randomBytes } from 'node:crypto';
import {
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { type Account, canEnter, chooseAccount, EmbeddedDatabaseError } from './account';
import { makeOpenFolder } from './installation';

/** Paths of one embedded PostgreSQL. All are absolute. */
export interface DataLocation {
  account: Account;
  /** The server's data directory; absent until it is created. */
  clusterDir: string;
  password: string;
  logFile: string;
}

const CLUSTER = 'postgres';
const PASSWORD = 'postgres-password';
const LOCATION = 'postgres-location';

/**
 * Decides where the cluster is and who owns it, and remembers both: in the data directory if the server's account can
 * enter it, else in a folder of its own under `systemDir`, which the file `postgres-location` then names.
 * @throws {EmbeddedDatabaseError} when the data directory cannot be used
 */
export function chooseLocation(dataDir: string, systemDir: string): DataLocation {
  try {
    mkdirSync(dataDir, { recursive: true });
    const inPlace = join(dataDir, CLUSTER);
    const account = chooseAccount(inPlace);
    const elsewhere = readText(join(dataDir, LOCATION));
    const isInPlace =
      existsSync(inPlace) || (elsewhere === undefined && (account === undefined || canEnter(account, dataDir)));
    if (isInPlace && !canEnter(account, dataDir)) throw new EmbeddedDatabaseError(hidden(dataDir));
    const clusterDir = isInPlace ? inPlace : (elsewhere ?? makeLocationElsewhere(dataDir, systemDir, account));
    if (!isAbsolute(clusterDir))
      throw new EmbeddedDatabaseError(`${join(dataDir, LOCATION)} must name an absolute path, not "${clusterDir}".`);
    return {
      account: isInPlace ? account : chooseAccount(clusterDir),
      clusterDir,
      password: keepPassword(dataDir, clusterDir),
      logFile: join(dataDir, 'postgres.log'),
    };
  } catch (error) {
    throw error instanceof EmbeddedDatabaseError ? error : new EmbeddedDatabaseError(unusable(dataDir, error));
  }
}

/** A random name, so that a data directory that is deleted and created again never gets the cluster of the old one. */
function makeLocationElsewhere(dataDir: string, systemDir: string, account: Account): string {
  makeOpenFolder(systemDir);
  const folder = mkdtempSync(join(systemDir, 'data-'));
  if (account !== undefined) chownSync(folder, account.uid, account.gid);
  establish(join(folder, 'belongs-to'), `${dataDir}\n`, 0o644);
  const chosen = establish(join(dataDir, LOCATION), `${join(folder, CLUSTER)}\n`, 0o644).trim();
  if (chosen !== join(folder, CLUSTER)) rmSync(folder, { recursive: true });
  return chosen;
}

function keepPassword(dataDir: string, clusterDir: string): string {
  const file = join(dataDir, PASSWORD);
  const kept = readText(file);
  if (kept !== undefined) return kept;
  if (existsSync(clusterDir)) {
    throw new EmbeddedDatabaseError(
      `${file} is missing, and without it the database in ${clusterDir} cannot be opened. Put it back, or move that folder away to begin anew.`,
    );
  }
  return establish(file, `${randomBytes(24).toString('base64url')}\n`, 0o600).trim();
}

/** Writes a file atomically. The first of several writers wins; returns the final content. */
function establish(path: string, text: string, mode: number): string {
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  const file = openSync(draft, 'wx', mode);
  try {
    writeSync(file, text);
    fsyncSync(file);
    linkSync(draft, path);
    return text;
  } catch (error) {
    if (!existsSync(path)) throw error;
    return readFileSync(path, 'utf8');
  } finally {
    closeSync(file);
    rmSync(draft, { force: true });
  }
}

function readText(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined;
}

function hidden(dataDir: string): string {
  return `The database in ${dataDir} is owned by a user who cannot enter that folder any more. Make the folder and its parents accessible again (chmod a+x).`;
}

function unusable(dataDir: string, error: unknown): string {
  const fault = error instanceof Error ? error.message : String(error);
  const advice = /ENOSPC/.test(fault) ? 'The disk is full: free some space' : 'Make it writable for this user';
  return `The data directory ${dataDir} cannot be used: ${fault}. ${advice}, or set BATON_DATA_DIR to another folder.`;
}
