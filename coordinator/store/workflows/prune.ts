import { type Executor, sql } from '../db';
import type { WorkflowStatus } from './end';

/**
 * Workflows that ended long enough ago, oldest first. One stays whole while an unfinished job outside depends on one of
 * its jobs, and while one of them still holds its unique key.
 */
export async function findOldWorkflows(
  db: Executor,
  keepMs: Record<Exclude<WorkflowStatus, 'running'>, number>,
  limit: number,
): Promise<string[]> {
  const rows = await db.query<{ id: string }>(sql`
    SELECT found.id FROM unnest(
      ${Object.keys(keepMs)}::workflow_status[], ${Object.values(keepMs)}::float8[]
    ) AS k (status, keep_ms) CROSS JOIN LATERAL (
      SELECT w.id, w.finished_at FROM workflows w
      WHERE w.status = k.status AND w.finished_at IS NOT NULL AND w.finished_at < now() - k.keep_ms * interval '1 ms'
        AND (
          SELECT true FROM jobs j
          WHERE j.workflow_id = w.id AND j.workflow_id IS NOT NULL AND (
            (j.status = 'completed' AND j.unique_until > now())
            OR (j.awaited AND (
              SELECT true FROM dependencies d JOIN jobs c ON c.id = d.job_id
              WHERE d.parent_id = j.id AND c.finished_at IS NULL LIMIT 1) IS NOT NULL))
          LIMIT 1) IS NULL
      ORDER BY w.finished_at LIMIT ${limit}
    ) found ORDER BY found.finished_at LIMIT ${limit}`);
  return rows.map(({ id }) => id);
}

/**
 * Locks an ended workflow and all its jobs, so that they can be deleted whole. Null: one of them is in use at the
 * moment, or the workflow runs again.
 */
export async function lockWhole(transaction: Executor, id: string): Promise<string[] | null> {
  const locked = await transaction.query(sql`
    SELECT FROM workflows w WHERE w.id = ${id}::uuid AND w.status <> 'running' FOR UPDATE SKIP LOCKED`);
  if (locked.length === 0) return null;
  const [row] = await transaction.query<{ ids: string[]; total: number }>(sql`
    WITH held AS MATERIALIZED (
      SELECT j.id FROM jobs j
      WHERE j.workflow_id = ${id}::uuid AND j.status IN ('completed', 'failed', 'cancelled')
      ORDER BY j.id FOR UPDATE SKIP LOCKED
    )
    SELECT COALESCE((SELECT array_agg(h.id::text) FROM held h), '{}') AS ids,
      (SELECT count(*)::int FROM jobs j WHERE j.workflow_id = ${id}::uuid) AS total`);
  return row === undefined || row.ids.length < row.total ? null : row.ids;
}

/** Deletes a locked workflow whose jobs are deleted. Returns whether none was left. */
export async function removeWorkflow(transaction: Executor, id: string): Promise<boolean> {
  const rows = await transaction.query(sql`
    DELETE FROM workflows w WHERE w.id = ${id}::uuid
      AND (SELECT true FROM jobs j WHERE j.workflow_id = w.id AND j.workflow_id IS NOT NULL LIMIT 1) IS NULL
      RETURNING w.id`);
  return rows.length > 0;
}
