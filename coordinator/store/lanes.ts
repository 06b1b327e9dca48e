import type { Labels } from '@baton/runner-sdk/protocol';
import { type Executor, sql } from './db';

export interface LaneRow {
  id: number;
  queue: string;
  type: string;
  priority: number;
  requires: Labels | null;
  prefers: Labels | null;
  key: string;
}

/** Lanes of these keys, made if they are new. Committed before a job refers to them; they are never removed. */
export async function ensure(db: Executor, lanes: Omit<LaneRow, 'id'>[]): Promise<LaneRow[]> {
  const keys = lanes.map((lane) => lane.key);
  await db.query(sql`
    INSERT INTO lanes (queue, type, priority, requires, prefers, key)
    SELECT l.queue, l.type, l.priority, l.requires, l.prefers, l.key
    FROM json_to_recordset(${JSON.stringify(lanes)}::json) AS l (queue text, type text, priority int, requires json, prefers json, key text)
    WHERE NOT EXISTS (SELECT FROM lanes k WHERE k.key = l.key)
    ORDER BY l.key ON CONFLICT DO NOTHING`);
  return db.query(
    sql`SELECT id, queue, type, priority, requires, prefers, key FROM lanes WHERE key = ANY (${keys}::text[])`,
  );
}

export function listByIds(db: Executor, ids: number[]): Promise<LaneRow[]> {
  return db.query(
    sql`SELECT id, queue, type, priority, requires, prefers, key FROM lanes WHERE id = ANY (${ids}::int[])`,
  );
}

export interface LaneHead {
  laneId: number;
  position: Date;
  id: string;
}

/**
 * The first job in turn of every lane that has one. Skips from lane to lane through the claim index, so it costs one
 * probe for each such lane, however many jobs wait.
 */
export function heads(db: Executor): Promise<LaneHead[]> {
  return db.query(sql`
    WITH RECURSIVE head AS (
      (SELECT j.lane_id, j.position, j.id FROM jobs j WHERE j.status = 'pending' AND j.position IS NOT NULL
       ORDER BY j.lane_id, j.position, j.id LIMIT 1)
      UNION ALL
      SELECT next.lane_id, next.position, next.id
      FROM head CROSS JOIN LATERAL (
        SELECT j.lane_id, j.position, j.id FROM jobs j
        WHERE j.status = 'pending' AND j.position IS NOT NULL AND j.lane_id > head.lane_id
        ORDER BY j.lane_id, j.position, j.id LIMIT 1
      ) next
    )
    SELECT lane_id AS "laneId", position, id FROM head`);
}
