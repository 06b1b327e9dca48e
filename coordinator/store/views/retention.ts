import { type Executor, sql } from '../db';
import type { Keep } from '../jobs';
import { FINISHED_QUEUES } from '../queues';

/** Every queue with finished jobs. */
export async function queueNames(db: Executor): Promise<string[]> {
  const rows = await db.query<{ name: string }>(sql`SELECT q.name FROM ${FINISHED_QUEUES} q`);
  return rows.map((row) => row.name);
}

export function countOld(db: Executor, keeps: Keep[]): Promise<{ status: Keep['status']; count: number }[]> {
  return db.query(sql`
    SELECT k.status, sum(old.count)::int AS count
    FROM unnest(
      ${keeps.map((keep) => keep.queue)}::text[], ${keeps.map((keep) => keep.status)}::job_status[],
      ${keeps.map((keep) => keep.keepMs)}::float8[]
    ) AS k (queue, status, keep_ms) CROSS JOIN LATERAL (
      SELECT count(*) AS count FROM jobs j
      WHERE j.queue = k.queue AND j.status = k.status AND j.finished_at < now() - k.keep_ms * interval '1 ms'
        AND (j.status <> 'completed' OR j.unique_until IS NULL OR j.unique_until < now())
    ) old GROUP BY 1`);
}
