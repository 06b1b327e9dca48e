import type { JobStatus } from '@baton/runner-sdk/protocol';
import { type Executor, sql } from '../db';
import { insertEvents } from '../events';
import { metricsWithCost } from './cost';
import type { JobRow } from './fields';
import { JOB_COLUMNS } from './row';

export interface Cancel {
  jobId: string;
  /** Only this user's job; null: anybody's. */
  userId: string | null;
  reason: string | null;
  /** Only while it has one of these statuses; undefined: any that can be cancelled. */
  from?: JobStatus[] | undefined;
}

/**
 * blocked, pending, running -> cancelled. The lease of a running job ends; the row of its attempt keeps the token.
 * `was`: the status that each job was moved from.
 */
export function cancel(
  db: Executor,
  cancels: Cancel[],
  isPriced: boolean,
): Promise<(JobRow & { was: JobRow['status'] })[]> {
  return db.query(sql`
    WITH wanted AS MATERIALIZED (
      SELECT * FROM json_to_recordset(${JSON.stringify(cancels)}::json) AS c ("jobId" uuid, "userId" text,
        "reason" text, "from" json)
    ), held AS MATERIALIZED (
      SELECT j.id, j.status, j.lease_token, j.attempt, j.runner_id, j.started_at, j.run_at
      FROM jobs j
      WHERE j.id = ANY (${cancels.map((cancel) => cancel.jobId)}::uuid[])
        AND j.status IN ('blocked', 'pending', 'running')
      ORDER BY j.id FOR UPDATE
    ), moved AS (
      UPDATE jobs j SET
        status = 'cancelled', reason = c.reason, position = NULL, hold = NULL, lease_token = NULL,
        lease_expires_at = NULL, deadline_at = NULL,
        metrics = CASE held.status WHEN 'running' THEN ${metricsWithCost(isPriced, sql`j.metrics`)} ELSE j.metrics END,
        finished_at = now(), updated_at = now()
      FROM wanted c JOIN held ON held.id = c."jobId"
      -- The ids are listed here and below, so that a plan made while there were few jobs does not read all of them.
      WHERE j.id = ANY (${cancels.map((cancel) => cancel.jobId)}::uuid[]) AND j.id = c."jobId"
        AND j.status IN ('blocked', 'pending', 'running')
        AND (c."userId" IS NULL OR j.user_id = c."userId")
        AND (c."from" IS NULL OR j.status::text IN (SELECT json_array_elements_text(c."from")))
      RETURNING ${JOB_COLUMNS}, held.status AS was, held.lease_token AS token
    ), kept AS (
      INSERT INTO attempts (job_id, attempt, runner_id, lease_token, started_at, finished_at, outcome, metrics, due_at)
      SELECT m.id, m.attempt, m."runnerId", m.token, m."startedAt", now(), 'cancelled', m.metrics, m."runAt"
      FROM moved m WHERE m.was = 'running'
    ), ${insertEvents(sql`moved`, sql`'job.cancelled'`, { details: sql`json_build_object('reason', e.reason)`, callback: sql`e.callback` })}
    SELECT * FROM moved`);
}
