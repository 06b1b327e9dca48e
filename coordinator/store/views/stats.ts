import { type Executor, sql } from '../db';
import { READY_LANES } from '../lanes';

export interface TypeLoad {
  type: string;
  waiting: number;
  running: number;
  oldestAgeMs: number | null;
}

/**
 * Waiting and running jobs by type, busiest first; recent types without such jobs come last. Counted in the indexes of
 * ready, not yet due, held and running jobs.
 */
export function types(db: Executor, limit: number): Promise<TypeLoad[]> {
  return db.query(sql`
    WITH found AS (
      SELECT l.type, 0::bigint AS jobs, NULL::timestamptz AS since, 0::bigint AS running FROM lanes l
      UNION ALL
      SELECT l.type, counted.jobs, counted.since, 0 FROM ${READY_LANES} l CROSS JOIN LATERAL (
        SELECT count(*) AS jobs, min(j.run_at) AS since FROM jobs j
        WHERE j.status = 'pending' AND j.position IS NOT NULL AND j.lane_id = l.lane_id
      ) counted
      UNION ALL
      SELECT j.type, count(*), NULL, 0 FROM jobs j WHERE j.status = 'pending' AND j.position IS NULL AND j.hold IS NULL
      GROUP BY 1
      UNION ALL
      SELECT h.type, count(*), min(h.run_at) FILTER (WHERE h.run_at <= now()), 0 FROM (
        SELECT j.type, j.run_at FROM jobs j WHERE j.hold = 'key' UNION ALL SELECT j.type, j.run_at FROM jobs j
        WHERE j.hold = 'order') h GROUP BY 1
      UNION ALL
      SELECT j.type, 0, NULL, count(*) FROM jobs j WHERE j.status = 'running' GROUP BY 1
    )
    SELECT f.type, sum(f.jobs)::int AS waiting, sum(f.running)::int AS running,
      extract(epoch FROM now() - min(f.since))::float8 * 1000 AS "oldestAgeMs"
    FROM found f GROUP BY 1 ORDER BY sum(f.jobs) + sum(f.running) DESC, 1 LIMIT ${limit}`);
}

/** Types of jobs that were created recently, or that ended as far back as statistics go. */
export async function typeNames(db: Executor, limit: number): Promise<string[]> {
  const rows = await db.query<{ type: string }>(sql`
    SELECT l.type FROM lanes l UNION SELECT r.key FROM rollups r WHERE r.grain = 'day' AND r.dimension = 'type'
      AND r.owner = ''
    ORDER BY 1 LIMIT ${limit}`);
  return rows.map((row) => row.type);
}

export interface UserLoad {
  queue: string;
  type: string;
  status: string;
  jobs: number;
  created: number;
  finished: number;
  oldestAgeMs: number | null;
}

/** One user's jobs by queue, type and status, of the latest 100,000; `created` and `finished` in the last minute. */
export function ofUser(db: Executor, userId: string): Promise<UserLoad[]> {
  return db.query(sql`
    SELECT j.queue, j.type, j.status::text AS status, count(*)::int AS jobs,
      (count(*) FILTER (WHERE j.created_at > now() - interval '1 minute'))::int AS created,
      (count(*) FILTER (WHERE j.finished_at > now() - interval '1 minute'))::int AS finished,
      extract(epoch FROM now() - min(j.run_at) FILTER (WHERE j.status = 'pending'
        AND j.run_at <= now()))::float8 * 1000 AS "oldestAgeMs"
    FROM (SELECT o.* FROM jobs o WHERE o.user_id = ${userId} ORDER BY o.id DESC LIMIT 100000) j GROUP BY 1, 2, 3`);
}
