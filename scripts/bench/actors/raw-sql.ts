import { Client } from 'pg';
import { Tally } from '../verify';
import { play, readOrder, type Target } from './stage';

/**
 * The upper bound: jobs of Baton's tables, claimed and completed 500 at a time by four connections that do nothing
 * else. No HTTP, no leases to keep, no token checks, no handlers.
 */
interface Order extends Target {
  total: number;
}

const BATCH = 500;
const CONNECTIONS = 4;
const order = readOrder<Order>();

const CLAIM = `
  WITH picked AS MATERIALIZED (
    SELECT id FROM jobs WHERE status = 'pending' AND lane_id = $1 AND position IS NOT NULL AND position <= now()
    ORDER BY position, id LIMIT ${BATCH} FOR UPDATE SKIP LOCKED
  )
  UPDATE jobs SET status = 'running', attempt = attempt + 1, runner_id = 'raw', lease_token = gen_random_uuid(), lease_ms = 30000,
    lease_expires_at = now() + interval '30 s', deadline_at = now() + interval '375 s', started_at = now(), updated_at = now()
  WHERE id = ANY (ARRAY(SELECT id FROM picked)) RETURNING id, arguments`;

const COMPLETE = `
  UPDATE jobs SET status = 'completed', lease_expires_at = NULL, deadline_at = NULL, finished_at = now(), updated_at = now()
  WHERE id = ANY ($1) AND status = 'running'`;

play(async () => {
  const tally = new Tally(order.total);
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, connect));
  const { rows } = await (clients[0] ?? (await connect())).query<{ lane: number }>(
    'SELECT lane_id AS lane FROM jobs WHERE type = $1 LIMIT 1',
    [order.type],
  );
  const lane = rows[0]?.lane;
  const startedAt = performance.now();
  await Promise.all(clients.map((client) => drain(client, lane, tally)));
  const tookMs = performance.now() - startedAt;
  await Promise.all(clients.map((client) => client.end()));
  return { tookMs, sightings: tally.sum() };
});

async function connect(): Promise<Client> {
  const client = new Client({ connectionString: order.databaseUrl });
  await client.connect();
  return client;
}

async function drain(client: Client, lane: number | undefined, tally: Tally): Promise<void> {
  for (;;) {
    const { rows } = await client.query<{ id: string; arguments: { n: number } }>({
      name: 'claim',
      text: CLAIM,
      values: [lane],
    });
    if (rows.length === 0) return;
    for (const row of rows) tally.add(row.arguments.n);
    await client.query({ name: 'complete', text: COMPLETE, values: [rows.map((row) => row.id)] });
  }
}
