import type { JobStatus, Json } from '@baton/runner-sdk/protocol';
import type { Job } from '../generated/prisma/client';
import { type Executor, sql } from './db';

// The only statements that write jobs.status. Each is one guarded UPDATE (or INSERT): what it expects stands in its
// WHERE, what it moved comes back, and what did not come back was not as expected. Rows are locked in the order of
// their ids, so that two batches over the same jobs wait for each other instead of deadlocking.

export type JobRow = Job;

/** A job's columns under the names of the model; the table's alias is `j`. */
export const JOB_COLUMNS = sql`
  j.id, j.type, j.queue, j.priority, j.status, j.reason, j.lane_id AS "laneId", j.run_at AS "runAt", j.arguments, j.result,
  j.error, j.metadata, j.requires, j.tags, j.user_id AS "userId", j.unique_key AS "uniqueKey", j.unique_until AS "uniqueUntil",
  j.expires_at AS "expiresAt", j.attempt, j.failures, j.max_attempts AS "maxAttempts", j.retry, j.timeout_ms AS "timeoutMs",
  j.runner_id AS "runnerId", j.claim_id AS "claimId", j.lease_token AS "leaseToken", j.lease_ms AS "leaseMs",
  j.lease_expires_at AS "leaseExpiresAt", j.deadline_at AS "deadlineAt", j.progress, j.checkpoint, j.metrics,
  j.created_at AS "createdAt", j.started_at AS "startedAt", j.finished_at AS "finishedAt", j.updated_at AS "updatedAt"`;

export interface InsertJob {
  id: string;
  type: string;
  queue: string;
  priority: number;
  laneId: number;
  arguments: Json;
  runAt?: string | undefined;
  delayMs?: number | undefined;
  timeoutMs: number;
  maxAttempts: number;
  retry?: Json | undefined;
  uniqueKey?: string | undefined;
  uniqueForMs?: number | undefined;
  expiresAt?: string | undefined;
  requires?: Json | undefined;
  tags: string[];
  metadata?: Json | undefined;
  userId?: string | undefined;
  /** The user an idempotency key belongs to; empty for callers bound to none. */
  idempotencyScope?: string | undefined;
  idempotencyKey?: string | undefined;
  requestHash?: string | undefined;
}

export interface InsertedJob {
  id: string;
  runAt: Date;
  createdAt: Date;
  uniqueUntil: Date | null;
  /** How long until it is due, by the database's clock. */
  dueInMs: number;
}

/**
 * (none) -> pending. A job whose idempotency key is taken is left out, and so does not come back.
 * A `runAt` in the past means now, so that nothing can be put in front of what already waits.
 */
export function insert(db: Executor, jobs: InsertJob[]): Promise<InsertedJob[]> {
  return db.query(sql`
    WITH input AS MATERIALIZED (
      SELECT * FROM json_to_recordset(${JSON.stringify(jobs)}::json) AS i (
        "id" uuid, "type" text, "queue" text, "priority" int, "laneId" int, "arguments" json, "runAt" timestamptz,
        "delayMs" float8, "timeoutMs" int, "maxAttempts" int, "retry" json, "uniqueKey" text, "uniqueForMs" float8,
        "expiresAt" timestamptz, "requires" json, "tags" json, "metadata" json, "userId" text,
        "idempotencyScope" text, "idempotencyKey" text, "requestHash" text)
    ), keyed AS (
      -- In the order of the keys: two batches with the same keys wait for each other instead of deadlocking.
      INSERT INTO idempotency_keys (scope, key, request_hash, job_id)
      SELECT i."idempotencyScope", i."idempotencyKey", i."requestHash", i.id
      FROM input i WHERE i."idempotencyKey" IS NOT NULL ORDER BY 1, 2
      ON CONFLICT DO NOTHING
      RETURNING job_id
    )
    INSERT INTO jobs (
      id, type, queue, priority, status, lane_id, run_at, arguments, metadata, requires, tags, user_id, unique_key,
      unique_until, expires_at, max_attempts, retry, timeout_ms, created_at, updated_at)
    SELECT
      i.id, i.type, i.queue, i.priority, 'pending', i."laneId",
      GREATEST(now(), i."runAt", now() + i."delayMs" * interval '1 ms'), i.arguments, i.metadata, i.requires,
      ARRAY(SELECT json_array_elements_text(i.tags)), i."userId", i."uniqueKey", now() + i."uniqueForMs" * interval '1 ms',
      i."expiresAt", i."maxAttempts", i.retry, i."timeoutMs", now(), now()
    FROM input i
    WHERE i."idempotencyKey" IS NULL OR i.id IN (SELECT job_id FROM keyed)
    RETURNING id, run_at AS "runAt", created_at AS "createdAt", unique_until AS "uniqueUntil",
      extract(epoch FROM run_at - now())::float8 * 1000 AS "dueInMs"`);
}

