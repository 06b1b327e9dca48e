import { type Executor, type Sql, sql } from '../db';

/** A lane with jobs in turn, and from where to read it: nothing waits before, as far as is known. */
export interface LaneFrom {
  laneId: number;
  queue: string;
  priority: number;
  fromPosition: Date | null;
}

/**
 * CTEs that give each job of the CTE `due` its position in the order (as the CTE `placed`). Jobs that belong to nobody
 * stand by their runAt. Users (and concurrency keys) of a fair queue take turns: each one's next job stands one step
 * after its last one that waits, but never before the present, which is the position of its lane's first waiting job,
 * or in an empty lane that of the queue. So a newcomer's job stands beside the first job of a user with a long backlog,
 * and a claim is still one walk along one index. The lane comes first, because the first job of the queue may be one that
 * no runner takes: measured by it, the fairness clock would freeze and penalise past work.
 * @param ready some lanes of the queues with jobs in turn, which tell the present of their queues; others are not read, so
 * that a job costs the same however many lanes its queue has
 */
export function placed(ready: LaneFrom[]): Sql {
  return sql`
    queue_head AS MATERIALIZED (
      SELECT k.queue, k.priority, min(${headOf(sql`k.lane_id`, sql`k.position`)}) AS position
      FROM unnest(
        ${ready.map((one) => one.laneId)}::int[], ${ready.map((one) => one.queue)}::text[], ${ready.map((one) => one.priority)}::int[],
        ${ready.map((one) => one.fromPosition)}::timestamptz[]
      ) AS k (lane_id, queue, priority, position) GROUP BY 1, 2
    ), present AS MATERIALIZED (
      SELECT g.lane_id, COALESCE(${headOf(sql`g.lane_id`, sql`g.lane_from`)}, (
        SELECT h.position FROM queue_head h WHERE h.queue = g.queue AND h.priority = g.priority), now()) AS position
      FROM (SELECT lane_id, queue, priority, min(lane_from) AS lane_from FROM due WHERE turn_of IS NOT NULL AND is_fair GROUP BY 1, 2, 3) g
    ), turn AS MATERIALIZED (
      SELECT g.lane_id, g.turn_of, GREATEST(p.position, (
        SELECT max(j.position) + interval '1 microsecond' FROM jobs j
        WHERE j.status = 'pending' AND j.position IS NOT NULL AND j.queue = g.queue AND j.priority = g.priority
          AND COALESCE(j.concurrency_key, j.user_id) = g.turn_of)) AS first
      FROM (SELECT DISTINCT lane_id, queue, priority, turn_of FROM due WHERE turn_of IS NOT NULL AND is_fair) g
      JOIN present p ON p.lane_id = g.lane_id
    ), placed AS MATERIALIZED (
      SELECT d.id, COALESCE(
        t.first + (row_number() OVER (PARTITION BY d.queue, d.priority, d.turn_of ORDER BY d.run_at, d.ord) - 1) * interval '1 microsecond',
        d.run_at) AS position
      FROM due d LEFT JOIN turn t ON t.lane_id = d.lane_id AND t.turn_of = d.turn_of AND d.is_fair
    )`;
}

/** Where the first job in turn of a lane stands; null: there is none. */
function headOf(laneId: Sql, from: Sql): Sql {
  return sql`(
    SELECT j.position FROM jobs j
    WHERE j.status = 'pending' AND j.position IS NOT NULL AND j.lane_id = ${laneId} AND j.position >= COALESCE(${from}, '-infinity')
    ORDER BY j.position, j.id LIMIT 1)`;
}

export interface MadeDue {
  laneId: number;
  position: Date;
}

/** Gives waiting jobs whose runAt has come their place in the order; at most `limit` of them, the longest due first. */
export function placeDue(db: Executor, ready: LaneFrom[], limit: number): Promise<MadeDue[]> {
  return db.query(sql`
    WITH due AS MATERIALIZED (
      SELECT j.id, j.queue, j.priority, j.lane_id, COALESCE(j.concurrency_key, j.user_id) AS turn_of, j.run_at, j.id AS ord, NULL::timestamptz AS lane_from,
        COALESCE((SELECT q.is_fair FROM queues q WHERE q.name = j.queue), true) AS is_fair
      FROM jobs j
      WHERE j.status = 'pending' AND j.position IS NULL AND j.hold IS NULL AND j.run_at <= now()
      ORDER BY j.run_at LIMIT ${limit} FOR UPDATE OF j SKIP LOCKED
    ), ${placed(ready)}
    UPDATE jobs j SET position = p.position
    FROM placed p
    WHERE j.id = ANY (ARRAY(SELECT id FROM placed)) AND j.id = p.id
      -- As text, lest the planner takes the index of all that is for later instead of the ids.
      AND j.status::text = 'pending' AND j.position IS NULL AND j.hold IS NULL
    RETURNING j.lane_id AS "laneId", j.position`);
}

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
 * placed like others. A key whose queue has no limit any more lets all go, at most `limit` at a time.
 */
export function unholdKeys(db: Executor, keys: QueueKey[], limit: number): Promise<{ id: string }[]> {
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

/**
 * Lets the first job of each of these orders go on, unless one of them runs or waits in turn already. Only under
 * `lockNames` of the orders, so that none is created or freed at the same time.
 */
export function unholdOrders(transaction: Executor, orders: QueueKey[]): Promise<{ id: string }[]> {
  return transaction.query(sql`
    UPDATE jobs j SET hold = NULL
    WHERE ${stillHeld('order')} AND j.id = ANY (ARRAY(
      SELECT (
        SELECT first.id FROM jobs first
        WHERE first.queue = o.queue AND first.order_key = o.key AND first.order_key IS NOT NULL
          AND (first.status IN ('blocked', 'pending', 'running') OR (first.status = 'failed' AND first.order_blocks))
        ORDER BY first.order_seq LIMIT 1)
      FROM unnest(${orders.map((one) => one.queue)}::text[], ${orders.map((one) => one.key)}::text[]) AS o (queue, key)
      WHERE NOT EXISTS (
        SELECT FROM jobs busy WHERE busy.queue = o.queue AND busy.order_key = o.key AND busy.order_key IS NOT NULL
          AND busy.finished_at IS NULL AND busy.hold IS DISTINCT FROM 'order')))
    RETURNING j.id`);
}

/** As text, lest the planner takes the index of all that is held instead of the ids. */
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
