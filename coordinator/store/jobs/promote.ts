import { type Executor, type Sql, sql } from '../db';
import { uuidList } from '../values';
import type { JobRow } from './fields';

/** A lane with ready jobs, and the position before which, as far as is known, no job waits. */
export interface LaneFrom {
  laneId: number;
  queue: string;
  priority: number;
  fromPosition: Date | null;
}

/**
 * CTEs that give each job of the CTE `due` its position (in the CTE `positioned`). Jobs without a user get their runAt.
 * Users (and concurrency keys) of a fair queue take turns: the next job of each gets one step after the user's last
 * waiting one, but never before the present, which is the position of the first waiting job of its lane, or for an
 * empty lane that of the queue. So the job of a newcomer stands beside the first job of a user with a long backlog, and
 * a claim is still one walk along one index. The lane comes first, because the first job of the queue may be one that
 * no runner takes: measured by it, the fairness clock would freeze and penalise past work.
 * @param ready some lanes of the queues with ready jobs, from which the present of each queue is read; other lanes are
 * not read, so that the cost of a job does not depend on the number of lanes
 */
export function positioned(ready: LaneFrom[]): Sql {
  return sql`
    queue_head AS MATERIALIZED (
      SELECT k.queue, k.priority, min(${headOf(sql`k.lane_id`, sql`k.position`)}) AS position
      FROM unnest(
        ${ready.map((one) => one.laneId)}::int[], ${ready.map((one) => one.queue)}::text[],
        ${ready.map((one) => one.priority)}::int[],
        ${ready.map((one) => one.fromPosition)}::timestamptz[]
      ) AS k (lane_id, queue, priority, position) GROUP BY 1, 2
    ), present AS MATERIALIZED (
      SELECT g.lane_id, COALESCE(${headOf(sql`g.lane_id`, sql`g.lane_from`)}, (
        SELECT h.position FROM queue_head h WHERE h.queue = g.queue AND h.priority = g.priority), now()) AS position
      FROM (SELECT lane_id, queue, priority, min(lane_from) AS lane_from FROM due WHERE turn_of IS NOT NULL AND is_fair
        GROUP BY 1, 2, 3) g
    ), turn AS MATERIALIZED (
      SELECT g.lane_id, g.turn_of, GREATEST(p.position, (
        SELECT max(j.position) + interval '1 microsecond' FROM jobs j
        WHERE j.status = 'pending' AND j.position IS NOT NULL AND j.queue = g.queue AND j.priority = g.priority
          AND COALESCE(j.concurrency_key, j.user_id) = g.turn_of)) AS first
      FROM (SELECT DISTINCT lane_id, queue, priority, turn_of FROM due WHERE turn_of IS NOT NULL AND is_fair) g
      JOIN present p ON p.lane_id = g.lane_id
    ), positioned AS MATERIALIZED (
      SELECT d.id, COALESCE(
        t.first + (row_number() OVER (PARTITION BY d.queue, d.priority, d.turn_of
          ORDER BY d.run_at, d.ord) - 1) * interval '1 microsecond',
        d.run_at) AS position
      FROM due d LEFT JOIN turn t ON t.lane_id = d.lane_id AND t.turn_of = d.turn_of AND d.is_fair
    )`;
}

/** Position of the first ready job of a lane; null: there is none. */
function headOf(laneId: Sql, from: Sql): Sql {
  return sql`(
    SELECT j.position FROM jobs j
    WHERE j.status = 'pending' AND j.position IS NOT NULL AND j.lane_id = ${laneId}
      AND j.position >= COALESCE(${from}, '-infinity')
    ORDER BY j.position, j.id LIMIT 1)`;
}

export interface PromotedJob {
  laneId: number;
  position: Date;
}

/** The lane of a job that was created in SQL and has not been given a lane by a coordinator yet. */
export const NO_LANE = 0;

/**
 * Gives pending jobs whose runAt has passed their positions; at most `limit`, the longest due first. Jobs without a
 * lane get no position; their ids are returned.
 */
export async function promoteDue(
  db: Executor,
  ready: LaneFrom[],
  limit: number,
): Promise<{ promoted: PromotedJob[]; withoutLane: string[] }> {
  const rows = await db.query<{ id: string; laneId: number; position: Date | null }>(sql`
    WITH due AS MATERIALIZED (
      SELECT j.id, j.queue, j.priority, j.lane_id, COALESCE(j.concurrency_key, j.user_id) AS turn_of, j.run_at,
        j.id AS ord, NULL::timestamptz AS lane_from,
        COALESCE((SELECT q.is_fair FROM queues q WHERE q.name = j.queue), true) AS is_fair
      FROM jobs j
      WHERE j.status = 'pending' AND j.position IS NULL AND j.hold IS NULL AND j.run_at <= now()
      ORDER BY j.run_at LIMIT ${limit} FOR UPDATE OF j SKIP LOCKED
    ), ${positioned(ready)}
    UPDATE jobs j SET position = CASE WHEN j.lane_id <> ${NO_LANE}::int THEN p.position END
    -- As arrays, because the planner takes 'positioned' for one row, and would walk over all of it for each job.
    FROM unnest(ARRAY(SELECT id FROM positioned ORDER BY id), ARRAY(SELECT position FROM positioned ORDER BY id))
      AS p (id, position)
    WHERE j.id = ANY (ARRAY(SELECT id FROM positioned)) AND j.id = p.id
      -- Cast to text so that the planner cannot use the index of future jobs instead of the ids.
      AND j.status::text = 'pending' AND j.position IS NULL AND j.hold IS NULL
    RETURNING j.id, j.lane_id AS "laneId", j.position`);
  return {
    promoted: rows.flatMap(({ laneId, position }) => (position === null ? [] : [{ laneId, position }])),
    withoutLane: rows.flatMap(({ id, laneId }) => (laneId === NO_LANE ? [id] : [])),
  };
}

/** Routing fields of those of these jobs that have no lane. */
export function findRoutings(
  db: Executor,
  jobIds: string[],
): Promise<Pick<JobRow, 'id' | 'queue' | 'type' | 'priority' | 'requires' | 'prefers'>[]> {
  return db.query(sql`
    SELECT j.id, j.queue, j.type, j.priority, j.requires, j.prefers FROM jobs j
    WHERE j.id = ANY (${jobIds}::uuid[]) AND j.lane_id = ${NO_LANE}::int`);
}

/** Gives jobs their lanes. Returns the jobs that had none until now. */
export function setLanes(db: Executor, routed: { jobId: string; laneId: number }[]): Promise<{ id: string }[]> {
  const ids = sql`${uuidList(routed.map(({ jobId }) => jobId))}::uuid[]`;
  return db.query(sql`
    WITH routed AS MATERIALIZED (
      SELECT * FROM unnest(${ids}, ${routed.map(({ laneId }) => laneId)}::int[]) AS r (id, lane_id) ORDER BY r.id
    )
    UPDATE jobs j SET lane_id = r.lane_id FROM routed r
    WHERE j.id = ANY (${ids}) AND j.id = r.id AND j.lane_id = ${NO_LANE}::int
    RETURNING j.id`);
}
