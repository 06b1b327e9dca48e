import { Client } from 'pg';
import { type Executor, sql } from './db';

const CHANNEL = 'baton';
const HEARTBEAT_MS = 5000;
const HEARTBEAT_TIMEOUT_MS = 4000;
const RECONNECT_MIN_MS = 200;
const RECONNECT_MAX_MS = 5000;

export interface Listener {
  /** Resolves when the connection is given up; nothing is heard any more. */
  stop(): Promise<void>;
}

/** Sends a hint to all coordinators, this one included. At most 7,900 bytes. */
export async function notify(db: Executor, message: string): Promise<void> {
  await db.query(sql`SELECT pg_notify(${CHANNEL}, ${message})`);
}

/**
 * Hears hints on a connection of its own. LISTEN may die without a word (a half-open socket), so the same connection is
 * asked for a sign of life and made anew when it fails. `onConnect` is called each time it listens again: hints sent in
 * between are gone, so the caller looks at the tables.
 */
export function listen(
  url: string,
  on: { message: (payload: string) => void; connect: () => void; error: (error: unknown) => void },
): Listener {
  let isStopped = false;
  let client: Client | undefined;
  let wake: () => void = () => undefined;

  const running = (async () => {
    for (let failures = 0; !isStopped;) {
      const current = new Client({
        connectionString: url,
        application_name: 'baton-listen',
        connectionTimeoutMillis: 5000,
        keepAlive: true,
      });
      client = current;
      let isBroken = false;
      let isListening = false;
      const onBreak = (): void => {
        isBroken = true;
        // Only from listening: the wait before the next connection must not be cut short by the end of this one.
        if (isListening) wake();
      };
      current.on('error', onBreak);
      current.on('end', onBreak);
      current.on('notification', (notice) => on.message(notice.payload ?? ''));
      try {
        // Ended while it connects, it never tells.
        await Promise.race([current.connect(), new Promise((resolve) => current.once('end', () => resolve(null)))]);
        if (isStopped) break;
        await current.query(`LISTEN ${CHANNEL}`);
        failures = 0;
        isListening = true;
        on.connect();
        await keepAlive(
          current,
          () => isStopped || isBroken,
          (resume) => (wake = resume),
        );
      } catch (error) {
        on.error(error);
        failures += 1;
      }
      isListening = false;
      void current.end().catch(() => undefined);
      if (!isStopped) await pause(backoffMs(failures), (resume) => (wake = resume));
    }
  })();

  return {
    async stop() {
      isStopped = true;
      wake();
      await client?.end().catch(() => undefined);
      await running;
    },
  };
}

/** Returns when the connection is over, or does not answer in time. */
async function keepAlive(client: Client, isOver: () => boolean, onPause: (resume: () => void) => void): Promise<void> {
  while (!isOver()) {
    await pause(HEARTBEAT_MS, onPause);
    if (isOver()) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => (timer = setTimeout(() => resolve('late'), HEARTBEAT_TIMEOUT_MS)));
    const answer = await Promise.race([client.query('SELECT 1'), late]);
    clearTimeout(timer);
    if (answer === 'late') return;
  }
}

function backoffMs(failures: number): number {
  return Math.min(RECONNECT_MAX_MS, RECONNECT_MIN_MS * 2 ** failures) * (0.5 + Math.random() / 2);
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