/** Where to look: a lane, and the place in it before which nothing waits, as far as is known. */
export interface LaneStart {
  laneId: number;
  priority: number;
  fromRunAt: Date | null;
  fromId: string | null;
}

/** One job that a runner would take. A runner that would take five has five slots. */
export interface Slot {
  runnerId: string;
  claimId: string | null;
  leaseMs: number;
}

export type ClaimedRow = Pick<
  JobRow,
  | 'id' | 'type' | 'queue' | 'laneId' | 'runAt' | 'arguments' | 'attempt' | 'maxAttempts' | 'timeoutMs' | 'metadata' | 'tags'
  | 'userId' | 'checkpoint'
> & {
  runnerId: string;
  leaseToken: string;
  leaseMs: number;
  leaseExpiresAt: Date;
  deadlineAt: Date;
  /** The index of its slot; for a repeated claim, of that claim's first slot. */
  slot: number;
  /** It had been claimed under this claim id before, and its answer was lost. */
  repeated: boolean;
};

const CLAIMED_COLUMNS = sql`
  j.id, j.type, j.queue, j.lane_id AS "laneId", j.run_at AS "runAt", j.arguments, j.attempt, j.max_attempts AS "maxAttempts",
  j.timeout_ms AS "timeoutMs", j.metadata, j.tags, j.user_id AS "userId", j.checkpoint, j.runner_id AS "runnerId",
  j.lease_token AS "leaseToken", j.lease_ms AS "leaseMs", j.lease_expires_at AS "leaseExpiresAt", j.deadline_at AS "deadlineAt"`;

/**
 * pending -> running, for many runners at once: fills the slots in order of priority, runAt and id. Slots of a claim
 * that was answered before get the jobs they were given then.
 */
