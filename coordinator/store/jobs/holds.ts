import { type Executor, type Sql, sql } from '../db';
import { bucketOf, keyNextAt, keyTokensAt } from '../limits';

type InLane = Record<'queue' | 'key' | 'laneId' | 'priority' | 'limit', Sql>;

/**
 * Number of jobs of a key that run, or are ready in one lane, counted up to the limit. Lanes are counted apart: a ready
 * job that no runner takes, or one far down at a low priority, must not hold back jobs that could run.
 */
export function openOfKey({ queue, key, laneId, priority, limit }: InLane): Sql {
  return sql`(SELECT count(*) FROM (
    SELECT FROM jobs j WHERE j.status = 'running' AND j.queue = ${queue} AND j.concurrency_key = ${key}
    UNION ALL
    SELECT FROM jobs j WHERE ${isReadyOf({ queue, key, laneId, priority })}
    LIMIT ${limit}) open)`;
}

/** The same without those that run: what will take tokens of the key's bucket. */
export function readyOfKey({ limit, ...lane }: InLane): Sql {
  return sql`(SELECT count(*) FROM (SELECT FROM jobs j WHERE ${isReadyOf(lane)} LIMIT ${limit}) ready)`;
}

function isReadyOf({ queue, key, laneId, priority }: Omit<InLane, 'limit'>): Sql {
  return sql`j.status = 'pending' AND j.position IS NOT NULL AND j.queue = ${queue} AND j.priority = ${priority}
      AND COALESCE(j.concurrency_key, j.user_id) = ${key} AND j.concurrency_key = ${key} AND j.lane_id = ${laneId}`;
}

/** A concurrency key or order key of a queue. */
export interface QueueKey {
  queue: string;
  key: string;
}

/** What lifting holds did. */
export interface Lifted {
  count: number;
  /** Milliseconds until the first of the keys whose buckets are empty has a token; null: no job waits for one. */
  nextInMs: number | null;
}

/**
 * Lifts the holds of these concurrency keys, in each lane as many as there is room and tokens for; the jobs are then
 * due, and are promoted like others. A key whose queue no longer has a limit releases all, at most `limit` at a time.
 *
 * A key without a token is written down to be looked at when it has one. A key with tokens is not: jobs have them now,
 * and whoever claims these writes it down.
 */
export async function liftKeyHolds(db: Executor, keys: QueueKey[], limit: number): Promise<Lifted> {
  const held = sql`j.hold = 'key' AND j.queue = k.queue AND j.concurrency_key = k.key`;
  const lane = { queue: sql`k.queue`, key: sql`k.key`, laneId: sql`h.lane_id`, priority: sql`h.priority` };
  const nextAt = keyNextAt({ q: sql`w`, fullAt: sql`b.full_at` });
  const [row] = await db.query<Lifted>(sql`
    WITH keys AS MATERIALIZED (
      SELECT k.queue, k.key, q.concurrency_per_key, q.key_rate_max, q.key_rate_per_ms, b.next_at,
        CASE WHEN q.key_rate_max IS NOT NULL
          THEN floor(${keyTokensAt({ q: sql`q`, fullAt: sql`b.full_at`, time: sql`now()` })}) END AS tokens
      FROM unnest(${keys.map((one) => one.queue)}::text[], ${keys.map((one) => one.key)}::text[]) AS k (queue, key)
      LEFT JOIN queues q ON q.name = k.queue ${bucketOf({ q: sql`q`, key: sql`k.key` })}
    ), room AS MATERIALIZED (
      SELECT k.queue, k.key, h.lane_id, LEAST(${limit},
        CASE WHEN k.concurrency_per_key IS NOT NULL THEN
          k.concurrency_per_key - ${openOfKey({ ...lane, limit: sql`k.concurrency_per_key` })} END,
        CASE WHEN k.tokens < 1 THEN 0 ELSE
          k.tokens - ${readyOfKey({ ...lane, limit: sql`k.tokens::bigint` })} END) AS room
      FROM keys k CROSS JOIN LATERAL (
        WITH RECURSIVE found AS (
          (SELECT j.lane_id, j.priority FROM jobs j WHERE ${held} ORDER BY j.lane_id LIMIT 1)
          UNION ALL
          SELECT next.lane_id, next.priority FROM found CROSS JOIN LATERAL (
            SELECT j.lane_id, j.priority FROM jobs j WHERE ${held} AND j.lane_id > found.lane_id
            ORDER BY j.lane_id LIMIT 1
          ) next
        )
        SELECT lane_id, priority FROM found
      ) h
      -- The others have nothing to give, and are looked at when they have.
      WHERE (k.tokens < 1 AND k.next_at > now()) IS NOT TRUE
    ), freed AS MATERIALIZED (
      SELECT next.id FROM room r CROSS JOIN LATERAL (
        SELECT j.id FROM jobs j WHERE j.hold = 'key' AND j.queue = r.queue AND j.concurrency_key = r.key
          AND j.lane_id = r.lane_id
        ORDER BY j.run_at, j.id LIMIT GREATEST(r.room, 0)::bigint FOR UPDATE SKIP LOCKED
      ) next LIMIT ${limit}
    ), lifted AS (
      UPDATE jobs j SET hold = NULL
      WHERE j.id = ANY (ARRAY(SELECT id FROM freed)) AND ${stillHeld('key')}
      RETURNING j.id
    ), awaited AS (
      UPDATE key_buckets b SET next_at = CASE WHEN ${nextAt} > now() THEN ${nextAt} END
      FROM (
        SELECT b.queue, b.key, k.key_rate_max, k.key_rate_per_ms FROM keys k
        JOIN key_buckets b ON b.queue = k.queue AND b.key = k.key
        WHERE k.next_at <= now() OR (k.next_at IS NOT NULL AND k.tokens >= 1)
          OR (k.next_at IS NULL AND k.tokens < 1 AND (SELECT true FROM room r WHERE r.queue = k.queue AND r.key = k.key LIMIT 1))
        -- In the order in which claims change them.
        ORDER BY b.queue, b.key FOR UPDATE OF b
      ) w
      WHERE b.queue = w.queue AND b.key = w.key
      RETURNING b.next_at
    )
    SELECT (SELECT count(*) FROM lifted)::int AS count,
      (SELECT extract(epoch FROM min(next_at) - clock_timestamp())::float8 * 1000 FROM awaited) AS "nextInMs"`);
  return row ?? { count: 0, nextInMs: null };
}

