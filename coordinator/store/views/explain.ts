import { type Executor, sql } from '../db';
import { BLOCKS_ORDER } from '../jobs';
import { READY_LANES } from '../lanes';
import { keyNextAt } from '../limits';

const MOST_NAMED = 10;
const MOST_COUNTED = 10_000;

/** Running jobs of a queue, or of one of its concurrency keys; at most ten are named, and to a user only their own. */
export async function runningIn(
  db: Executor,
  userId: string | null,
  queue: string,
  key: string | null,
): Promise<{ count: number; ids: string[] }> {
  const [row] = await db.query<{ count: number; ids: string[] }>(sql`
    SELECT count(*)::int AS count, COALESCE((array_agg(j.id::text ORDER BY j.id)
      FILTER (WHERE ${userId}::text IS NULL OR j.user_id = ${userId}::text))[1:${MOST_NAMED}], '{}') AS ids FROM jobs j
    WHERE j.status = 'running' AND j.queue = ${queue} AND (${key}::text IS NULL OR j.concurrency_key = ${key}::text)`);
  return row ?? { count: 0, ids: [] };
}

/** The first unfinished, or blocking failed, job of an order; without its id when it belongs to another user. */
export async function firstInOrder(
  db: Executor,
  userId: string | null,
  queue: string,
  orderKey: string,
): Promise<{ id: string | null; status: string } | null> {
  const [row] = await db.query<{ id: string | null; status: string }>(sql`
    SELECT CASE WHEN ${userId}::text IS NULL OR j.user_id = ${userId}::text THEN j.id END AS id,
      j.status::text AS status FROM jobs j
    WHERE j.queue = ${queue} AND j.order_key = ${orderKey} AND j.order_key IS NOT NULL
      AND ${BLOCKS_ORDER}
    ORDER BY j.order_seq LIMIT 1`);
  return row ?? null;
}

/** In how many milliseconds the queue's rate limit lets the next job start; 0: now, or there is none. */
export async function nextStartInMs(db: Executor, queue: string): Promise<number> {
  const [row] = await db.query<{ inMs: number | null }>(sql`
    SELECT GREATEST(0, (1 - LEAST(q.rate_max, COALESCE(q.tokens, q.rate_max)
      + CASE WHEN q.tokens_at > clock_timestamp() + interval '5 s' THEN q.rate_max
          ELSE extract(epoch FROM clock_timestamp() - q.tokens_at) * 1000 * q.rate_max / q.rate_per_ms END
      )) * q.rate_per_ms / q.rate_max)::float8 AS "inMs"
    FROM queues q WHERE q.name = ${queue} AND q.rate_max IS NOT NULL`);
  return row?.inMs ?? 0;
}

/** Milliseconds until the rate of the queue's keys lets the next job of this key start; 0: now, or there is none. */
export async function nextOfKeyInMs(db: Executor, queue: string, key: string): Promise<number> {
  const [row] = await db.query<{ inMs: number | null }>(sql`
    SELECT GREATEST(0, extract(epoch FROM ${keyNextAt({ q: sql`q`, fullAt: sql`b.full_at` })} - clock_timestamp())
      * 1000)::float8 AS "inMs"
    FROM queues q JOIN key_buckets b ON b.queue = q.name AND b.key = ${key}
    WHERE q.name = ${queue} AND q.key_rate_max IS NOT NULL`);
  return row?.inMs ?? 0;
}

/** Number of jobs of this type before the job in its queue, counted up to ten thousand. */
export async function countAhead(
  db: Executor,
  job: { id: string; queue: string; type: string; priority: number; position: Date | null },
): Promise<number> {
  const [row] = await db.query<{ count: number }>(sql`
    WITH me AS MATERIALIZED (SELECT j.position, j.id FROM jobs j WHERE j.id = ${job.id}::uuid)
    SELECT count(*)::int AS count FROM (
      SELECT FROM ${READY_LANES} l CROSS JOIN LATERAL (
        SELECT j.id FROM jobs j
        WHERE j.status = 'pending' AND j.position IS NOT NULL AND j.lane_id = l.lane_id
          AND (j.position, j.id) < (
            CASE WHEN l.priority > ${job.priority} THEN 'infinity' ELSE (SELECT position FROM me) END,
            CASE WHEN l.priority > ${job.priority} THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff'
              ELSE (SELECT id FROM me) END)
        LIMIT ${MOST_COUNTED}
      ) ahead
      WHERE l.queue = ${job.queue} AND l.type = ${job.type} AND l.priority >= ${job.priority} LIMIT ${MOST_COUNTED}
    ) counted`);
  return row?.count ?? 0;
}

export interface LiveRunner {
  id: string;
  types: string[];
  queues: string[];
  labels: Record<string, string | number | boolean>;
  isDraining: boolean;
}

/** Runners that called within the last minute. */
export function liveRunners(db: Executor): Promise<LiveRunner[]> {
  return db.query(sql`
    SELECT r.id, r.types, r.queues, r.labels, r.draining_since IS NOT NULL AS "isDraining" FROM runners r
    WHERE r.last_seen_at > now() - interval '1 minute' AND r.stopped_at IS NULL ORDER BY r.id LIMIT 5000`);
}
