import { type Executor, type Sql, sql } from '../db';

/**
 * Number of jobs of a key that run, or are ready in one lane, counted up to the limit. Lanes are counted apart: a ready
 * job that no runner takes, or one far down at a low priority, must not hold back jobs that could run.
 */
export function openOfKey({
  queue,
  key,
  laneId,
  priority,
  limit,
}: Record<'queue' | 'key' | 'laneId' | 'priority' | 'limit', Sql>): Sql {
  return sql`(SELECT count(*) FROM (
    SELECT FROM jobs j WHERE j.status = 'running' AND j.queue = ${queue} AND j.concurrency_key = ${key}
    UNION ALL
    SELECT FROM jobs j WHERE j.status = 'pending' AND j.position IS NOT NULL AND j.queue = ${queue}
      AND j.priority = ${priority}
      AND COALESCE(j.concurrency_key, j.user_id) = ${key} AND j.concurrency_key = ${key} AND j.lane_id = ${laneId}
    LIMIT ${limit}) open)`;
}

/** A concurrency key or order key of a queue. */
export interface QueueKey {
  queue: string;
  key: string;
}

/**
 * Lifts the holds of these concurrency keys, in each lane as many as there is room for; the jobs are then due, and are
 * promoted like others. A key whose queue no longer has a limit releases all, at most `limit` at a time.
 */
export function liftKeyHolds(db: Executor, keys: QueueKey[], limit: number): Promise<{ id: string }[]> {
  const held = sql`j.hold = 'key' AND j.queue = k.queue AND j.concurrency_key = k.key`;
  return db.query(sql`
    WITH room AS MATERIALIZED (
      SELECT k.queue, k.key, h.lane_id, COALESCE(q.concurrency_per_key
        - ${openOfKey({ queue: sql`k.queue`, key: sql`k.key`, laneId: sql`h.lane_id`, priority: sql`h.priority`, limit: sql`q.concurrency_per_key` })}, ${limit}) AS room
      FROM unnest(${keys.map((one) => one.queue)}::text[], ${keys.map((one) => one.key)}::text[]) AS k (queue, key)
      LEFT JOIN queues q ON q.name = k.queue
      CROSS JOIN LATERAL (
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
    ), freed AS MATERIALIZED (
      SELECT next.id FROM room r CROSS JOIN LATERAL (
        SELECT j.id FROM jobs j WHERE j.hold = 'key' AND j.queue = r.queue AND j.concurrency_key = r.key
          AND j.lane_id = r.lane_id
        ORDER BY j.run_at, j.id LIMIT GREATEST(r.room, 0) FOR UPDATE SKIP LOCKED
      ) next LIMIT ${limit}
    )
    UPDATE jobs j SET hold = NULL
    WHERE j.id = ANY (ARRAY(SELECT id FROM freed)) AND ${stillHeld('key')}
    RETURNING j.id`);
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
