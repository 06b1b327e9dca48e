import { Pool } from 'undici';
import { play, readOrder, tell, type Target } from './stage';

/**
 * Many idle runners, each with its own socket on which a claim waits. They are polls as the SDK sends them, but not its
 * Runner objects: thousands of those would measure this process, not the coordinator.
 */
interface Order extends Target {
  runners: number;
}

const OPENING = 200;
const order = readOrder<Order>();

play(async () => {
  const [url = ''] = order.urls;
  let connected = 0;
  const pools = Array.from({ length: order.runners }, () => new Pool(url, { connections: 1, headersTimeout: 0, bodyTimeout: 0 }));
  // A few hundred at a time, or the coordinator's queue of sockets that wait to be accepted is full.
  for (let from = 0; from < pools.length; from += OPENING) {
    const some = pools.slice(from, from + OPENING);
    await Promise.all(some.map((pool, index) => new Promise<void>((resolve, reject) => {
      pool.once('connect', () => ((connected += 1), resolve()));
      poll(pool, `parked-${from + index}`).catch(reject);
    })));
  }
  tell({ parked: connected });
  return new Promise<never>(() => undefined);
});

async function poll(pool: Pool, runnerId: string): Promise<void> {
  const headers = { authorization: `Bearer ${order.key}`, 'content-type': 'application/json' };
  const waitMs = 35_000 + 500 * Math.floor(Math.random() * 11);
  const body = JSON.stringify({ runnerId, types: [order.type], max: 1, waitMs });
  for (;;) {
    const reply = await pool.request({ method: 'POST', path: '/jobs/claim', headers, body });
    const text = await reply.body.text();
    if (reply.statusCode !== 200) throw new Error(`POST /jobs/claim was answered with ${reply.statusCode}: ${text}`);
  }
}