export function claim(db: Executor, lanes: LaneStart[], slots: Slot[]): Promise<ClaimedRow[]> {
  return db.query(sql`
    WITH asked AS MATERIALIZED (
      SELECT * FROM unnest(
        ${slots.map((slot) => slot.runnerId)}::text[], ${slots.map((slot) => slot.claimId)}::text[],
        ${slots.map((slot) => slot.leaseMs)}::int[]
      ) WITH ORDINALITY AS a ("runnerId", "claimId", "leaseMs", "slot")
    ), repeated AS MATERIALIZED (
      SELECT j.id, a."slot", a."runnerId", a."claimId"
      FROM (SELECT "runnerId", "claimId", min("slot") AS "slot" FROM asked WHERE "claimId" IS NOT NULL GROUP BY 1, 2) a
      JOIN jobs j ON j.runner_id = a."runnerId" AND j.claim_id = a."claimId" AND j.status = 'running'
    ), open AS MATERIALIZED (
      SELECT a.*, row_number() OVER (ORDER BY a."slot") AS "place" FROM asked a
      WHERE NOT EXISTS (SELECT FROM repeated r WHERE r."runnerId" = a."runnerId" AND r."claimId" = a."claimId")
    ), lane AS MATERIALIZED (
      SELECT * FROM unnest(
        ${lanes.map((lane) => lane.laneId)}::int[], ${lanes.map((lane) => lane.priority)}::int[],
        ${lanes.map((lane) => lane.fromRunAt)}::timestamptz[], ${lanes.map((lane) => lane.fromId)}::uuid[]
      ) AS l ("laneId", "priority", "fromRunAt", "fromId")
    ), quota AS MATERIALIZED (
      -- How many each lane gives, seen without locking: to lock the wanted number in every lane would keep other
      -- claims from jobs that this one then leaves.
      SELECT best."laneId", best."priority", best."fromRunAt", best."fromId", count(*) AS "wanted"
      FROM (
        SELECT l.*
        FROM lane l CROSS JOIN LATERAL (
          SELECT j.run_at, j.id FROM jobs j
          WHERE j.status = 'pending' AND j.lane_id = l."laneId" AND j.run_at <= now()
            AND (j.run_at, j.id) >= (COALESCE(l."fromRunAt", '-infinity'), COALESCE(l."fromId", '00000000-0000-0000-0000-000000000000'))
          ORDER BY j.run_at, j.id LIMIT (SELECT count(*) FROM open)
        ) head
        ORDER BY l."priority" DESC, head.run_at, head.id LIMIT (SELECT count(*) FROM open)
      ) best GROUP BY 1, 2, 3, 4
    ), picked AS MATERIALIZED (
      -- Materialised: the planner may otherwise run the locking again for each row of the join and lock too much.
      SELECT head.id, row_number() OVER (ORDER BY q."priority" DESC, head.run_at, head.id) AS "place"
      FROM quota q CROSS JOIN LATERAL (
        SELECT j.run_at, j.id FROM jobs j
        WHERE j.status = 'pending' AND j.lane_id = q."laneId" AND j.run_at <= now()
          AND (j.expires_at IS NULL OR j.expires_at > now())
          AND (j.run_at, j.id) >= (COALESCE(q."fromRunAt", '-infinity'), COALESCE(q."fromId", '00000000-0000-0000-0000-000000000000'))
        ORDER BY j.run_at, j.id LIMIT q."wanted" FOR UPDATE SKIP LOCKED
      ) head
    ), claimed AS (
      UPDATE jobs j SET
        status = 'running', attempt = j.attempt + 1, runner_id = o."runnerId", claim_id = o."claimId",
        lease_token = gen_random_uuid(), lease_ms = o."leaseMs",
        lease_expires_at = now() + LEAST(o."leaseMs", j.timeout_ms * 1.25) * interval '1 ms',
        deadline_at = now() + j.timeout_ms * 1.25 * interval '1 ms',
        started_at = now(), updated_at = now(), progress = NULL, metrics = NULL
      FROM picked p JOIN open o USING ("place")
      WHERE j.id = p.id AND j.status = 'pending'
      RETURNING ${CLAIMED_COLUMNS}, o."slot"
    )
    SELECT c.*, c."slot"::int - 1 AS "slot", false AS "repeated" FROM claimed c
    UNION ALL
    SELECT ${CLAIMED_COLUMNS}, r."slot", r."slot"::int - 1, true FROM repeated r JOIN jobs j ON j.id = r.id`);
}

export interface Extend {
  jobId: string;
  leaseToken: string;
  progress?: { percent: number; message: string | null } | undefined;
  checkpoint?: Json | undefined;
}

