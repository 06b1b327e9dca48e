import { hostname } from 'node:os';
import type { RetryPolicy } from '@baton/runner-sdk/protocol';
import type { Client } from 'pg';
import { backoffMs } from '../backoff';
import { readAddress } from './connections/address';
import { Route } from './connections/route';
import { answered, closeSession, openSession } from './connections/session';
import { channelOf, type Db, sql } from './db';

const HEARTBEAT_MS = 5000;
const ANSWER_TIMEOUT_MS = 3000;
const RECONNECTS: RetryPolicy = { strategy: 'exponential', baseMs: 200, factor: 2, maxMs: 5000, jitter: 1 };
/** Application name of listening sessions; the coordinator's version and host follow. */
export const LISTENER_NAME = 'baton-listen';
/** PostgreSQL truncates application names at 63 bytes. */
const MOST_HOST_CHARACTERS = 40;

export interface Listener {
  /** Stops listening. Resolves when the connection is closed. */
  stop(): Promise<void>;
}

/** Sends a message to all coordinators, this one included. At most 7,900 bytes. */
export async function notify(db: Pick<Db, 'query' | 'channel'>, message: string): Promise<void> {
  await db.query(sql`SELECT pg_notify(${db.channel}, ${message})`);
}

/**
 * Receives messages on a connection of its own. LISTEN may die silently (a half-open socket), so the connection is
 * probed, and replaced when it fails. `connect` is called each time it listens again: messages sent in between are
 * lost, so the caller must read the tables.
 */
export function listen(
  url: string,
  version: string,
  on: { message: (payload: string) => void; connect: () => void; error: (error: unknown) => void },
): Listener {
  const address = readAddress(url);
  const route = new Route(address);
  const session = { applicationName: nameOf(version), statementTimeoutMs: ANSWER_TIMEOUT_MS };
  const stopping = new AbortController();
  let wake: () => void = () => undefined;

  const running = (async () => {
    for (let failures = 0; !stopping.signal.aborted;) {
      let client: Client | undefined;
      try {
        let isBroken = false;
        client = await interruptible(
          openSession(route, session, () => {
            isBroken = true;
            wake();
          }),
          (interrupt) => (wake = interrupt),
        );
        client.on('notification', (notice) => on.message(notice.payload ?? ''));
        const listening = client;
        await answered(client, ANSWER_TIMEOUT_MS, () =>
          listening.query(`LISTEN ${listening.escapeIdentifier(channelOf(address))}`),
        );
        failures = 0;
        on.connect();
        await keepAlive(
          client,
          () => stopping.signal.aborted || isBroken,
          (resume) => (wake = resume),
        );
      } catch (error) {
        if (!stopping.signal.aborted) on.error(error);
        failures += 1;
      }
      wake = () => undefined;
      if (client !== undefined) await closeSession(client);
      if (!stopping.signal.aborted)
        await pause(backoffMs(RECONNECTS, failures, Math.random()), (resume) => (wake = resume));
    }
  })();

  return {
    async stop() {
      stopping.abort();
      wake();
      await running;
    },
  };
}

/** A connection that is opened after the interruption is closed. */
function interruptible(opening: Promise<Client>, onStart: (interrupt: () => void) => void): Promise<Client> {
  return new Promise((resolve, reject) => {
    let isInterrupted = false;
    onStart(() => {
      isInterrupted = true;
      reject(new Error('interrupted'));
    });
    opening.then((client) => (isInterrupted ? void closeSession(client) : resolve(client)), reject);
  });
}

/** Returns when the connection has ended; throws when it does not answer in time. */
async function keepAlive(client: Client, isOver: () => boolean, onPause: (resume: () => void) => void): Promise<void> {
  while (!isOver()) {
    await pause(HEARTBEAT_MS, onPause);
    if (isOver()) return;
    await answered(client, ANSWER_TIMEOUT_MS, () => client.query('SELECT 1'));
  }
}

function pause(ms: number, onPause: (resume: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    onPause(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** An application name without spaces, of characters that PostgreSQL does not replace. */
function nameOf(version: string): string {
  const host = hostname().replace(/[^\x21-\x7e]/g, '?');
  return `${LISTENER_NAME} ${version} ${host.slice(0, MOST_HOST_CHARACTERS)}`;
}
