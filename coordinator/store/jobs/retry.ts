import { type Executor, sql } from '../db';
import { insertEvents } from '../events';
import { storeUncountedCancelled } from '../rollups/uncounted';
import type { JobRow } from './fields';
import { GATE, JOB_COLUMNS } from './row';

export interface RetryByHand {
  jobId: string;
  /** Only this user's job; null: anybody's. */
  userId: string | null;
  /** New arguments, as JSON text. */
  arguments?: string | undefined;
}

/**
 * failed, cancelled -> pending, or blocked; failures start again at 0, and the history is kept. A job is blocked while
 * a parent is unfinished or is retried in the same call. Parents that ended otherwise are not waited for, and do not
 * cancel the job again; a gate waits to be decided again. The workflow of each job runs again. A parent may end at the
 * same moment, so the caller must settle the parents of the jobs that are returned as blocked.
 * @param beside jobs that are retried in the same transaction, and so are waited for
 */
export function retryByHand(db: Executor, wanted: RetryByHand[], beside: string[] = []): Promise<JobRow[]> {
  const ids = sql`${wanted.map((one) => one.jobId)}::uuid[]`;
  return db.query(sql`
    WITH wanted AS MATERIALIZED (
      SELECT * FROM json_to_recordset(${JSON.stringify(wanted)}::json) AS w ("jobId" uuid, "userId" text,
        "arguments" text)
    ), held AS MATERIALIZED (
      SELECT j.id, j.status, j.finished_at FROM wanted w JOIN jobs j ON j.id = w."jobId"
      WHERE j.id = ANY (${ids}) AND j.status IN ('failed', 'cancelled')
        AND (w."userId" IS NULL OR j.user_id = w."userId")
      ORDER BY j.id FOR UPDATE OF j
    ), edge AS MATERIALIZED (
      SELECT d.job_id, d.parent_id FROM dependencies d WHERE d.job_id = ANY (ARRAY(SELECT id FROM held))
    ), parent AS MATERIALIZED (
      SELECT j.id, j.status, j.awaited, j.finished_at IS NULL AS "isOpen" FROM jobs j
      WHERE j.id = ANY (ARRAY(SELECT parent_id FROM edge))
      UNION ALL
      SELECT w.id, w.status::text::job_status AS status, true, w.finished_at IS NULL FROM workflows w
      WHERE w.id = ANY (ARRAY(SELECT parent_id FROM edge))
      UNION ALL
      SELECT b.id, CASE WHEN b.finished_at IS NOT NULL THEN b.status::text END::job_status, true, b.finished_at IS NULL
      FROM batches b WHERE b.id = ANY (ARRAY(SELECT parent_id FROM edge))
    ), open AS MATERIALIZED (
      SELECT e.job_id, e.parent_id FROM edge e WHERE e.parent_id IN (
        SELECT id FROM held UNION ALL SELECT id FROM parent WHERE "isOpen" UNION ALL SELECT unnest(${beside}::uuid[]))
    ), settled AS (
      UPDATE dependencies d SET
        outcome = CASE WHEN o.job_id IS NULL THEN COALESCE(p.status, d.outcome, 'cancelled') END,
        waived = o.job_id IS NULL
      FROM edge e LEFT JOIN open o ON o.job_id = e.job_id AND o.parent_id = e.parent_id
      LEFT JOIN parent p ON p.id = e.parent_id
      WHERE d.job_id = e.job_id AND d.parent_id = e.parent_id
    ), awaiting AS (
      UPDATE jobs j SET awaited = true WHERE j.id = ANY (ARRAY(SELECT id FROM parent WHERE "isOpen" AND NOT awaited))
        AND NOT j.awaited
    ), moved AS (
      UPDATE jobs j SET
        status = CASE WHEN j.id IN (SELECT job_id FROM open) OR j.queue = ${GATE.queue} THEN 'blocked'
          ELSE 'pending' END::job_status,
        awaited = j.awaited OR j.id IN (SELECT parent_id FROM open),
        position = NULL, hold = CASE WHEN j.order_key IS NOT NULL THEN 'order'::job_hold END,
        failures = 0, arguments = COALESCE(w.arguments::json, j.arguments), run_at = now(), reason = NULL,
        error = NULL, fingerprint = NULL, expires_at = NULL, finished_at = NULL,
        updated_at = now()
      FROM wanted w JOIN held ON held.id = w."jobId"
      WHERE j.id = ANY (${ids}) AND j.id = w."jobId" AND j.status IN ('failed', 'cancelled')
      RETURNING ${JOB_COLUMNS}, held.status AS was, held.finished_at AS ended
    ), workflow AS (
      -- Without a condition on the status: a transaction that ends the workflow at this moment has the row's lock, and
      -- this statement waits for it.
      UPDATE workflows w SET status = 'running', finished_at = NULL
      WHERE w.id = ANY (ARRAY(SELECT m."workflowId" FROM moved m WHERE m."workflowId" IS NOT NULL))
    ), batch AS (
      -- The same. A cancelled batch continues with the retried jobs.
      UPDATE batches b SET status = CASE WHEN b.sealed_at IS NULL THEN 'open' ELSE 'running' END::batch_status,
        finished_at = NULL, counts = NULL, cancelled_at = NULL, reason = NULL
      WHERE b.id = ANY (ARRAY(SELECT m."batchId" FROM moved m WHERE m."batchId" IS NOT NULL))
    ), ${storeUncountedCancelled(sql`moved`)}, ${insertEvents(sql`moved`, sql`'job.requeued'`)}
    SELECT * FROM moved`);
}