/** running -> running: the lease is counted anew, though never past the deadline. Touches no index (a HOT update). */
export function extend(db: Executor, beats: Extend[]): Promise<{ id: string; leaseToken: string; leaseExpiresAt: Date; attempt: number; runnerId: string }[]> {
  return db.query(sql`
    WITH beat AS MATERIALIZED (
      SELECT * FROM json_to_recordset(${JSON.stringify(beats)}::json) AS b (
        "jobId" uuid, "leaseToken" uuid, "progress" json, "checkpoint" json)
    ), held AS MATERIALIZED (
      SELECT j.id FROM jobs j WHERE j.id = ANY (${beats.map((beat) => beat.jobId)}::uuid[]) AND j.status = 'running'
      ORDER BY j.id FOR UPDATE
    )
    UPDATE jobs j SET
      lease_expires_at = LEAST(now() + j.lease_ms * interval '1 ms', j.deadline_at),
      progress = CASE WHEN b.progress IS NULL THEN j.progress
        ELSE json_build_object('percent', b.progress -> 'percent', 'message', b.progress -> 'message', 'at', now()) END,
      checkpoint = COALESCE(b.checkpoint, j.checkpoint),
      updated_at = now()
    FROM beat b JOIN held ON held.id = b."jobId"
    WHERE j.id = b."jobId" AND j.status = 'running' AND j.lease_token = b."leaseToken"
    RETURNING j.id, b."leaseToken", j.lease_expires_at AS "leaseExpiresAt", j.attempt, j.runner_id AS "runnerId"`);
}

export interface Complete {
  jobId: string;
  leaseToken: string;
  /** JSON text. */
  result: string | null;
  metrics: string | null;
}

/** A job that was moved, as far as events and replies need it. */
export interface Moved {
  id: string;
  /** The token that moved it. */
  leaseToken: string;
  type: string;
  queue: string;
  userId: string | null;
  attempt: number;
  runnerId: string | null;
  status: JobStatus;
  laneId: number;
  runAt: Date;
  dueInMs: number;
}

const MOVED_COLUMNS = sql`
  j.id, j.type, j.queue, j.user_id AS "userId", j.attempt, j.runner_id AS "runnerId", j.status, j.lane_id AS "laneId",
  j.run_at AS "runAt", extract(epoch FROM j.run_at - now())::float8 * 1000 AS "dueInMs"`;

/** running -> completed. The token stays on the row, so that the same report again is recognised. */
export function complete(db: Executor, reports: Complete[]): Promise<Moved[]> {
  return db.query(sql`
    WITH report AS MATERIALIZED (
      SELECT * FROM unnest(
        ${reports.map((report) => report.jobId)}::uuid[], ${reports.map((report) => report.leaseToken)}::uuid[],
        ${reports.map((report) => report.result)}::text[], ${reports.map((report) => report.metrics)}::text[]
      ) AS r (id, "leaseToken", result, metrics)
    ), held AS MATERIALIZED (
      SELECT j.id FROM jobs j WHERE j.id = ANY (${reports.map((report) => report.jobId)}::uuid[]) AND j.status = 'running'
      ORDER BY j.id FOR UPDATE
    )
    UPDATE jobs j SET
      status = 'completed', result = r.result::json, metrics = r.metrics::json, error = NULL,
      lease_expires_at = NULL, deadline_at = NULL, checkpoint = NULL, finished_at = now(), updated_at = now()
    FROM report r JOIN held ON held.id = r.id
    WHERE j.id = r.id AND j.status = 'running' AND j.lease_token = r."leaseToken"
    RETURNING ${MOVED_COLUMNS}, r."leaseToken"`);
}

export interface Fail {
  jobId: string;
  leaseToken: string;
  outcome: 'failed' | 'timed_out';
  to: 'pending' | 'failed';
  delayMs: number;
  error: Json;
  metrics: Json | null;
}

/**
 * running -> pending (tried again after `delayMs`) or failed. The attempt's row keeps what happened and what its
 * report was answered with; after a timeout the token is taken off the job, because its runner no longer speaks for it.
 */
