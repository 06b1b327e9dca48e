import type { JobFilter, LogLevel } from '@baton/runner-sdk/protocol';
import { Prisma } from '../../generated/prisma/client';
import { type Executor, type Sql, sql } from '../db';
import { JOB_COLUMNS, type JobRow, listedColumns, type ListedJobRow, type ListedValues } from '../jobs';
import { searched } from './slow-filter';
import { type Counted, withinBytes } from './within-bytes';

// Reads. The user whose jobs may be seen comes first everywhere; null sees all.

export async function get(db: Executor, userId: string | null, jobId: string): Promise<JobRow | null> {
  const rows = await getMany(db, userId, [jobId]);
  return rows[0] ?? null;
}

export function getMany(db: Executor, userId: string | null, jobIds: string[]): Promise<JobRow[]> {
  return db.query(sql`
    SELECT ${JOB_COLUMNS} FROM jobs j
    WHERE j.id = ANY (${jobIds}::uuid[]) AND (${userId}::text IS NULL OR j.user_id = ${userId}::text)`);
}

/** Newest first; `before` is the last id of the page before. Large values are left out, unless they are asked for. */
export function page(
  db: Executor,
  userId: string | null,
  filter: JobFilter,
  before: string | null,
  limit: number,
  values?: ListedValues,
): Promise<(ListedJobRow & Counted)[]> {
  const chosen = sql`
    SELECT ${listedColumns(values)} FROM (
      SELECT * FROM jobs j
      WHERE ${matching(userId, filter)} ${before === null ? Prisma.empty : sql`AND j.id < ${before}::uuid`}
      ORDER BY j.id DESC LIMIT ${limit}
    ) j`;
  return searched(userId, filter, () => db.query(withinBytes(chosen, sql`p.id DESC`)));
}

/** Ids of jobs that match, oldest first, after `after`: one batch of a verb in bulk. */
export async function ids(
  db: Executor,
  userId: string | null,
  filter: JobFilter,
  after: string | null,
  limit: number,
): Promise<string[]> {
  const batch = sql`
    SELECT j.id FROM jobs j
    WHERE ${matching(userId, filter)} ${after === null ? Prisma.empty : sql`AND j.id > ${after}::uuid`}
    ORDER BY j.id LIMIT ${limit}`;
  const rows = await searched(userId, filter, () => db.query<{ id: string }>(batch));
  return rows.map((row) => row.id);
}

/** At most `most`, so that no more than that are walked over. */
export async function count(db: Executor, userId: string | null, filter: JobFilter, most: number): Promise<number> {
  const counted = sql`SELECT count(*)::int AS count FROM (SELECT 1 FROM jobs j WHERE ${matching(userId, filter)} LIMIT ${most}) found`;
  const [row] = await searched(userId, filter, () => db.query<{ count: number }>(counted));
  return row?.count ?? 0;
}

/** The condition for a job, `j`, to match. */
export function matching(userId: string | null, filter: JobFilter): Sql {
  const conditions = [sql`true`];
  if (userId !== null) conditions.push(sql`j.user_id = ${userId}`);
  if (filter.id !== undefined) conditions.push(sql`j.id = ANY (${filter.id}::uuid[])`);
  if (filter.status !== undefined) conditions.push(sql`j.status = ANY (${filter.status}::job_status[])`);
  if (filter.type !== undefined) conditions.push(sql`j.type = ANY (${filter.type}::text[])`);
  if (filter.queue !== undefined) conditions.push(sql`j.queue = ANY (${filter.queue}::text[])`);
  if (filter.userId !== undefined) conditions.push(sql`j.user_id = ANY (${filter.userId}::text[])`);
  if (filter.tag !== undefined) conditions.push(sql`j.tags && ${filter.tag}::text[]`);
  if (filter.runnerId !== undefined) conditions.push(sql`j.runner_id = ANY (${filter.runnerId}::text[])`);
  if (filter.scheduleId !== undefined)
    conditions.push(sql`j.schedule_id = ANY (${filter.scheduleId}::uuid[]) AND j.schedule_id IS NOT NULL`);
  if (filter.fingerprint !== undefined) conditions.push(sql`j.fingerprint = ANY (${filter.fingerprint}::text[])`);
  if (filter.priority !== undefined) {
    conditions.push(sql`j.priority = ANY (${filter.priority}::smallint[])`);
    // Said for the sake of the index of those that have another than most.
    if (!filter.priority.includes(0)) conditions.push(sql`j.priority <> 0`);
  }
  if (filter.concurrencyKey !== undefined)
    conditions.push(sql`j.concurrency_key = ANY (${filter.concurrencyKey}::text[]) AND j.concurrency_key IS NOT NULL`);
  if (filter.orderKey !== undefined)
    conditions.push(sql`j.order_key = ANY (${filter.orderKey}::text[]) AND j.order_key IS NOT NULL`);
  if (filter.uniqueKey !== undefined)
    conditions.push(sql`j.unique_key = ANY (${filter.uniqueKey}::text[]) AND j.unique_key IS NOT NULL`);
  if (filter.finishedAfter !== undefined || filter.finishedBefore !== undefined) {
    conditions.push(sql`j.finished_at IS NOT NULL`);
    // The index of what is over begins with queue and status.
    if (filter.queue === undefined) conditions.push(sql`j.queue = ANY (ARRAY(SELECT DISTINCT l.queue FROM lanes l))`);
    if (filter.status === undefined) conditions.push(sql`j.status IN ('completed', 'failed', 'cancelled')`);
  }
  if (filter.finishedAfter !== undefined) conditions.push(sql`j.finished_at > ${filter.finishedAfter}::timestamptz`);
  if (filter.finishedBefore !== undefined) conditions.push(sql`j.finished_at < ${filter.finishedBefore}::timestamptz`);
  if (filter.createdAfter !== undefined) conditions.push(sql`j.created_at > ${filter.createdAfter}::timestamptz`);
  if (filter.createdBefore !== undefined) conditions.push(sql`j.created_at < ${filter.createdBefore}::timestamptz`);
  if (filter.arguments !== undefined)
    conditions.push(sql`j.arguments::jsonb @> ${JSON.stringify(filter.arguments)}::jsonb`);
  return Prisma.join(conditions, ' AND ');
}

