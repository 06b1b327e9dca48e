import type { JobFilter, LogLevel } from '@baton/runner-sdk/protocol';
import { Prisma } from '../../generated/prisma/client';
import { type Executor, type Sql, sql } from '../db';
import { JOB_COLUMNS, type JobRow, listedColumns, type ListedJobRow, type ListedValues } from '../jobs';
import { searched } from './slow-filter';
import { type Counted, withinBytes } from './within-bytes';

// Reads. The first argument after the database is the user whose jobs may be seen; null: all.

export async function get(db: Executor, userId: string | null, jobId: string): Promise<JobRow | null> {
  const rows = await getMany(db, userId, [jobId]);
  return rows[0] ?? null;
}

export function getMany(db: Executor, userId: string | null, jobIds: string[]): Promise<JobRow[]> {
  return db.query(sql`
    SELECT ${JOB_COLUMNS} FROM jobs j
    WHERE j.id = ANY (${jobIds}::uuid[]) AND (${userId}::text IS NULL OR j.user_id = ${userId}::text)`);
}

/** Newest first; `before` is the last id of the previous page. Large values are left out unless they are requested. */
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

/** Ids of matching jobs, oldest first, after `after`: one batch of a bulk verb. */
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

/** Number of matching jobs, counted up to `most`, so that no more rows are read. */
export async function count(db: Executor, userId: string | null, filter: JobFilter, most: number): Promise<number> {
  const counted = sql`SELECT count(*)::int AS count
      FROM (SELECT 1 FROM jobs j WHERE ${matching(userId, filter)} LIMIT ${most}) found`;
  const [row] = await searched(userId, filter, () => db.query<{ count: number }>(counted));
  return row?.count ?? 0;
}

/** Whether job `j` matches. */
export function matching(userId: string | null, filter: JobFilter): Sql {
  const conditions = [
    userId === null ? null : sql`j.user_id = ${userId}`,
    ...SIMPLE_FILTERS.map((condition) => condition(filter)),
    ...priorityConditions(filter),
    ...finishedConditions(filter),
  ].filter((condition) => condition !== null);
  return conditions.length === 0 ? sql`true` : Prisma.join(conditions, ' AND ');
}

/**
 * A condition for each field that is compared on its own. A partial index is used only if its condition is spelled out.
 */
const SIMPLE_FILTERS: readonly ((filter: JobFilter) => Sql | null)[] = [
  given('id', (ids) => sql`j.id = ANY (${ids}::uuid[])`),
  given('status', (statuses) => sql`j.status = ANY (${statuses}::job_status[])`),
  given('type', (types) => sql`j.type = ANY (${types}::text[])`),
  given('queue', (queues) => sql`j.queue = ANY (${queues}::text[])`),
  given('userId', (userIds) => sql`j.user_id = ANY (${userIds}::text[])`),
  given('tag', (tags) => sql`j.tags && ${tags}::text[]`),
  given('runnerId', (runnerIds) => sql`j.runner_id = ANY (${runnerIds}::text[])`),
  given('batchId', (ids) => sql`j.batch_id = ANY (${ids}::uuid[]) AND j.batch_id IS NOT NULL`),
  given('workflowId', (ids) => sql`j.workflow_id = ANY (${ids}::uuid[]) AND j.workflow_id IS NOT NULL`),
  given('scheduleId', (ids) => sql`j.schedule_id = ANY (${ids}::uuid[]) AND j.schedule_id IS NOT NULL`),
  given('fingerprint', (fingerprints) => sql`j.fingerprint = ANY (${fingerprints}::text[])`),
  given('concurrencyKey', (keys) => sql`j.concurrency_key = ANY (${keys}::text[]) AND j.concurrency_key IS NOT NULL`),
  given('orderKey', (keys) => sql`j.order_key = ANY (${keys}::text[]) AND j.order_key IS NOT NULL`),
  given('uniqueKey', (keys) => sql`j.unique_key = ANY (${keys}::text[]) AND j.unique_key IS NOT NULL`),
  given('finishedAfter', (time) => sql`j.finished_at > ${time}::timestamptz`),
  given('finishedBefore', (time) => sql`j.finished_at < ${time}::timestamptz`),
  given('createdAfter', (time) => sql`j.created_at > ${time}::timestamptz`),
  given('createdBefore', (time) => sql`j.created_at < ${time}::timestamptz`),
  given('arguments', (part) => sql`j.arguments::jsonb @> ${JSON.stringify(part)}::jsonb`),
];

function given<Name extends keyof JobFilter>(
  name: Name,
  condition: (value: NonNullable<JobFilter[Name]>) => Sql,
): (filter: JobFilter) => Sql | null {
  return ({ [name]: value }) => (value === undefined || value === null ? null : condition(value));
}

/** The index by priority contains only jobs with a priority other than 0, and is used only if the condition says so. */
function priorityConditions({ priority }: JobFilter): Sql[] {
  if (priority === undefined) return [];
  const isListed = sql`j.priority = ANY (${priority}::smallint[])`;
  return priority.includes(0) ? [isListed] : [isListed, sql`j.priority <> 0`];
}

/** The index of finished jobs begins with queue and status, so both are named where the filter does not. */
function finishedConditions({ finishedAfter, finishedBefore, queue, status }: JobFilter): Sql[] {
  if (finishedAfter === undefined && finishedBefore === undefined) return [];
  return [
    sql`j.finished_at IS NOT NULL`,
    ...(queue === undefined ? [sql`j.queue = ANY (ARRAY(SELECT DISTINCT l.queue FROM lanes l))`] : []),
    ...(status === undefined ? [sql`j.status IN ('completed', 'failed', 'cancelled')`] : []),
  ];
}

/** Which of these jobs and workflows have finished; deleted ones count as finished. */
export async function finished(db: Executor, jobIds: string[]): Promise<string[]> {
  const rows = await db.query<{ id: string }>(sql`
    SELECT w.id::text FROM unnest(${jobIds}::uuid[]) AS w (id)
    -- Not EXISTS: a plan made while there were few jobs would read all of them.
    WHERE (SELECT true FROM jobs j WHERE j.id = w.id AND j.status::text IN ('blocked', 'pending', 'running')
      LIMIT 1) IS NULL
      AND (SELECT true FROM batches b WHERE b.id = w.id AND b.finished_at IS NULL) IS NULL`);
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

/**
 * Attempts of a job after the given one, oldest first: those with rows of their own, and the one in the job's row,
 * which is running or completed.
 */
export function attempts(db: Executor, jobId: string, after: number, limit: number): Promise<(AttemptRow & Counted)[]> {
  const chosen = sql`
    SELECT a.*, 300 + COALESCE(octet_length(a.error::text), 0) + COALESCE(octet_length(a."lateResult"::text),
      0) AS bytes FROM (
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