export function fail(db: Executor, failures: Fail[]): Promise<Moved[]> {
  return db.query(sql`
    WITH failure AS MATERIALIZED (
      SELECT * FROM json_to_recordset(${JSON.stringify(failures)}::json) AS f (
        "jobId" uuid, "leaseToken" uuid, "outcome" attempt_outcome, "to" job_status, "delayMs" float8, "error" json, "metrics" json)
    ), held AS MATERIALIZED (
      SELECT j.id, j.started_at FROM jobs j
      WHERE j.id = ANY (${failures.map((failure) => failure.jobId)}::uuid[]) AND j.status = 'running'
      ORDER BY j.id FOR UPDATE
    ), moved AS (
      UPDATE jobs j SET
        status = f."to", failures = j.failures + 1, error = f.error, metrics = f.metrics,
        run_at = CASE f."to" WHEN 'pending' THEN now() + f."delayMs" * interval '1 ms' ELSE j.run_at END,
        lease_token = CASE f.outcome WHEN 'failed' THEN j.lease_token END,
        lease_expires_at = NULL, deadline_at = NULL,
        finished_at = CASE f."to" WHEN 'failed' THEN now() END, updated_at = now()
      FROM failure f JOIN held ON held.id = f."jobId"
      WHERE j.id = f."jobId" AND j.status = 'running' AND j.lease_token = f."leaseToken"
      RETURNING ${MOVED_COLUMNS}, f.outcome, f."leaseToken", f.error, f.metrics, held.started_at
    ), kept AS (
      INSERT INTO attempts (job_id, attempt, runner_id, lease_token, started_at, finished_at, outcome, error, metrics, reply)
      SELECT m.id, m.attempt, m."runnerId", m."leaseToken", m.started_at, now(), m.outcome, m.error, m.metrics,
        json_build_object('status', m.status, 'runAt', CASE m.status WHEN 'pending' THEN m."runAt" END)
      FROM moved m
    )
    SELECT id, "leaseToken", type, queue, "userId", attempt, "runnerId", status, "laneId", "runAt", "dueInMs" FROM moved`);
}

export interface Release {
  jobId: string;
  leaseToken: string;
  delayMs: number;
  checkpoint?: Json | undefined;
}

/** running -> pending, given back by its runner: no failure is counted. */
export function release(db: Executor, releases: Release[]): Promise<Moved[]> {
  return db.query(sql`
    WITH given AS MATERIALIZED (
      SELECT * FROM json_to_recordset(${JSON.stringify(releases)}::json) AS g (
        "jobId" uuid, "leaseToken" uuid, "delayMs" float8, "checkpoint" json)
    ), held AS MATERIALIZED (
      SELECT j.id, j.started_at FROM jobs j
      WHERE j.id = ANY (${releases.map((one) => one.jobId)}::uuid[]) AND j.status = 'running'
      ORDER BY j.id FOR UPDATE
    ), moved AS (
      UPDATE jobs j SET
        status = 'pending', run_at = now() + g."delayMs" * interval '1 ms', checkpoint = COALESCE(g.checkpoint, j.checkpoint),
        lease_expires_at = NULL, deadline_at = NULL, updated_at = now()
      FROM given g JOIN held ON held.id = g."jobId"
      WHERE j.id = g."jobId" AND j.status = 'running' AND j.lease_token = g."leaseToken"
      RETURNING ${MOVED_COLUMNS}, g."leaseToken", held.started_at
    ), kept AS (
      INSERT INTO attempts (job_id, attempt, runner_id, lease_token, started_at, finished_at, outcome, reply)
      SELECT m.id, m.attempt, m."runnerId", m."leaseToken", m.started_at, now(), 'released',
        json_build_object('status', m.status, 'runAt', m."runAt")
      FROM moved m
    )
    SELECT id, "leaseToken", type, queue, "userId", attempt, "runnerId", status, "laneId", "runAt", "dueInMs" FROM moved`);
}

export interface Cancel {
  jobId: string;
  /** Only this user's job; null: anybody's. */
  userId: string | null;
  reason: string | null;
}

