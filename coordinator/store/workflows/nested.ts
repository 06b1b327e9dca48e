import { type Executor, sql } from '../db';

// What a running job may give itself back for: a workflow or a batch.

export type Group = { workflowId: string } | { batchId: string };

/**
 * How the workflow or batch has ended; null: it has not, and will not until the transaction ends. One that is not
 * there, or is another user's than the job's, counts as cancelled: nothing waits for it, and nothing is told of it.
 */
export async function lockOutcome(
  transaction: Executor,
  jobId: string,
  group: Group,
): Promise<'completed' | 'failed' | 'cancelled' | null> {
  const found =
    'workflowId' in group
      ? sql`SELECT w.status::text AS status, w.user_id, w.finished_at FROM workflows w
          WHERE w.id = ${group.workflowId}::uuid FOR SHARE`
      : sql`SELECT b.status::text AS status, b.user_id, b.finished_at FROM batches b
          WHERE b.id = ${group.batchId}::uuid FOR SHARE`;
  const [row] = await transaction.query<{ outcome: 'completed' | 'failed' | 'cancelled' | null }>(sql`
    WITH found AS MATERIALIZED (${found})
    SELECT CASE WHEN f.finished_at IS NOT NULL THEN f.status END AS outcome
    FROM found f WHERE (SELECT j.user_id IS NULL OR j.user_id = f.user_id FROM jobs j WHERE j.id = ${jobId}::uuid)`);
  return row === undefined ? 'cancelled' : row.outcome;
}

/**
 * Whether the workflow or batch waits, over however many steps, for this job or for a workflow or batch that it belongs
 * to.
 */
export async function waitsForJob(transaction: Executor, groupId: string, jobId: string): Promise<boolean> {
  const rows = await transaction.query(sql`
    WITH RECURSIVE reached (id) AS (
      SELECT ${groupId}::uuid
      UNION
      SELECT d.parent_id FROM reached r CROSS JOIN LATERAL (
        SELECT r.id
        UNION ALL SELECT j.id FROM jobs j WHERE j.workflow_id = r.id AND j.workflow_id IS NOT NULL
          AND j.status = 'blocked'
        UNION ALL SELECT j.id FROM jobs j WHERE j.batch_id = r.id AND j.batch_id IS NOT NULL AND j.status = 'blocked'
      ) m JOIN dependencies d ON d.job_id = m.id AND d.outcome::text IS NULL
    )
    SELECT FROM jobs j WHERE j.id = ${jobId}::uuid AND EXISTS (
      SELECT FROM reached r WHERE r.id = j.id OR r.id = j.workflow_id OR r.id = j.batch_id)`);
  return rows.length > 0;
}
