import { type Executor, sql } from '../db';
import { READY_LANES } from '../lanes';
import { FINISHED_QUEUES, type QueueRow } from '../queues';

export interface QueueStatistics {
  name: string;
  waiting: number;
  running: number;
  oldestAgeMs: number | null;
  inPerMinute: number;
  outPerMinute: number;
}

/**
 * Depth and rates of every queue that has jobs or settings, or of one queue. Waiting jobs are counted in the indexes of
 * ready, not yet due and held jobs; jobs of the last minute are found by id, which begins with the time, and by when
 * they finished.
 */
export function statistics(db: Executor, only: string | null): Promise<QueueStatistics[]> {
  return db.query(sql`
    WITH in_turn AS MATERIALIZED (
      SELECT l.queue, sum(counted.jobs)::int AS jobs, min(counted.since) AS since
      FROM ${READY_LANES} l CROSS JOIN LATERAL (
        SELECT count(*) AS jobs, min(j.run_at) AS since FROM jobs j
        WHERE j.status = 'pending' AND j.position IS NOT NULL AND j.lane_id = l.lane_id
      ) counted
      WHERE ${only}::text IS NULL OR l.queue = ${only}::text GROUP BY 1
    ), later AS MATERIALIZED (
      SELECT j.queue, count(*)::int AS jobs FROM jobs j
      WHERE j.status = 'pending' AND j.position IS NULL AND j.hold IS NULL
        AND (${only}::text IS NULL OR j.queue = ${only}::text) GROUP BY 1
    ), held AS MATERIALIZED (
      SELECT h.queue, count(*)::int AS jobs, min(h.run_at) FILTER (WHERE h.run_at <= now()) AS since FROM (
        SELECT j.queue, j.run_at FROM jobs j WHERE j.hold = 'key' UNION ALL SELECT j.queue, j.run_at FROM jobs j
        WHERE j.hold = 'order') h
      WHERE ${only}::text IS NULL OR h.queue = ${only}::text GROUP BY 1
    ), running AS MATERIALIZED (
      SELECT j.queue, count(*)::int AS jobs FROM jobs j
      WHERE j.status = 'running' AND (${only}::text IS NULL OR j.queue = ${only}::text) GROUP BY 1
    ), known AS MATERIALIZED (
      SELECT q.name FROM (
        SELECT l.queue AS name FROM lanes l UNION SELECT name FROM queues UNION SELECT f.name FROM ${FINISHED_QUEUES} f
        UNION SELECT queue FROM in_turn UNION SELECT queue FROM later UNION SELECT queue FROM held UNION SELECT queue
        FROM running
      ) q
      WHERE ${only}::text IS NULL OR q.name = ${only}::text
    ), created AS MATERIALIZED (
      SELECT j.queue, count(*)::int AS jobs FROM jobs j
      WHERE j.id > ${idAt(-60_000)}::uuid AND j.created_at > now() - interval '1 minute'
        AND (${only}::text IS NULL OR j.queue = ${only}::text) GROUP BY 1
    ), finished AS MATERIALIZED (
      SELECT k.name AS queue, ended.jobs FROM known k CROSS JOIN LATERAL (
        SELECT count(*)::int AS jobs FROM jobs j
        WHERE j.queue = k.name AND j.status IN ('completed', 'failed', 'cancelled')
          AND j.finished_at > now() - interval '1 minute'
      ) ended
    )
    SELECT k.name, COALESCE(t.jobs, 0) + COALESCE(l.jobs, 0) + COALESCE(h.jobs, 0) AS waiting,
      COALESCE(r.jobs, 0) AS running,
      extract(epoch FROM now() - LEAST(t.since, h.since))::float8 * 1000 AS "oldestAgeMs",
      COALESCE(c.jobs, 0) AS "inPerMinute", COALESCE(f.jobs, 0) AS "outPerMinute"
    FROM known k LEFT JOIN in_turn t ON t.queue = k.name LEFT JOIN later l ON l.queue = k.name
    LEFT JOIN held h ON h.queue = k.name
      LEFT JOIN running r ON r.queue = k.name LEFT JOIN created c ON c.queue = k.name
      LEFT JOIN finished f ON f.queue = k.name
    ORDER BY k.name`);
}

/** Mean run time of this queue's jobs, from the last 200 that completed within the hour; null: none did. */
export async function meanRunMs(db: Executor, queue: string): Promise<number | null> {
  const [row] = await db.query<{ mean: number | null }>(sql`
    SELECT avg(extract(epoch FROM own.finished_at - own.started_at) * 1000)::float8 AS mean FROM (
      SELECT j.finished_at, j.started_at FROM jobs j
      WHERE j.queue = ${queue} AND j.status = 'completed' AND j.finished_at > now() - interval '1 hour'
      ORDER BY j.finished_at DESC LIMIT 200) own`);
  return row?.mean ?? null;
}

/** The same for every queue with completed jobs. */
export async function meanRunsMs(db: Executor): Promise<Map<string, number>> {
  const rows = await db.query<{ queue: string; mean: number }>(sql`
    SELECT k.name AS queue, lately.mean FROM ${FINISHED_QUEUES} k CROSS JOIN LATERAL (
      SELECT avg(extract(epoch FROM l.finished_at - l.started_at) * 1000)::float8 AS mean FROM (
        SELECT j.finished_at, j.started_at FROM jobs j
        WHERE j.queue = k.name AND j.status = 'completed' AND j.finished_at > now() - interval '1 hour'
        ORDER BY j.finished_at DESC LIMIT 200) l
    ) lately WHERE lately.mean IS NOT NULL`);
  return new Map(rows.map(({ queue, mean }) => [queue, mean]));
}

/** The smallest UUIDv7 of a time, minus one minute for coordinators whose clocks differ. */
function idAt(offsetMs: number): string {
  const hex = Math.max(0, Date.now() + offsetMs - 60_000)
    .toString(16)
    .padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
}

const PAUSE_COLUMNS = sql`
  CASE WHEN q.paused_until <= now() THEN NULL ELSE q.paused_by END AS "pausedBy",
  CASE WHEN q.paused_until <= now() THEN NULL ELSE q.paused_reason END AS "pausedReason",
  CASE WHEN q.paused_until <= now() THEN NULL ELSE q.paused_at END AS "pausedAt",
  CASE WHEN q.paused_until <= now() THEN NULL ELSE q.paused_until END AS "pausedUntil"`;
const QUEUE_COLUMNS = sql`
  q.name, q.concurrency, q.concurrency_per_key AS "concurrencyPerKey", q.rate_max AS "rateMax",
  q.rate_per_ms::float8 AS "ratePerMs",
  q.key_rate_max AS "keyRateMax", q.key_rate_per_ms::float8 AS "keyRatePerMs",
  q.user_rate_max AS "userRateMax", q.user_rate_per_ms::float8 AS "userRatePerMs",
  q.max_waiting AS "maxWaiting", q.defaults, q.is_fair AS "isFair", q.keep_completed_ms::float8 AS "keepCompletedMs",
  q.keep_failed_ms::float8 AS "keepFailedMs",
  q.keep_cancelled_ms::float8 AS "keepCancelledMs",
  q.cost_base AS "costBase", q.cost_per_second AS "costPerSecond", q.cost_per_gb_second AS "costPerGbSecond",
  q.check_arguments AS "checkArguments"`;

/** Queues with settings. A pause whose time is over is not reported. */
export function settings(db: Executor): Promise<QueueRow[]> {
  return db.query(sql`SELECT ${QUEUE_COLUMNS}, ${PAUSE_COLUMNS} FROM queues q ORDER BY q.name`);
}
