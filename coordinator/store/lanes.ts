import type { Labels } from '@baton/runner-sdk/protocol';
import { type Executor, sql } from './db';
import { IS_OPEN, roomOf, tokensAt } from './limits';

export interface LaneRow {
  id: number;
  queue: string;
  type: string;
  priority: number;
  requires: Labels | null;
  prefers: Labels | null;
  /** Null: the lane was read from a job, because its row was deleted. */
  key: string | null;
}

export interface NewLane extends LaneRow {
  key: string;
  /** The creator it was made for, and how many lanes that creator may have. */
  madeBy: string;
  most: number;
}

/**
 * Returns the lanes of these keys, creating new ones while their creator has room. A row only maps a key to a number,
 * so that all coordinators use the same one; a job whose lane has no row is still found.
 */
export async function ensure(db: Executor, lanes: Omit<NewLane, 'id'>[]): Promise<LaneRow[]> {
  const found = await ensureOnce(db, lanes);
  if (found.length === lanes.length) return found;
  // A lane that already existed may have been removed as idle before it was read.
  return ensureOnce(db, lanes);
}

async function ensureOnce(db: Executor, lanes: Omit<NewLane, 'id'>[]): Promise<LaneRow[]> {
  const keys = lanes.map((lane) => lane.key);
  await db.query(sql`
    INSERT INTO lanes (queue, type, priority, requires, prefers, key, made_by, made_at)
    SELECT l.queue, l.type, l.priority, l.requires, l.prefers, l.key, l."madeBy", now() FROM (
      SELECT n.*, row_number() OVER (PARTITION BY n."madeBy" ORDER BY n.key) AS nth
      FROM json_to_recordset(${JSON.stringify(lanes)}::json) AS n (
        "queue" text, "type" text, "priority" int, "requires" json, "prefers" json, "key" text,
        "madeBy" text, "most" int)
      WHERE NOT EXISTS (SELECT FROM lanes k WHERE k.key = n.key)
    ) l
    WHERE l.nth + (SELECT count(*) FROM (SELECT FROM lanes k WHERE k.made_by = l."madeBy" LIMIT l.most) made) <= l.most
    ORDER BY l.key ON CONFLICT DO NOTHING`);
  return db.query(
    sql`SELECT id, queue, type, priority, requires, prefers, key FROM lanes WHERE key = ANY (${keys}::text[])`,
  );
}

/** Lanes by their numbers; a lane without a row is derived from its first waiting job. */
export function listByIds(db: Executor, ids: number[]): Promise<LaneRow[]> {
  return db.query(sql`
    SELECT l.id, l.queue, l.type, l.priority, l.requires, l.prefers, l.key FROM lanes l WHERE l.id = ANY (${ids}::int[])
    UNION ALL
    SELECT g.id, j.queue, j.type, j.priority, j.requires, j.prefers, NULL
    FROM unnest(${ids}::int[]) AS g (id) CROSS JOIN LATERAL (
      SELECT j.queue, j.type, j.priority, j.requires, j.prefers FROM jobs j
      WHERE j.status = 'pending' AND j.position IS NOT NULL AND j.lane_id = g.id ORDER BY j.position, j.id LIMIT 1
    ) j
    WHERE NOT EXISTS (SELECT FROM lanes l WHERE l.id = g.id)`);
}

/**
 * The first ready job of every lane that has one. Skips from lane to lane through the claim index, so it costs one
 * probe per such lane, however many jobs wait and however many lanes there were.
 */
export const READY_LANES = sql`(
  WITH RECURSIVE head AS (
    (SELECT j.lane_id, j.position, j.id, j.queue, j.type, j.priority FROM jobs j
      WHERE j.status = 'pending' AND j.position IS NOT NULL
     ORDER BY j.lane_id, j.position, j.id LIMIT 1)
    UNION ALL
    SELECT next.lane_id, next.position, next.id, next.queue, next.type, next.priority
    FROM head CROSS JOIN LATERAL (
      SELECT j.lane_id, j.position, j.id, j.queue, j.type, j.priority FROM jobs j
      WHERE j.status = 'pending' AND j.position IS NOT NULL AND j.lane_id > head.lane_id
      ORDER BY j.lane_id, j.position, j.id LIMIT 1
    ) next
  )
  SELECT lane_id, position, id, queue, type, priority FROM head)`;

export interface LaneHead {
  laneId: number;
  position: Date;
  id: string;
  queue: string;
  /** Its queue gives no jobs now: it is paused, or a limit of it has no room. */
  isClosed: boolean;
}

export function heads(db: Executor): Promise<LaneHead[]> {
  return db.query(sql`
    WITH head AS MATERIALIZED (SELECT h.lane_id, h.position, h.id, h.queue FROM ${READY_LANES} h),
    closed AS MATERIALIZED (
      SELECT q.name FROM queues q WHERE q.name IN (SELECT head.queue FROM head)
        AND (${IS_OPEN} AND COALESCE(${roomOf(tokensAt(sql`now()`))} >= 1, true)) IS NOT TRUE
    )
    SELECT head.lane_id AS "laneId", head.position, head.id, head.queue, closed.name IS NOT NULL AS "isClosed"
    FROM head LEFT JOIN closed ON closed.name = head.queue`);
}

/** Deletes lanes without ready jobs that were created at least `idleMs` ago. Returns how many. */
export async function removeIdle(db: Executor, idleMs: number, limit: number): Promise<number> {
  const gone = await db.query(sql`
    WITH ready AS MATERIALIZED (SELECT h.lane_id FROM ${READY_LANES} h)
    DELETE FROM lanes l WHERE l.id = ANY (ARRAY(
      SELECT o.id FROM lanes o WHERE o.made_at < now() - ${idleMs}::float8 * interval '1 ms'
        AND o.id NOT IN (SELECT lane_id FROM ready)
      ORDER BY o.made_at LIMIT ${limit} FOR UPDATE SKIP LOCKED))
    RETURNING l.id`);
  return gone.length;
}
