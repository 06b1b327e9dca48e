import type { JobStatus } from '@baton/runner-sdk/protocol';
import { type Executor, type Sql, sql } from '../db';
import { recorded } from '../events';
import { strayCancelled, strays } from '../rollups/strays';
import { metricsWithCost } from './cost';
import type { InsertJob } from './insert';
import { JOB_COLUMNS, type JobRow } from './row';

export interface Cancel {
  jobId: string;
  /** Only this user's job; null: anybody's. */
  userId: string | null;
  reason: string | null;
  /** Only while it has one of these statuses; undefined: any that can be cancelled. */
  from?: JobStatus[] | undefined;
}

/** blocked, pending, running -> cancelled. A running job's lease ends with it; its attempt's row keeps the token. */
/** `was`: the status that each was moved from. */
export function cancel(
  db: Executor,
  cancels: Cancel[],
  isPriced: boolean,
): Promise<(JobRow & { was: JobRow['status'] })[]> {
  return db.query(sql`
    WITH wanted AS MATERIALIZED (
      SELECT * FROM json_to_recordset(${JSON.stringify(cancels)}::json) AS c ("jobId" uuid, "userId" text, "reason" text, "from" json)
    ), held AS MATERIALIZED (
      SELECT j.id, j.status, j.lease_token, j.attempt, j.runner_id, j.started_at, j.run_at
      FROM jobs j
      WHERE j.id = ANY (${cancels.map((cancel) => cancel.jobId)}::uuid[]) AND j.status IN ('blocked', 'pending', 'running')
      ORDER BY j.id FOR UPDATE
    ), moved AS (
      UPDATE jobs j SET
        status = 'cancelled', reason = c.reason, position = NULL, hold = NULL, lease_token = NULL, lease_expires_at = NULL, deadline_at = NULL,
        metrics = CASE held.status WHEN 'running' THEN ${metricsWithCost(isPriced, sql`j.metrics`)} ELSE j.metrics END,
        finished_at = now(), updated_at = now()
      FROM wanted c JOIN held ON held.id = c."jobId"
      -- Here and below the list too, lest a plan that was made while there were few jobs reads all of them.
      WHERE j.id = ANY (${cancels.map((cancel) => cancel.jobId)}::uuid[]) AND j.id = c."jobId" AND j.status IN ('blocked', 'pending', 'running')
        AND (c."userId" IS NULL OR j.user_id = c."userId")
        AND (c."from" IS NULL OR j.status::text IN (SELECT json_array_elements_text(c."from")))
      RETURNING ${JOB_COLUMNS}, held.status AS was, held.lease_token AS token
    ), kept AS (
      INSERT INTO attempts (job_id, attempt, runner_id, lease_token, started_at, finished_at, outcome, metrics, due_at)
      SELECT m.id, m.attempt, m."runnerId", m.token, m."startedAt", now(), 'cancelled', m.metrics, m."runAt" FROM moved m WHERE m.was = 'running'
    ), ${recorded(sql`moved`, sql`'job.cancelled'`, { details: sql`json_build_object('reason', e.reason)`, callback: sql`e.callback` })}
    SELECT * FROM moved`);
}

export interface RetryByHand {
  jobId: string;
  /** Only this user's job; null: anybody's. */
  userId: string | null;
  /** JSON text that takes the place of its arguments. */
  arguments?: string | undefined;
}

/** failed, cancelled -> pending, from the first try again; history is kept. */
export function retryByHand(db: Executor, wanted: RetryByHand[]): Promise<JobRow[]> {
  return db.query(sql`
    WITH wanted AS MATERIALIZED (
      SELECT * FROM json_to_recordset(${JSON.stringify(wanted)}::json) AS w ("jobId" uuid, "userId" text, "arguments" text)
    ), held AS MATERIALIZED (
      SELECT j.id, j.status, j.finished_at FROM jobs j
      WHERE j.id = ANY (${wanted.map((one) => one.jobId)}::uuid[]) AND j.status IN ('failed', 'cancelled')
      ORDER BY j.id FOR UPDATE
    ), moved AS (
      UPDATE jobs j SET
        status = 'pending', position = NULL, hold = CASE WHEN j.order_key IS NOT NULL THEN 'order'::job_hold END,
        failures = 0, arguments = COALESCE(w.arguments::json, j.arguments), run_at = now(), reason = NULL, error = NULL, fingerprint = NULL, expires_at = NULL, finished_at = NULL,
        updated_at = now()
      FROM wanted w JOIN held ON held.id = w."jobId"
      WHERE j.id = ANY (${wanted.map((one) => one.jobId)}::uuid[]) AND j.id = w."jobId"
        AND j.status IN ('failed', 'cancelled') AND (w."userId" IS NULL OR j.user_id = w."userId")
      RETURNING ${JOB_COLUMNS}, held.status AS was, held.finished_at AS ended
    ), ${strayCancelled(sql`moved`)}, ${recorded(sql`moved`, sql`'job.requeued'`)}
    SELECT * FROM moved`);
}

export interface Edit {
  jobId: string;
  userId: string | null;
  priority?: number | undefined;
  laneId?: number | undefined;
  /** ISO-8601; in the past means now. */
  runAt?: string | undefined;
  runNow?: boolean | undefined;
  tags?: string[] | undefined;
}

