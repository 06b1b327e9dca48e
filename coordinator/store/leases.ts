import type { RetryPolicy } from '@baton/runner-sdk/protocol';
import { type Executor, sql } from './db';
import { type JobRow, STILL_RUNNING } from './jobs';

/** The fields that decide what a failure of a running job leads to. */
export interface LeasedJob {
  id: string;
  type: string;
  leaseToken: string;
  attempt: number;
  failures: number;
  maxAttempts: number;
  retry: RetryPolicy | null;
  runnerId: string;
}

const LEASED_COLUMNS = sql`
  j.id, j.type, j.lease_token AS "leaseToken", j.attempt, j.failures, j.max_attempts AS "maxAttempts", j.retry,
  j.runner_id AS "runnerId"`;

export function findLeased(db: Executor, jobIds: string[]): Promise<LeasedJob[]> {
  return db.query(sql`SELECT ${LEASED_COLUMNS} FROM jobs j WHERE j.id = ANY (${jobIds}::uuid[]) AND ${STILL_RUNNING}`);
}

export interface ExpiredLease extends LeasedJob {
  /** Which clock ran out first. */
  cause: 'lease' | 'deadline';
}

/**
 * Locks running jobs whose lease or deadline has passed, skipping those that another coordinator has locked. It reads
 * the whole index of running jobs, because the column that heartbeats write is in no index. Only leases of at most
 * `mostLeaseMs` are considered.
 */
export function lockExpiredLeases(
  transaction: Executor,
  limit: number,
  mostLeaseMs = Number.MAX_SAFE_INTEGER,
): Promise<ExpiredLease[]> {
  return transaction.query(sql`
    SELECT ${LEASED_COLUMNS}, CASE WHEN j.deadline_at <= now() THEN 'deadline' ELSE 'lease' END AS cause
    FROM jobs j
    WHERE j.status = 'running' AND (j.lease_expires_at <= now() OR j.deadline_at <= now())
      AND j.lease_ms <= ${mostLeaseMs}::float8
    LIMIT ${limit} FOR UPDATE SKIP LOCKED`);
}

/** Whether there is anything for the two functions below, in one statement. */
export async function findOverdue(db: Executor): Promise<{ hasExpiredLeases: boolean; hasExpiredJobs: boolean }> {
  const [row] = await db.query<{ hasExpiredLeases: boolean; hasExpiredJobs: boolean }>(sql`
    SELECT
      EXISTS (SELECT FROM jobs j
        WHERE j.status = 'running' AND (j.lease_expires_at <= now() OR j.deadline_at <= now())) AS "hasExpiredLeases",
      EXISTS (SELECT FROM jobs j WHERE j.status IN ('pending', 'blocked') AND j.expires_at IS NOT NULL
        AND j.expires_at <= now()) AS "hasExpiredJobs"`);
  return row ?? { hasExpiredLeases: false, hasExpiredJobs: false };
}

/** Locks waiting jobs that were not started before they expired. */
export function lockExpiredJobs(transaction: Executor, limit: number): Promise<{ id: string }[]> {
  return transaction.query(sql`
    SELECT j.id FROM jobs j
    WHERE j.status IN ('pending', 'blocked') AND j.expires_at IS NOT NULL AND j.expires_at <= now()
    ORDER BY j.expires_at LIMIT ${limit} FOR UPDATE SKIP LOCKED`);
}

/**
 * All that is known about a token that moved nothing: the job's current state, and how the token's own attempt ended.
 */
export interface TokenTrace extends Pick<JobRow, 'id' | 'status' | 'attempt' | 'runAt'> {
  /** The attempt's result, read only if it is no longer than what was reported, and so may be the same. */
  result: unknown;
  /** The result is longer than what was reported, and so differs. */
  isLonger: boolean;
  leaseToken: string | null;
  /** The token that was asked about. */
  askedToken: string;
  /** The attempt that the token was given for, if it has a row of its own. */
  past: {
    attempt: number;
    outcome: string;
    /** Null also if it is longer than what was reported, and so differs. */
    error: unknown;
    reply: { status: string; runAt: string | null } | null;
  } | null;
}

/** A report without a result equals one whose result is null. */
const NULL_BYTES = 4;

/**
 * @param tokens each once, with the size as JSON, in bytes, of the result or error that was reported: longer stored
 * ones need not be read to be told apart
 */
export function traceTokens(
  db: Executor,
  tokens: { jobId: string; leaseToken: string; bytes?: number }[],
): Promise<TokenTrace[]> {
  return db.query(sql`
    SELECT j.id, j.status, j.attempt, j.run_at AS "runAt", j.lease_token AS "leaseToken",
      t."leaseToken" AS "askedToken",
      -- A large result is read even to be measured, so only for the token that it was reported with.
      CASE WHEN j.lease_token = t."leaseToken" AND octet_length(j.result::text) <= t.bytes THEN j.result END AS result,
      CASE WHEN j.lease_token = t."leaseToken" THEN COALESCE(octet_length(j.result::text) > t.bytes, false) ELSE false
        END AS "isLonger",
      (SELECT json_build_object('attempt', a.attempt, 'outcome', a.outcome,
          'error', CASE WHEN octet_length(a.error::text) <= t.bytes THEN a.error END, 'reply', a.reply)
       FROM attempts a WHERE a.job_id = j.id AND a.lease_token = t."leaseToken") AS past
    FROM unnest(
      ${tokens.map((one) => one.jobId)}::uuid[], ${tokens.map((one) => one.leaseToken)}::uuid[],
      ${tokens.map((one) => Math.max(one.bytes ?? 0, NULL_BYTES))}::int[]
    ) AS t ("jobId", "leaseToken", bytes)
    JOIN jobs j ON j.id = t."jobId"
    -- The ids are listed as well, so that a plan made while there were few jobs does not read all of them.
    WHERE j.id = ANY (${tokens.map((one) => one.jobId)}::uuid[])`);
}

/** Stores what a runner reported too late, once per attempt. */
export function keepLate(
  db: Executor,
  late: { jobId: string; leaseToken: string; outcome: string; result: unknown; error: unknown }[],
): Promise<unknown[]> {
  return db.query(sql`
    UPDATE attempts a SET late_result =
      json_build_object('outcome', l.outcome, 'result', l.result, 'error', l.error, 'at',
        to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
    FROM json_to_recordset(${JSON.stringify(late)}::json) AS l ("jobId" uuid, "leaseToken" uuid, "outcome" text,
      "result" json, "error" json)
    -- The ids are listed as well, so that a plan made while there were no attempts does not read all of them.
    WHERE a.job_id = ANY (${late.map((one) => one.jobId)}::uuid[]) AND a.job_id = l."jobId"
      AND a.lease_token = l."leaseToken" AND a.late_result IS NULL
      AND a.outcome IN ('timed_out', 'cancelled', 'released')`);
}

/**
 * Jobs outside these queues or types; null means all of them, an empty list none. A job's queue and type never change.
 */
export function findOutOfScope(
  db: Executor,
  jobIds: string[],
  { queues, types }: { queues: string[] | null; types: string[] | null },
): Promise<{ id: string }[]> {
  return db.query(sql`
    SELECT j.id FROM jobs j
    WHERE j.id = ANY (${jobIds}::uuid[]) AND (
      (${queues}::text[] IS NOT NULL AND j.queue <> ALL (${queues}::text[]))
      OR (${types}::text[] IS NOT NULL AND j.type <> ALL (${types}::text[])))`);
}
