import type { Labels } from '@baton/runner-sdk/protocol';
import { type Executor, sql } from './db';

export interface LaneRow {
  id: number;
  queue: string;
  type: string;
  priority: number;
  requires: Labels | null;
  key: string;
}

/** Lanes of these keys, made if they are new. Committed before a job refers to them; they are never removed. */
export async function ensure(db: Executor, lanes: Omit<LaneRow, 'id'>[]): Promise<LaneRow[]> {
  const keys = lanes.map((lane) => lane.key);
  await db.query(sql`
    INSERT INTO lanes (queue, type, priority, requires, key)
    SELECT l.queue, l.type, l.priority, l.requires, l.key
    FROM json_to_recordset(${JSON.stringify(lanes)}::json) AS l (queue text, type text, priority int, requires json, key text)
    WHERE NOT EXISTS (SELECT FROM lanes k WHERE k.key = l.key)
    ORDER BY l.key ON CONFLICT DO NOTHING`);
  return db.query(sql`SELECT id, queue, type, priority, requires, key FROM lanes WHERE key = ANY (${keys}::text[])`);
}

export function listByIds(db: Executor, ids: number[]): Promise<LaneRow[]> {
  return db.query(sql`SELECT id, queue, type, priority, requires, key FROM lanes WHERE id = ANY (${ids}::int[])`);
}

export interface LaneHead {
  laneId: number;
  runAt: Date;
  id: string;
  dueInMs: number;
}

/**
 * The first waiting job of every lane that has one. Skips from lane to lane through the claim index, so it costs one
 * probe for each such lane, however many jobs wait.
 */
export function heads(db: Executor): Promise<LaneHead[]> {
  return db.query(sql`
    WITH RECURSIVE head AS (
      (SELECT j.lane_id, j.run_at, j.id FROM jobs j WHERE j.status = 'pending' ORDER BY j.lane_id, j.run_at, j.id LIMIT 1)
      UNION ALL
      SELECT next.lane_id, next.run_at, next.id
      FROM head CROSS JOIN LATERAL (
        SELECT j.lane_id, j.run_at, j.id FROM jobs j
        WHERE j.status = 'pending' AND j.lane_id > head.lane_id ORDER BY j.lane_id, j.run_at, j.id LIMIT 1
      ) next
    )
    SELECT lane_id AS "laneId", run_at AS "runAt", id, extract(epoch FROM run_at - now())::float8 * 1000 AS "dueInMs" FROM head`);
}
