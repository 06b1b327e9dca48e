import type { Json } from '@baton/runner-sdk/protocol';
import { type Executor, sql } from '../db';
import { insertEvents } from '../events';
import { metricsWithCost } from './cost';
import { type Moved, MOVED_COLUMNS, MOVED_NAMES, STILL_RUNNING } from './row';

/** A job that its runner gives back until a workflow or batch has ended. */
export interface Suspend {
  jobId: string;
  leaseToken: string;
  delayMs: number;
  checkpoint?: Json | undefined;
  /** The workflow or batch. */
  parentId: string;
  /** How that has ended already; null: it has not. */
  outcome: 'completed' | 'failed' | 'cancelled' | null;
}

/** running -> blocked, or pending where what it waits for has ended already: no failure is counted. */
export async function suspend(transaction: Executor, given: Suspend, isPriced: boolean): Promise<Moved | null> {
  const { jobId, leaseToken, delayMs, checkpoint, parentId, outcome } = given;
  const parent = sql`${parentId}::uuid`;
  const known = sql`COALESCE(j.depends_on, '{}')`;
  const [moved] = await transaction.query<Moved>(sql`
    WITH held AS MATERIALIZED (
      SELECT j.id, j.started_at, j.run_at FROM jobs j WHERE j.id = ${jobId}::uuid AND ${STILL_RUNNING} FOR UPDATE
    ), moved AS (
      UPDATE jobs j SET
        status = CASE WHEN ${outcome}::text IS NULL THEN 'blocked' ELSE 'pending' END::job_status,
        position = NULL, run_at = now() + ${delayMs}::float8 * interval '1 ms',
        checkpoint = COALESCE(${checkpoint === undefined ? null : JSON.stringify(checkpoint)}::json, j.checkpoint),
        depends_on = CASE WHEN ${parent} = ANY (${known}) THEN j.depends_on ELSE array_append(${known}, ${parent}) END,
        metrics = ${metricsWithCost(isPriced, sql`NULL::json`)}, lease_expires_at = NULL, deadline_at = NULL,
        updated_at = now()
      FROM held
      WHERE j.id = ${jobId}::uuid AND j.id = held.id AND ${STILL_RUNNING} AND j.lease_token = ${leaseToken}::uuid
      RETURNING ${MOVED_COLUMNS}, j.lease_token AS "leaseToken", held.started_at, held.run_at AS due_at, j.metrics
    ), edge AS (
      INSERT INTO dependencies (job_id, parent_id, outcome, tolerates_failure)
      SELECT m.id, ${parent}, ${outcome}::job_status, true FROM moved m
      -- It waited for it before, and it was retried since.
      ON CONFLICT (job_id, parent_id) DO UPDATE SET outcome = EXCLUDED.outcome, tolerates_failure = true, waived = false
    ), kept AS (
      INSERT INTO attempts (job_id, attempt, runner_id, lease_token, started_at, finished_at, outcome, metrics, reply,
        due_at)
      SELECT m.id, m.attempt, m."runnerId", m."leaseToken", m.started_at, now(), 'released', m.metrics,
        json_build_object('status', m.status, 'runAt', m."runAt"), m.due_at
      FROM moved m
    ), ${insertEvents(sql`moved`, sql`'job.released'`, { details: sql`json_build_object('runAt', e."runAt", 'until', ${parentId}::text)` })}
    SELECT ${MOVED_NAMES} FROM moved`);
  return moved ?? null;
}
