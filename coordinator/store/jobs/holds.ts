import { type Executor, type Sql, sql } from '../db';

/**
 * How many jobs of a key run, or are in turn in one lane, counted no further than the limit. Lanes apart: a job that is in
 * turn where no runner takes it, or far down at a low priority, must not hold those that could run.
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
    SELECT FROM jobs j WHERE j.status = 'pending' AND j.position IS NOT NULL AND j.queue = ${queue} AND j.priority = ${priority}
      AND COALESCE(j.concurrency_key, j.user_id) = ${key} AND j.concurrency_key = ${key} AND j.lane_id = ${laneId}
    LIMIT ${limit}) open)`;
}

/** A key of a queue: of concurrency or of order. */
export interface QueueKey {
  queue: string;
  key: string;
}

/**
 * Lets held jobs of these concurrency keys go on, in each lane as many as there is room for; they are then due, and are
 * promoted like others. A key whose queue has no limit any more lets all go, at most `limit` at a time.
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
            SELECT j.lane_id, j.priority FROM jobs j WHERE ${held} AND j.lane_id > found.lane_id ORDER BY j.lane_id LIMIT 1
          ) next
        )
        SELECT lane_id, priority FROM found
      ) h
    ), freed AS MATERIALIZED (
      SELECT next.id FROM room r CROSS JOIN LATERAL (
        SELECT j.id FROM jobs j WHERE j.hold = 'key' AND j.queue = r.queue AND j.concurrency_key = r.key AND j.lane_id = r.lane_id
        ORDER BY j.run_at, j.id LIMIT GREATEST(r.room, 0) FOR UPDATE SKIP LOCKED
      ) next LIMIT ${limit}
    )
    UPDATE jobs j SET hold = NULL
    WHERE j.id = ANY (ARRAY(SELECT id FROM freed)) AND ${stillHeld('key')}
    RETURNING j.id`);
}

/** Whether a job `j` holds back those behind it in its order, as the index of orders says it. */
export const BLOCKS_ORDER = sql`(j.status IN ('blocked', 'pending', 'running') OR (j.status = 'failed' AND j.order_blocks))`;

/**
 * Lets the first job of each of these orders go on, unless one of them runs or waits in turn already. Only under
 * `lockNames` of the orders, so that none is created or freed at the same time.
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

/** Keys that hold jobs, by skipping through the index from key to key; `after` is the last of the former call, or empty. */
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
