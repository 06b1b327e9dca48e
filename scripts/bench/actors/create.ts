import { Client } from '@baton/runner-sdk';
import { Pool } from 'undici';
import { eachInFlight, play, readOrder, type Target } from './stage';

/** Creates numbered jobs in one of three ways, and reports how long those after the warm-up took. */
interface Order extends Target {
  way: 'one' | 'http' | 'bulk';
  warmUp: number;
  count: number;
  inFlight: number;
}

const order = readOrder<Order>();
const BULK = 500;

play(async () => {
  const ways = { one: createOne, http: createOverHttp, bulk: createBulk };
  return { tookMs: await ways[order.way]() };
});

async function createOne(): Promise<number> {
  const client = openClient();
  const create = (n: number) => client.create(order.type, { n });
  await eachInFlight(0, order.warmUp, order.inFlight, create);
  const tookMs = await eachInFlight(order.warmUp, order.warmUp + order.count, order.inFlight, create);
  await client.close();
  return tookMs;
}

async function createBulk(): Promise<number> {
  const client = openClient();
  const definition = { type: order.type, defaults: {} };
  const create = (first: number, end: number) => (batch: number) => {
    const from = first + batch * BULK;
    return client.createMany(
      definition,
      Array.from({ length: Math.min(end, from + BULK) - from }, (_, index) => ({ n: from + index })),
    );
  };
  const end = order.warmUp + order.count;
  await eachInFlight(0, Math.ceil(order.warmUp / BULK), order.inFlight, create(0, order.warmUp));
  const tookMs = await eachInFlight(0, Math.ceil(order.count / BULK), order.inFlight, create(order.warmUp, end));
  await client.close();
  return tookMs;
}

async function createOverHttp(): Promise<number> {
  const [url = ''] = order.urls;
  const pool = new Pool(url, { connections: order.inFlight, pipelining: 1 });
  const headers = { authorization: `Bearer ${order.key}`, 'content-type': 'application/json' };
  const create = async (n: number): Promise<void> => {
    const reply = await pool.request({
      method: 'POST',
      path: '/jobs',
      headers,
      body: JSON.stringify({ type: order.type, arguments: { n } }),
    });
    const text = await reply.body.text();
    if (reply.statusCode !== 201) throw new Error(`POST /jobs was answered with ${reply.statusCode}: ${text}`);
  };
  await eachInFlight(0, order.warmUp, order.inFlight, create);
  const tookMs = await eachInFlight(order.warmUp, order.warmUp + order.count, order.inFlight, create);
  await pool.close();
  return tookMs;
}

function openClient(): Client {
  return new Client({ coordinatorUrl: order.urls, apiKey: order.key });
}