/** blocked, pending -> the same, with another priority, runAt or tags. */
export function edit(db: Executor, wanted: Edit): Promise<JobRow[]> {
  return db.query(sql`
    UPDATE jobs j SET
      priority = COALESCE(${wanted.priority ?? null}::smallint, j.priority),
      lane_id = COALESCE(${wanted.laneId ?? null}::int, j.lane_id),
      -- It is placed anew: with another priority or runAt its old turn means nothing.
      -- One that is due already keeps its turn when it is to run now.
      position = CASE WHEN ${wanted.laneId === undefined && wanted.runAt === undefined}::boolean THEN j.position END,
      -- Whether its key still holds it is judged when it is due.
      hold = CASE WHEN ${wanted.runAt !== undefined}::boolean THEN NULLIF(j.hold, 'key') ELSE j.hold END,
      run_at = CASE WHEN ${wanted.runNow === true}::boolean THEN now()
        ELSE COALESCE(GREATEST(${wanted.runAt ?? null}::timestamptz, CASE WHEN ${wanted.runAt ?? null}::timestamptz IS NOT NULL THEN now() END), j.run_at) END,
      tags = COALESCE(${wanted.tags ?? null}::text[], j.tags),
      updated_at = now()
    WHERE j.id = ${wanted.jobId}::uuid AND j.status IN ('blocked', 'pending')
      AND (${wanted.userId}::text IS NULL OR j.user_id = ${wanted.userId}::text)
    RETURNING ${JOB_COLUMNS}`);
}

/** blocked, pending -> the same, with what a newer create under its unique key brought: arguments, runAt and metadata. */
export function replaceWaiting(db: Executor, jobId: string, brought: InsertJob): Promise<JobRow[]> {
  return db.query(sql`
    UPDATE jobs j SET
      arguments = ${JSON.stringify(brought.arguments)}::json,
      metadata = COALESCE(${brought.metadata === undefined ? null : JSON.stringify(brought.metadata)}::json, j.metadata),
      run_at = GREATEST(now(), ${brought.runAt ?? null}::timestamptz, now() + ${brought.delayMs ?? null}::float8 * interval '1 ms'),
      position = NULL, hold = NULLIF(j.hold, 'key'), updated_at = now()
    WHERE j.id = ${jobId}::uuid AND j.status IN ('blocked', 'pending')
    RETURNING ${JOB_COLUMNS}`);
}

export interface Keep {
  queue: string;
  status: 'completed' | 'failed' | 'cancelled';
  /** How long after they finished such jobs are kept. */
  keepMs: number;
}

/**
 * Finished -> gone, the oldest of those that were kept long enough. Jobs that somebody works on are passed over, and so are
 * completed ones that still hold their unique key.
 */
export function removeOld(db: Executor, keeps: Keep[], limit: number): Promise<Removed[]> {
  return removeThose(
    db,
    sql`
    SELECT found.id, found.finished_at FROM unnest(
      ${keeps.map((keep) => keep.queue)}::text[], ${keeps.map((keep) => keep.status)}::job_status[], ${keeps.map((keep) => keep.keepMs)}::float8[]
    ) AS k (queue, status, keep_ms) CROSS JOIN LATERAL (
      SELECT j.id, j.finished_at FROM jobs j
      WHERE j.queue = k.queue AND j.status = k.status AND j.finished_at < now() - k.keep_ms * interval '1 ms'
        AND (j.status <> 'completed' OR j.unique_until IS NULL OR j.unique_until < now())
      ORDER BY j.finished_at LIMIT ${limit} FOR UPDATE SKIP LOCKED
    ) found LIMIT ${limit}`,
  );
}

/** Finished -> gone, with attempts, logs and keys. */
export function remove(db: Executor, jobIds: string[]): Promise<Removed[]> {
  return removeThose(
    db,
    sql`
    SELECT j.id, j.finished_at FROM jobs j
    WHERE j.id = ANY (${jobIds}::uuid[]) AND j.status IN ('completed', 'failed', 'cancelled') ORDER BY j.id FOR UPDATE`,
  );
}

export type Removed = Pick<JobRow, 'id' | 'queue' | 'concurrencyKey' | 'orderKey'>;

/** What of them was not counted for the figures yet is written down. One that ended anew while its lock was waited for is passed over. */
function removeThose(db: Executor, locked: Sql): Promise<Removed[]> {
  return db.query(sql`
    WITH found AS MATERIALIZED (${locked}), old AS MATERIALIZED (
      -- Not a join: their time of end is that of all that one statement ended.
      SELECT f.id FROM found f WHERE (SELECT j.finished_at FROM jobs j WHERE j.id = f.id) = f.finished_at
    ), ${strays(sql`old`)}
    DELETE FROM jobs j WHERE j.id = ANY (ARRAY(SELECT id FROM old)) AND j.status IN ('completed', 'failed', 'cancelled')
    RETURNING j.id, j.queue, j.concurrency_key AS "concurrencyKey", j.order_key AS "orderKey"`);
}

/** blocked, pending -> the same, with another priority and so in another lane. */
export function prioritise(
  db: Executor,
  moves: { jobId: string; laneId: number }[],
  priority: number,
): Promise<{ id: string }[]> {
  return db.query(sql`
    WITH held AS MATERIALIZED (
      SELECT j.id FROM jobs j
      WHERE j.id = ANY (${moves.map((move) => move.jobId)}::uuid[]) AND j.status IN ('blocked', 'pending') AND j.priority <> ${priority}
      ORDER BY j.id FOR UPDATE
    )
    UPDATE jobs j SET priority = ${priority}, lane_id = m.lane_id, position = NULL, updated_at = now()
    FROM unnest(${moves.map((move) => move.jobId)}::uuid[], ${moves.map((move) => move.laneId)}::int[]) AS m (id, lane_id)
    JOIN held ON held.id = m.id
    WHERE j.id = ANY (${moves.map((move) => move.jobId)}::uuid[]) AND j.id = m.id AND j.status IN ('blocked', 'pending')
    RETURNING j.id`);
}
