import type { Json } from '@baton/runner-sdk/protocol';
import { type Executor, type Sql, sql } from '../db';
import { insertEvents } from '../events';
import { uuidList } from '../values';
import { metricsWithCost } from './cost';
import { ENDED_COLUMNS, ENDED_NAMES, type Moved, MOVED_COLUMNS, MOVED_NAMES, STILL_RUNNING } from './row';

export interface Extend {
  jobId: string;
  leaseToken: string;
  progress?: { percent: number; message: string | null } | undefined;
  checkpoint?: Json | undefined;
}

export interface Extended {
  id: string;
  leaseToken: string;
  leaseExpiresAt: Date;
  attempt: number;
  runnerId: string;
}

/**
 * running -> running: the lease starts again, but never lasts past the deadline. Touches no index (a HOT update).
 *
 * The statement has only the parts that the batch needs: most heartbeats have neither progress nor a checkpoint.
 */
export function extend(db: Executor, beats: Extend[]): Promise<Extended[]> {
  const hasProgress = beats.some(({ progress }) => progress !== undefined);
  const hasCheckpoint = beats.some(({ checkpoint }) => checkpoint !== undefined);
  const ids = sql`${uuidList(beats.map((beat) => beat.jobId))}::uuid[]`;
  const beatRows = hasProgress || hasCheckpoint ? beatsWithJson(beats) : plainBeats(ids, beats);
  const update = sql`
      UPDATE jobs j SET
        lease_expires_at = LEAST(now() + j.lease_ms * interval '1 ms', j.deadline_at),
        ${hasProgress ? PROGRESS : sql``}
        ${hasCheckpoint ? sql`checkpoint = COALESCE(b.checkpoint, j.checkpoint),` : sql``}
        updated_at = now()
      FROM beat b
      WHERE j.id = ANY (${ids}) AND j.id = b.id AND ${STILL_RUNNING} AND j.lease_token = b."leaseToken"
      RETURNING j.id, b."leaseToken", j.lease_expires_at AS "leaseExpiresAt", j.attempt, j.runner_id AS "runnerId"`;
  // Rows are locked as they are updated, so in the order of the batch, which is by id.
  if (!hasProgress) return db.query(sql`WITH beat AS MATERIALIZED (${beatRows} ORDER BY id) ${update}`);
  return db.query(sql`
    WITH beat AS MATERIALIZED (${beatRows} ORDER BY id), extended AS (${update},
        j.type, j.queue, j.user_id AS "userId", CASE WHEN b.progress IS NOT NULL THEN j.progress END AS progress
    ), ${insertEvents(sql`(SELECT * FROM extended WHERE progress IS NOT NULL)`, sql`'job.progress'`, { status: sql`'running'`, details: sql`e.progress` })}
    SELECT id, "leaseToken", "leaseExpiresAt", attempt, "runnerId" FROM extended`);
}

function plainBeats(ids: Sql, beats: Extend[]): Sql {
  return sql`SELECT *
      FROM unnest(${ids}, ${uuidList(beats.map((beat) => beat.leaseToken))}::uuid[]) AS b (id, "leaseToken")`;
}

function beatsWithJson(beats: Extend[]): Sql {
  return sql`SELECT b."jobId" AS id, b."leaseToken", b.progress, b.checkpoint
      FROM json_to_recordset(${JSON.stringify(beats)}::json) AS b (
        "jobId" uuid, "leaseToken" uuid, "progress" json, "checkpoint" json)`;
}

const PROGRESS = sql`progress = CASE WHEN b.progress IS NULL THEN j.progress
          ELSE json_build_object('percent', b.progress -> 'percent', 'message', b.progress -> 'message', 'at',
            now()) END,`;

export interface Complete {
  jobId: string;
  leaseToken: string;
  /** JSON text. */
  result: string | null;
  metrics: string | null;
}

export type Completed = Omit<Moved, 'status' | 'runAt' | 'dueInMs'> & { status: 'completed' };

/** running -> completed. The token stays on the row, so that the same report again is recognised. */
export async function complete(db: Executor, reports: Complete[], isPriced: boolean): Promise<Completed[]> {
  const ids = sql`${uuidList(reports.map((report) => report.jobId))}::uuid[]`;
  return db.query<Completed>(sql`
    WITH report AS MATERIALIZED (
      SELECT * FROM unnest(
        ${ids}, ${uuidList(reports.map((report) => report.leaseToken))}::uuid[],
        ${reports.map((report) => report.result)}::text[], ${reports.map((report) => report.metrics)}::text[]
      ) AS r (id, "leaseToken", result, metrics)
      -- Rows are locked as they are updated, so in this order; locking them first would cost one more lookup each.
      ORDER BY r.id
    ), moved AS (
      UPDATE jobs j SET
        status = 'completed', result = r.result::json, metrics = ${metricsWithCost(isPriced, sql`r.metrics::json`)},
        error = NULL,
        lease_expires_at = NULL, deadline_at = NULL, checkpoint = NULL, finished_at = now(), updated_at = now()
      FROM report r
      -- The ids are listed as well, so that a plan made while there were few jobs does not read all of them.
      WHERE j.id = ANY (${ids}) AND j.id = r.id AND ${STILL_RUNNING} AND j.lease_token = r."leaseToken"
      RETURNING ${ENDED_COLUMNS}, r."leaseToken", j.callback
    ), ${insertEvents(sql`moved`, sql`'job.completed'`, { callback: sql`e.callback` })}
    SELECT ${ENDED_NAMES} FROM moved`);
}

