import { randomUUID } from 'node:crypto';
import { Pool } from 'undici';
import { play, readOrder, tell, type Target } from './stage';

/**
 * Many idle runners, each with its own socket on which a claim waits. They send polls like the SDK, but not with its
 * Runner: thousands of those would measure this process and not the coordinator.
 */
interface Order extends Target {
  runners: number;
}

const OPENING = 200;
const LEAST_WAIT_MS = 35_000;
const WAIT_SPREAD_MS = 5000;
const order = readOrder<Order>();

play(async () => {
  const [url = ''] = order.urls;
  let connected = 0;
  const pools = Array.from(
    { length: order.runners },
    () => new Pool(url, { connections: 1, headersTimeout: 0, bodyTimeout: 0 }),
  );
  // A few hundred at a time; more would overflow the coordinator's accept queue.
  for (let from = 0; from < pools.length; from += OPENING) {
    const some = pools.slice(from, from + OPENING);
    await Promise.all(
      some.map(
        (pool, index) =>
          new Promise<void>((resolve, reject) => {
            pool.once('connect', () => ((connected += 1), resolve()));
            poll(pool, `parked-${from + index}`).catch(reject);
          }),
      ),
    );
  }
  tell({ parked: connected });
  return new Promise<never>(() => undefined);
});

async function poll(pool: Pool, runnerId: string): Promise<void> {
  const headers = { authorization: `Bearer ${order.key}`, 'content-type': 'application/json' };
  const usualWaitMs = LEAST_WAIT_MS + Math.floor(Math.random() * WAIT_SPREAD_MS);
  // Runners start at random times, so the first polls wait for a random part of the usual time.
  for (let waitMs = Math.ceil(Math.random() * usualWaitMs); ; waitMs = usualWaitMs) {
    const body = JSON.stringify({
      runnerId,
      types: [order.type],
      version: '0.1.0',
      max: 1,
      waitMs,
      claimId: randomUUID(),
    });
    const reply = await pool.request({ method: 'POST', path: '/jobs/claim', headers, body });
    const text = await reply.body.text();
    if (reply.statusCode !== 200) throw new Error(`POST /jobs/claim was answered with ${reply.statusCode}: ${text}`);
  }
}