/** blocked, pending, running -> cancelled. A running job's lease ends with it; its attempt's row keeps the token. */
export function cancel(db: Executor, cancels: Cancel[]): Promise<JobRow[]> {
  return db.query(sql`
    WITH wanted AS MATERIALIZED (
      SELECT * FROM json_to_recordset(${JSON.stringify(cancels)}::json) AS c ("jobId" uuid, "userId" text, "reason" text)
    ), held AS MATERIALIZED (
      SELECT j.id, j.status, j.lease_token, j.attempt, j.runner_id, j.started_at
      FROM jobs j
      WHERE j.id = ANY (${cancels.map((cancel) => cancel.jobId)}::uuid[]) AND j.status IN ('blocked', 'pending', 'running')
      ORDER BY j.id FOR UPDATE
    ), moved AS (
      UPDATE jobs j SET
        status = 'cancelled', reason = c.reason, lease_token = NULL, lease_expires_at = NULL, deadline_at = NULL,
        finished_at = now(), updated_at = now()
      FROM wanted c JOIN held ON held.id = c."jobId"
      WHERE j.id = c."jobId" AND j.status IN ('blocked', 'pending', 'running')
        AND (c."userId" IS NULL OR j.user_id = c."userId")
      RETURNING ${JOB_COLUMNS}, held.status AS was, held.lease_token AS token
    ), kept AS (
      INSERT INTO attempts (job_id, attempt, runner_id, lease_token, started_at, finished_at, outcome)
      SELECT m.id, m.attempt, m."runnerId", m.token, m."startedAt", now(), 'cancelled' FROM moved m WHERE m.was = 'running'
    )
    SELECT * FROM moved`);
}

/** failed, cancelled -> pending, from the first try again; history is kept. */
export function retryByHand(db: Executor, wanted: { jobId: string; userId: string | null }[]): Promise<JobRow[]> {
  return db.query(sql`
    WITH wanted AS MATERIALIZED (
      SELECT * FROM json_to_recordset(${JSON.stringify(wanted)}::json) AS w ("jobId" uuid, "userId" text)
    ), held AS MATERIALIZED (
      SELECT j.id FROM jobs j
      WHERE j.id = ANY (${wanted.map((one) => one.jobId)}::uuid[]) AND j.status IN ('failed', 'cancelled')
      ORDER BY j.id FOR UPDATE
    )
    UPDATE jobs j SET
      status = 'pending', failures = 0, run_at = now(), reason = NULL, error = NULL, expires_at = NULL, finished_at = NULL,
      updated_at = now()
    FROM wanted w JOIN held ON held.id = w."jobId"
    WHERE j.id = w."jobId" AND j.status IN ('failed', 'cancelled') AND (w."userId" IS NULL OR j.user_id = w."userId")
    RETURNING ${JOB_COLUMNS}`);
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
      run_at = CASE WHEN ${wanted.runNow === true}::boolean THEN now()
        ELSE COALESCE(GREATEST(${wanted.runAt ?? null}::timestamptz, CASE WHEN ${wanted.runAt ?? null}::timestamptz IS NOT NULL THEN now() END), j.run_at) END,
      tags = COALESCE(${wanted.tags ?? null}::text[], j.tags),
      updated_at = now()
    WHERE j.id = ${wanted.jobId}::uuid AND j.status IN ('blocked', 'pending')
      AND (${wanted.userId}::text IS NULL OR j.user_id = ${wanted.userId}::text)
    RETURNING ${JOB_COLUMNS}`);
}

/** Finished -> gone, with attempts, logs and keys. */
export function remove(db: Executor, jobId: string): Promise<{ id: string }[]> {
  return db.query(sql`
    DELETE FROM jobs WHERE id = ${jobId}::uuid AND status IN ('completed', 'failed', 'cancelled') RETURNING id`);
}