/** Which of these have finished; those that are gone count as finished. */
export async function finished(db: Executor, jobIds: string[]): Promise<string[]> {
  const rows = await db.query<{ id: string }>(sql`
    SELECT w.id::text FROM unnest(${jobIds}::uuid[]) AS w (id)
    -- Not EXISTS, which a plan that was made while there were few jobs answers by reading all of them.
    WHERE (SELECT true FROM jobs j WHERE j.id = w.id AND j.status::text IN ('blocked', 'pending', 'running') LIMIT 1) IS NULL`);
  return rows.map((row) => row.id);
}

export interface AttemptRow {
  attempt: number;
  runnerId: string;
  startedAt: Date;
  finishedAt: Date | null;
  outcome: 'running' | 'completed' | 'failed' | 'timed_out' | 'released' | 'cancelled';
  error: unknown;
  metrics: unknown;
  lateResult: unknown;
}

/** Attempts of a job after one, oldest first: those kept apart, and the one on the job's own row, which runs or completed. */
export function attempts(db: Executor, jobId: string, after: number, limit: number): Promise<(AttemptRow & Counted)[]> {
  const chosen = sql`
    SELECT a.*, 300 + COALESCE(octet_length(a.error::text), 0) + COALESCE(octet_length(a."lateResult"::text), 0) AS bytes FROM (
      SELECT a.attempt, a.runner_id AS "runnerId", a.started_at AS "startedAt", a.finished_at AS "finishedAt",
        a.outcome::text AS outcome, a.error, a.metrics, a.late_result AS "lateResult"
      FROM attempts a WHERE a.job_id = ${jobId}::uuid AND a.attempt > ${after}::int
      UNION ALL
      SELECT j.attempt, j.runner_id, j.started_at, j.finished_at, j.status::text, NULL, j.metrics, NULL
      FROM jobs j WHERE j.id = ${jobId}::uuid AND j.status IN ('running', 'completed') AND j.attempt > ${after}::int
      ORDER BY attempt LIMIT ${limit}
    ) a`;
  return db.query(withinBytes(chosen, sql`p.attempt`));
}

export interface LogRow {
  seq: string;
  at: Date;
  level: LogLevel;
  message: string;
  fields: unknown;
  attempt: number;
}

export function logs(
  db: Executor,
  jobId: string,
  after: number,
  levels: LogLevel[],
  limit: number,
): Promise<(LogRow & Counted)[]> {
  const chosen = sql`
    SELECT l.seq, l.at, l.level, l.message, l.fields, l.attempt,
      200 + octet_length(l.message) + COALESCE(octet_length(l.fields::text), 0) AS bytes
    FROM job_logs l
    WHERE l.job_id = ${jobId}::uuid AND l.seq > ${after} AND l.level = ANY (${levels}::log_level[])
    ORDER BY l.seq LIMIT ${limit}`;
  return db.query(withinBytes(chosen, sql`p.seq`));
}
