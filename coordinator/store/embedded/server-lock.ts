import { type Client, DatabaseError } from 'pg';
import { DEFAULT_SCHEMA, readAddress } from '../connections/address';
import { Route } from '../connections/route';
import { closeSession, openSession, type SessionOptions } from '../connections/session';
import { EmbeddedDatabaseError } from './account';
import { DATABASE_NAME } from './cluster';

/** A connection that marks the server as in use. It ends with its process, however that ends. */
export interface ServerLock {
  /** Returns true if no other process uses the server; then none can lock it while it is shut down. */
  release(): Promise<boolean>;
}

/** An arbitrary constant. Every process that uses the server holds this advisory lock, shared. */
const LOCK = 'hashtext($$baton embedded database$$)';

/**
 * Marks a running server as in use, and creates its database if there is none.
 * @param url returns the address of one of its databases
 * @param onLost called once if the connection breaks before it is released
 */
export async function lockServer(url: (database: string) => string, onLost: () => void): Promise<ServerLock> {
  await ensureDatabase(url('postgres'));
  let isHeld = true;
  const lose = (): void => {
    if (isHeld) onLost();
    isHeld = false;
  };
  const client = await connect(url(DATABASE_NAME), lose);
  await client.query(`SELECT pg_advisory_lock_shared(${LOCK})`);
  return {
    async release() {
      isHeld = false;
      const isLast = await leave(client);
      // The last process keeps the lock: a newcomer waits for it, and then sees the shutdown.
      if (!isLast) await closeSession(client);
      return isLast;
    },
  };
}

async function leave(client: Client): Promise<boolean> {
  try {
    await client.query(`SELECT pg_advisory_unlock_shared(${LOCK})`);
    const { rows } = await client.query<{ free: boolean }>(`SELECT pg_try_advisory_lock(${LOCK}) AS free`);
    return rows[0]?.free ?? true;
  } catch {
    // The server has ended, so nothing uses it.
    return true;
  }
}

async function ensureDatabase(url: string): Promise<void> {
  const client = await connect(url, () => undefined);
  try {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE_NAME]);
    if (rowCount === 0) {
      await client.query(`CREATE DATABASE ${DATABASE_NAME}`);
      // Lets psql find the tables; Baton's own connections set it themselves.
      await client.query(`ALTER ROLE ${DATABASE_NAME} SET search_path = ${DEFAULT_SCHEMA}, public`);
    }
  } catch (error) {
    const isThereNow = error instanceof DatabaseError && (error.code === '42P04' || error.code === '23505');
    if (!isThereNow) throw error;
  } finally {
    await closeSession(client);
  }
}

async function connect(url: string, onEnd: () => void): Promise<Client> {
  try {
    return await openSession(new Route(readAddress(url)), SESSION, onEnd);
  } catch (error) {
    throw isWrongPassword(error) ? new EmbeddedDatabaseError(WRONG_PASSWORD) : error;
  }
}

/** No timeout: waiting for the lock may take as long as another process's shutdown. */
const SESSION: SessionOptions = { applicationName: 'baton embedded', statementTimeoutMs: 0 };

const WRONG_PASSWORD =
  'The embedded database refuses the password in the file postgres-password of the data directory. Put back the file that was made with the database.';

function isWrongPassword(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === '28P01';
}