export interface Fail {
  jobId: string;
  leaseToken: string;
  outcome: 'failed' | 'timed_out';
  to: 'pending' | 'failed';
  delayMs: number;
  error: Json;
  fingerprint: string | null;
  metrics: Json | null;
}

/**
 * running -> pending (retried after `delayMs`) or failed. The row of the attempt keeps what happened and how the report
 * was answered. After a timeout the job's token is cleared, because its runner may no longer report.
 */
export function fail(db: Executor, failures: Fail[], isPriced: boolean): Promise<Moved[]> {
  return db.query(sql`
    WITH failure AS MATERIALIZED (
      SELECT * FROM json_to_recordset(${JSON.stringify(failures)}::json) AS f (
        "jobId" uuid, "leaseToken" uuid, "outcome" attempt_outcome, "to" job_status, "delayMs" float8, "error" json,
        "fingerprint" text, "metrics" json)
    ), held AS MATERIALIZED (
      SELECT j.id, j.started_at, j.run_at FROM jobs j
      WHERE j.id = ANY (${failures.map((failure) => failure.jobId)}::uuid[]) AND ${STILL_RUNNING}
      ORDER BY j.id FOR UPDATE
    ), moved AS (
      UPDATE jobs j SET
        status = f."to", position = NULL, failures = j.failures + 1, error = f.error, fingerprint = f.fingerprint,
        metrics = ${metricsWithCost(isPriced, sql`f.metrics`)},
        run_at = CASE f."to" WHEN 'pending' THEN now() + f."delayMs" * interval '1 ms' ELSE j.run_at END,
        lease_token = CASE f.outcome WHEN 'failed' THEN j.lease_token END,
        lease_expires_at = NULL, deadline_at = NULL,
        finished_at = CASE f."to" WHEN 'failed' THEN now() END, updated_at = now()
      FROM failure f JOIN held ON held.id = f."jobId"
      WHERE j.id = f."jobId" AND ${STILL_RUNNING} AND j.lease_token = f."leaseToken"
      RETURNING ${MOVED_COLUMNS}, f.outcome, f."leaseToken", f.error, j.metrics, held.started_at,
        held.run_at AS due_at, j.callback
    ), kept AS (
      INSERT INTO attempts (job_id, attempt, runner_id, lease_token, started_at, finished_at, outcome, error, metrics,
        reply, due_at)
      SELECT m.id, m.attempt, m."runnerId", m."leaseToken", m.started_at, now(), m.outcome, m.error, m.metrics,
        json_build_object('status', m.status, 'runAt', CASE m.status WHEN 'pending' THEN m."runAt" END), m.due_at
      FROM moved m
    ), ${insertEvents(sql`moved`, sql`CASE e.status WHEN 'pending' THEN 'job.retrying' ELSE 'job.failed' END`, {
      details: sql`json_build_object('code', e.error -> 'code', 'outcome', e.outcome, 'runAt', CASE e.status WHEN 'pending' THEN e."runAt" END)`,
      callback: sql`CASE e.status WHEN 'failed' THEN e.callback END`,
    })}
    SELECT ${MOVED_NAMES} FROM moved`);
}

export interface Release {
  jobId: string;
  leaseToken: string;
  delayMs: number;
  checkpoint?: Json | undefined;
}

/** running -> pending, given back by its runner: no failure is counted. */
export function release(db: Executor, releases: Release[], isPriced: boolean): Promise<Moved[]> {
  return db.query(sql`
    WITH given AS MATERIALIZED (
      SELECT * FROM json_to_recordset(${JSON.stringify(releases)}::json) AS g (
        "jobId" uuid, "leaseToken" uuid, "delayMs" float8, "checkpoint" json)
    ), held AS MATERIALIZED (
      SELECT j.id, j.started_at, j.run_at FROM jobs j
      WHERE j.id = ANY (${releases.map((one) => one.jobId)}::uuid[]) AND ${STILL_RUNNING}
      ORDER BY j.id FOR UPDATE
    ), moved AS (
      UPDATE jobs j SET
        status = 'pending', position = NULL, run_at = now() + g."delayMs" * interval '1 ms',
        checkpoint = COALESCE(g.checkpoint, j.checkpoint),
        metrics = ${metricsWithCost(isPriced, sql`NULL::json`)}, lease_expires_at = NULL, deadline_at = NULL,
        updated_at = now()
      FROM given g JOIN held ON held.id = g."jobId"
      WHERE j.id = g."jobId" AND ${STILL_RUNNING} AND j.lease_token = g."leaseToken"
      RETURNING ${MOVED_COLUMNS}, g."leaseToken", held.started_at, held.run_at AS due_at, j.metrics
    ), kept AS (
      INSERT INTO attempts (job_id, attempt, runner_id, lease_token, started_at, finished_at, outcome, metrics, reply,
        due_at)
      SELECT m.id, m.attempt, m."runnerId", m."leaseToken", m.started_at, now(), 'released', m.metrics,
        json_build_object('status', m.status, 'runAt', m."runAt"), m.due_at
      FROM moved m
    ), ${insertEvents(sql`moved`, sql`'job.released'`, { details: sql`json_build_object('runAt', e."runAt")` })}
    SELECT ${MOVED_NAMES} FROM moved`);
}
