import { type Executor, type Sql, sql } from '../db';
import { storeUncounted } from '../rollups/uncounted';
import type { JobRow } from './fields';

export interface Keep {
  queue: string;
  status: 'completed' | 'failed' | 'cancelled';
  /** How long after they finished such jobs are kept. */
  keepMs: number;
}

/**
 * Finished -> removed: jobs that were kept long enough, oldest first. Skips rows that another transaction has locked,
 * completed jobs that still hold their unique key, parents of unfinished jobs, and jobs of workflows and batches, which
 * are kept and removed as a whole.
 */
export function removeOld(db: Executor, keeps: Keep[], limit: number): Promise<Removed[]> {
  return removeThose(
    db,
    sql`
    SELECT found.id, found.finished_at FROM unnest(
      ${keeps.map((keep) => keep.queue)}::text[], ${keeps.map((keep) => keep.status)}::job_status[],
      ${keeps.map((keep) => keep.keepMs)}::float8[]
    ) AS k (queue, status, keep_ms) CROSS JOIN LATERAL (
      SELECT j.id, j.finished_at FROM jobs j
      WHERE j.queue = k.queue AND j.status = k.status AND j.finished_at < now() - k.keep_ms * interval '1 ms'
        AND (j.status <> 'completed' OR j.unique_until IS NULL OR j.unique_until < now())
        AND j.workflow_id IS NULL AND j.batch_id IS NULL AND NOT (j.awaited AND ${hasDependants(sql`j.id`)})
      ORDER BY j.finished_at LIMIT ${limit} FOR UPDATE SKIP LOCKED
    ) found LIMIT ${limit}`,
  );
}

/**
 * Finished -> removed, with attempts, logs and keys. A job stays until its end was passed on to its children, and until
 * its workflow or batch has ended.
 * @param named whether these jobs were named one by one. Then they are removed even if unfinished jobs depend on them;
 * those know how the parents ended, but will not get their results.
 */
export function remove(db: Executor, jobIds: string[], named = false): Promise<Removed[]> {
  return removeThose(
    db,
    sql`
    SELECT j.id, j.finished_at FROM jobs j
    WHERE j.id = ANY (${jobIds}::uuid[]) AND j.status IN ('completed', 'failed', 'cancelled')
      AND NOT (j.awaited AND ${named ? hasUnsettled(sql`j.id`) : hasDependants(sql`j.id`)})
      AND (j.workflow_id IS NULL
        OR (SELECT w.status FROM workflows w WHERE w.id = j.workflow_id) IS DISTINCT FROM 'running')
      AND (j.batch_id IS NULL OR (SELECT b.finished_at IS NULL FROM batches b WHERE b.id = j.batch_id) IS NOT TRUE)
    ORDER BY j.id FOR UPDATE`,
  );
}

/** The same for jobs of batches that have ended and are not kept any longer; jobs that are still needed stay. */
export function removeOfBatches(db: Executor, batchIds: string[], limit: number): Promise<Removed[]> {
  return removeThose(
    db,
    sql`
    SELECT j.id, j.finished_at FROM jobs j
    WHERE j.batch_id = ANY (${batchIds}::uuid[]) AND j.status IN ('completed', 'failed', 'cancelled')
      AND (j.status <> 'completed' OR j.unique_until IS NULL OR j.unique_until < now())
      AND NOT (j.awaited AND ${hasDependants(sql`j.id`)})
      -- A batch that was retried meanwhile runs again and needs all of its jobs.
      AND (SELECT b.finished_at FROM batches b WHERE b.id = j.batch_id) IS NOT NULL
    LIMIT ${limit} FOR UPDATE SKIP LOCKED`,
  );
}

/**
 * The same of locked jobs of a workflow that is deleted whole; those that are needed stay, and so does the workflow.
 */
export function removeOfWorkflow(transaction: Executor, jobIds: string[]): Promise<Removed[]> {
  return removeThose(
    transaction,
    sql`
    SELECT j.id, j.finished_at FROM jobs j
    WHERE j.id = ANY (${jobIds}::uuid[]) AND j.status IN ('completed', 'failed', 'cancelled')
      AND (j.status <> 'completed' OR j.unique_until IS NULL OR j.unique_until < now())
      AND NOT (j.awaited AND ${hasDependants(sql`j.id`)})
    ORDER BY j.id FOR UPDATE`,
  );
}

export type Removed = Pick<JobRow, 'id' | 'queue' | 'concurrencyKey' | 'orderKey'>;

/**
 * Removes jobs, and stores the statistics of those that were not counted yet. Skips a job that was retried and ended
 * again while this waited for its lock.
 */
function removeThose(db: Executor, locked: Sql): Promise<Removed[]> {
  return db.query(sql`
    WITH found AS MATERIALIZED (${locked}), old AS MATERIALIZED (
      -- Not a join: all jobs that one statement ended have the same finished_at.
      SELECT f.id FROM found f WHERE (SELECT j.finished_at FROM jobs j WHERE j.id = f.id) = f.finished_at
    ), ${storeUncounted(sql`old`)}, edges AS (
      DELETE FROM dependencies d
      WHERE d.job_id = ANY (ARRAY(SELECT j.id FROM jobs j WHERE j.id = ANY (ARRAY(SELECT id FROM old))
      AND j.depends_on IS NOT NULL))
    )
    DELETE FROM jobs j WHERE j.id = ANY (ARRAY(SELECT id FROM old)) AND j.status IN ('completed', 'failed', 'cancelled')
    RETURNING j.id, j.queue, j.concurrency_key AS "concurrencyKey", j.order_key AS "orderKey"`);
}

/** Whether the job's end was not yet passed on to all children. */
function hasUnsettled(jobId: Sql): Sql {
  return sql`(SELECT true FROM dependencies d WHERE d.parent_id = ${jobId} AND d.outcome IS NULL LIMIT 1) IS NOT NULL`;
}

/** Whether unfinished jobs depend on this one, which may still read its result. */
function hasDependants(jobId: Sql): Sql {
  return sql`(
    SELECT true FROM dependencies d JOIN jobs c ON c.id = d.job_id
    WHERE d.parent_id = ${jobId} AND c.finished_at IS NULL LIMIT 1) IS NOT NULL`;
}
