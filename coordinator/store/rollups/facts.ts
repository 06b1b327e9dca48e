import { Prisma } from '../../generated/prisma/client';
import { type Sql, sql } from '../db';
import { FINISHED_QUEUES } from '../queues';

// A fact is the end of an attempt, the end of a job, or, mostly, both. Each is derived from the one row that records
// it:
// - the row of a completed job records the job and its last attempt;
// - the row of an attempt records that it failed, timed out, was released or cancelled, and whether its job ended with
//   it;
// - the row of a cancelled job records the job when none of its attempts ended with it.
// So a manual retry loses only a fact of the last kind, and deleting a job loses all of its facts.

/** Bins of durations in milliseconds and of memory in bytes: bin n ends at 1.1 ^ n, bin 0 at 1. */
export const BIN_GROWTH = 1.1;
/** The last bin ends above the largest memory peak that a runner can report. */
const MOST_BINS = Prisma.raw('400');
const LOG_GROWTH = Prisma.raw(String(Math.log(BIN_GROWTH)));

/**
 * The three kinds of facts, from these sources of rows: `jobs` in the alias `j`, or `attempts` in `a` with its job in
 * `j`. Returns the columns of `rollup_strays`.
 */
export function factsFrom(sources: { completed: Sql; ended: Sql; cancelled: Sql }): Sql {
  return sql`
    SELECT j.finished_at AS at, j.queue, j.type, j.user_id, j.runner_id, 'completed'::attempt_outcome AS outcome,
      'completed'::job_status AS ending,
      false AS is_retried, ${ms(sql`j.started_at - j.run_at`)} AS wait_ms,
      ${ms(sql`j.finished_at - j.started_at`)} AS run_ms, ${measured(sql`j.metrics`)}
    FROM ${sources.completed}
    UNION ALL
    SELECT a.finished_at, j.queue, j.type, j.user_id, a.runner_id, a.outcome,
      CASE WHEN a.outcome = 'cancelled' THEN 'cancelled'::job_status WHEN ${FAILED}
        AND a.reply ->> 'status' = 'failed' THEN 'failed'::job_status END,
      ${FAILED} AND a.reply ->> 'status' = 'pending', ${ms(sql`a.started_at - a.due_at`)},
      ${ms(sql`a.finished_at - a.started_at`)}, ${measured(sql`a.metrics`)}
    FROM ${sources.ended}
    UNION ALL
    SELECT j.finished_at, j.queue, j.type, j.user_id, NULL, NULL, 'cancelled'::job_status, false, NULL, NULL, NULL,
      NULL, NULL
    FROM ${sources.cancelled}`;
}

/** For a cancelled job `j`: none of its attempts ended with it. */
export const NONE_RAN = sql`(${endedWith(sql`j.id`, sql`j.finished_at`)}) IS NULL`;

/**
 * Whether an attempt of a job was cancelled at this time, as true or null. Searched by job and not by time, because all
 * jobs that one statement cancelled have the same time.
 */
export function endedWith(jobId: Sql, at: Sql): Sql {
  return sql`SELECT true FROM attempts c WHERE c.job_id = ${jobId} AND c.outcome = 'cancelled'
      AND c.finished_at IS NOT DISTINCT FROM ${at} LIMIT 1`;
}

/** The sources of all facts within a time span. Needs a CTE `known` with the names of all queues. */
export function factsWithin(from: Sql, to: Sql): Sql {
  const within = (column: Sql): Sql => sql`${column} >= ${from} AND ${column} < ${to}`;
  const over = (status: Sql): Sql => sql`known k CROSS JOIN ${statuses(status)} CROSS JOIN LATERAL (
    SELECT o.* FROM jobs o WHERE o.queue = k.name AND o.status = s.status AND ${within(sql`o.finished_at`)}) j`;
  return factsFrom({
    completed: over(sql`'completed'`),
    ended: sql`attempts a JOIN jobs j ON j.id = a.job_id WHERE ${within(sql`a.finished_at`)}`,
    cancelled: sql`${over(sql`'cancelled'`)} WHERE ${NONE_RAN}`,
  });
}

