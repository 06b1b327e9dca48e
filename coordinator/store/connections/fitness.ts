import type { Client } from 'pg';
import { DatabaseFault } from './fault';
import type { Route } from './route';
import { closeSession, openSession, type SessionOptions } from './session';

/** Earlier versions lack features that Baton's statements use. */
const LEAST_VERSION = 140_000;

/** @throws {DatabaseFault} when this server, or a proxy in front of it, cannot serve Baton */
export async function requireFit(client: Client, route: Route, session: SessionOptions): Promise<void> {
  const { rows } = await client.query<Record<'version' | 'encoding' | 'replication' | 'name', string> & Flags>(
    `SELECT current_setting('server_version_num') AS version, current_setting('server_encoding') AS encoding,
       current_setting('session_replication_role') AS replication, current_database() AS name,
       pg_is_in_recovery() AS "isStandby", current_setting('transaction_read_only') = 'on' AS "isReadOnly"`,
  );
  const server = rows[0];
  if (server === undefined) throw new DatabaseFault('The database answers a question with nothing.');
  if (Number(server.version) < LEAST_VERSION)
    throw new DatabaseFault(
      `The database is PostgreSQL ${Math.floor(Number(server.version) / 10_000)}, and Baton needs ${LEAST_VERSION / 10_000} or later. Upgrade it, or set DATABASE_URL to another one.`,
    );
  if (server.encoding !== 'UTF8')
    throw new DatabaseFault(
      `The database ${server.name} has the encoding ${server.encoding}, which cannot hold all text. Create one with: CREATE DATABASE ${server.name}_utf8 TEMPLATE template0 ENCODING 'UTF8', and set DATABASE_URL to it.`,
    );
  if (server.isStandby)
    throw new DatabaseFault(
      'The database is a standby, which can only be read. Set DATABASE_URL to the primary server, or promote this one.',
    );
  if (server.isReadOnly)
    throw new DatabaseFault('The database is read only. Make it writable, or set DATABASE_URL to another one.');
  if (server.replication !== 'origin')
    throw new DatabaseFault(
      `The role or database sets session_replication_role to ${server.replication}, which turns off what keeps the tables consistent. Undo it with ALTER ROLE … RESET session_replication_role, or ALTER DATABASE.`,
    );
  await requireOwnSession(client, route, session);
}

interface Flags {
  isStandby: boolean;
  isReadOnly: boolean;
}

/**
 * A pooler in transaction mode gives two clients the same server process, or one client several. Settings, prepared
 * statements, session locks and LISTEN are then lost or shared with others.
 */
async function requireOwnSession(first: Client, route: Route, session: SessionOptions): Promise<void> {
  const pids = [await pidOf(first)];
  // Without a pooler, the process id that the server sent at the start is that of the backend.
  if ((first as unknown as { processID: number | null }).processID === pids[0]) return;
  const second = await openSession(route, session);
  try {
    const others = [await pidOf(second)];
    pids.push(await pidOf(first));
    others.push(await pidOf(second));
    const isShared = pids.some((pid) => others.includes(pid)) || new Set(pids).size > 1 || new Set(others).size > 1;
    if (isShared)
      throw new DatabaseFault(
        'DATABASE_URL leads to a pooler that shares connections between clients (transaction or statement mode). Connect to PostgreSQL directly, or set the pooler to session mode.',
      );
  } finally {
    await closeSession(second);
  }
}

async function pidOf(client: Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return rows[0]?.pid ?? 0;
}