/** Whether job `j` holds back the later jobs of its order; the same condition as in the index of orders. */
export const BLOCKS_ORDER = sql`(j.status IN ('blocked', 'pending', 'running')
    OR (j.status = 'failed' AND j.order_blocks))`;

/**
 * Lifts the hold of the first job of each of these orders, unless another of its jobs is running or waiting without a
 * hold. Call it only under `lockNames` of the orders, so that no job of them is created or released at the same time.
 */
export function liftOrderHolds(transaction: Executor, orders: QueueKey[]): Promise<{ id: string }[]> {
  return transaction.query(sql`
    UPDATE jobs j SET hold = NULL
    WHERE ${stillHeld('order')} AND j.id = ANY (ARRAY(
      SELECT (
        SELECT j.id FROM jobs j
        WHERE j.queue = o.queue AND j.order_key = o.key AND j.order_key IS NOT NULL AND ${BLOCKS_ORDER}
        ORDER BY j.order_seq LIMIT 1)
      FROM unnest(${orders.map((one) => one.queue)}::text[], ${orders.map((one) => one.key)}::text[]) AS o (queue, key)
      WHERE NOT EXISTS (
        SELECT FROM jobs busy WHERE busy.queue = o.queue AND busy.order_key = o.key AND busy.order_key IS NOT NULL
          AND busy.finished_at IS NULL AND busy.hold IS DISTINCT FROM 'order')))
    RETURNING j.id`);
}

/** Cast to text so that the planner cannot use the index of held jobs instead of the ids. */
function stillHeld(by: 'key' | 'order'): Sql {
  return sql`j.hold::text = ${by}`;
}

/**
 * Keys that hold jobs, read by skipping through the index from key to key.
 * @param after the last key of the previous call, or empty
 */
export function heldKeys(db: Executor, hold: 'key' | 'order', after: QueueKey, limit: number): Promise<QueueKey[]> {
  const column = hold === 'key' ? sql`j.concurrency_key` : sql`j.order_key`;
  const held = hold === 'key' ? sql`j.hold = 'key'` : sql`j.hold = 'order'`;
  return db.query(sql`
    WITH RECURSIVE found AS (
      (SELECT j.queue, ${column} AS key, 1 AS nth FROM jobs j
       WHERE ${held} AND (j.queue, ${column}) > (${after.queue}, ${after.key})
       ORDER BY j.queue, ${column} LIMIT 1)
      UNION ALL
      SELECT next.queue, next.key, found.nth + 1 FROM found CROSS JOIN LATERAL (
        SELECT j.queue, ${column} AS key FROM jobs j
        WHERE ${held} AND (j.queue, ${column}) > (found.queue, found.key) ORDER BY j.queue, ${column} LIMIT 1
      ) next WHERE found.nth < ${limit}
    )
    SELECT queue, key FROM found`);
}