/** Only the times of these facts; some cancelled jobs appear twice. Needs the CTE `known`. */
export function timesWithin(from: Sql, to: Sql): Sql {
  return sql`
    SELECT o.finished_at AS at FROM known k CROSS JOIN ${statuses(sql`'completed', 'cancelled'`)} CROSS JOIN LATERAL (
      SELECT j.finished_at FROM jobs j WHERE j.queue = k.name AND j.status = s.status AND j.finished_at >= ${from}
        AND j.finished_at < ${to} ORDER BY 1) o
    UNION ALL
    SELECT a.finished_at FROM attempts a WHERE a.finished_at >= ${from} AND a.finished_at < ${to}
    UNION ALL
    SELECT s.at FROM rollup_strays s WHERE s.at >= ${from} AND s.at < ${to}`;
}

/**
 * A table `s` with a row per status instead of a constant, so that the planner cannot use an index of all cancelled
 * jobs.
 */
export function statuses(list: Sql): Sql {
  return sql`unnest(ARRAY[${list}]::job_status[]) s (status)`;
}

/** Every queue with finished jobs. */
export const KNOWN = sql`known AS MATERIALIZED (SELECT q.name FROM ${FINISHED_QUEUES} q)`;

/**
 * Columns of a row of `rollups`, from the facts `f` of one bin of each histogram: grouped so, the many facts of a busy
 * minute are read once. If a transaction began before a claim and ended the job after it, its time is the earlier one,
 * so a duration may be negative and counts as 0.
 */
export const CELL_COLUMNS = sql`
  count(*) FILTER (WHERE f.ending = 'completed') AS jobs_completed,
  count(*) FILTER (WHERE f.ending = 'failed') AS jobs_failed,
  count(*) FILTER (WHERE f.ending = 'cancelled') AS jobs_cancelled,
  count(*) FILTER (WHERE f.outcome = 'failed') AS attempts_failed,
  count(*) FILTER (WHERE f.outcome = 'timed_out') AS attempts_timed_out,
  count(*) FILTER (WHERE f.outcome = 'released') AS attempts_released,
  count(*) FILTER (WHERE f.outcome = 'cancelled') AS attempts_cancelled,
  count(*) FILTER (WHERE f.is_retried) AS retries,
  COALESCE(sum(GREATEST(f.wait_ms, 0)), 0) AS wait_ms, COALESCE(sum(GREATEST(f.run_ms, 0)), 0) AS run_ms,
  COALESCE(sum(f.memory_peak_bytes), 0) AS memory_bytes, max(f.memory_peak_bytes) AS memory_peak_bytes,
  COALESCE(sum(f.cpu_ms), 0) AS cpu_ms, COALESCE(sum(f.cost), 0) AS cost, count(*) AS facts`;

/** The columns that are summed when rows are merged. */
export const SUMS = [
  'jobs_completed',
  'jobs_failed',
  'jobs_cancelled',
  'attempts_failed',
  'attempts_timed_out',
  'attempts_released',
  'attempts_cancelled',
  'retries',
  'wait_ms',
  'run_ms',
  'memory_bytes',
  'cpu_ms',
  'cost',
] as const;

/** The histograms: `<name>_bins` and `<name>_counts` in a row of `rollups`. */
export const HISTOGRAMS = ['wait', 'run', 'memory'] as const;

/** The bins of a fact `f`, as `<name>_bin`. */
export const FACT_BINS = sql`${binOf(sql`f.wait_ms`)} AS wait_bin, ${binOf(sql`f.run_ms`)} AS run_bin,
  ${binOf(sql`f.memory_peak_bytes`)} AS memory_bin`;

function binOf(value: Sql): Sql {
  return sql`CASE WHEN ${value} IS NULL THEN NULL WHEN ${value} <= 1 THEN 0
    ELSE LEAST(${MOST_BINS}, ceil(ln(${value}) / ${LOG_GROWTH}))::smallint END`;
}

const FAILED = sql`a.outcome IN ('failed', 'timed_out')`;

function ms(interval: Sql): Sql {
  return sql`extract(epoch FROM ${interval})::float8 * 1000`;
}

function measured(metrics: Sql): Sql {
  return sql`(${metrics} ->> 'cpuMs')::float8 AS cpu_ms,
      (${metrics} ->> 'memoryPeakBytes')::float8 AS memory_peak_bytes, (${metrics} ->> 'cost')::float8 AS cost`;
}
