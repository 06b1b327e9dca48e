import type { RetryPolicy } from '@baton/runner-sdk/protocol';
import { type Executor, sql } from './db';

/** What jobs of a queue have that leave it out. */
export interface JobDefaults {
  priority?: number | undefined;
  maxAttempts?: number | undefined;
  timeoutMs?: number | undefined;
  retry?: RetryPolicy | undefined;
}

export interface QueueRow {
  name: string;
  pausedBy: string | null;
  pausedReason: string | null;
  pausedAt: Date | null;
  pausedUntil: Date | null;
  concurrency: number | null;
  concurrencyPerKey: number | null;
  rateMax: number | null;
  ratePerMs: number | null;
  userRateMax: number | null;
  userRatePerMs: number | null;
  maxWaiting: number | null;
  defaults: JobDefaults | null;
  isFair: boolean;
  keepCompletedMs: number | null;
  keepFailedMs: number | null;
  keepCancelledMs: number | null;
  /** All three, or none. */
  costBase: number | null;
  costPerSecond: number | null;
  costPerGbSecond: number | null;
}

export interface QueueSettings {
  concurrency?: number | null | undefined;
  concurrencyPerKey?: number | null | undefined;
  rateLimit?: { max: number; perMs: number } | null | undefined;
  userRateLimit?: { max: number; perMs: number } | null | undefined;
  maxWaiting?: number | null | undefined;
  defaults?: JobDefaults | null | undefined;
  fair?: boolean | undefined;
  retention?: Retention | null | undefined;
  cost?: Cost | null | undefined;
}

/** What an attempt costs: so much, so much a second, and so much for each second and gigabyte of memory at its peak. */
export interface Cost {
  base: number;
  perSecond: number;
  perGbSecond: number;
}

/** How long finished jobs are kept; what is left out is kept as by default. */
export interface Retention {
  completedMs?: number | undefined;
  failedMs?: number | undefined;
  cancelledMs?: number | undefined;
}

/** Sets what is named; null takes a limit away, what is left out stays. A changed rate starts with a full bucket. */
export async function set(db: Executor, name: string, settings: QueueSettings): Promise<void> {
  const { concurrency, concurrencyPerKey, rateLimit, userRateLimit, maxWaiting, defaults, fair, retention, cost } =
    settings;
  const sameRate = sql`${rateLimit === undefined}::boolean OR (q.rate_max = EXCLUDED.rate_max AND q.rate_per_ms = EXCLUDED.rate_per_ms)`;
  await db.query(sql`
    INSERT INTO queues AS q (
      name, concurrency, concurrency_per_key, rate_max, rate_per_ms, user_rate_max, user_rate_per_ms, max_waiting, defaults, is_fair,
      keep_completed_ms, keep_failed_ms, keep_cancelled_ms, cost_base, cost_per_second, cost_per_gb_second)
    VALUES (${name}, ${concurrency ?? null}::int, ${concurrencyPerKey ?? null}::int, ${rateLimit?.max ?? null}::int,
      ${rateLimit?.perMs ?? null}::bigint, ${userRateLimit?.max ?? null}::int, ${userRateLimit?.perMs ?? null}::bigint,
      ${maxWaiting ?? null}::int, ${defaults ? JSON.stringify(defaults) : null}::json, ${fair ?? true}::boolean,
      ${retention?.completedMs ?? null}::bigint, ${retention?.failedMs ?? null}::bigint, ${retention?.cancelledMs ?? null}::bigint,
      ${cost?.base ?? null}::float8, ${cost?.perSecond ?? null}::float8, ${cost?.perGbSecond ?? null}::float8)
    ON CONFLICT (name) DO UPDATE SET
      concurrency = CASE WHEN ${concurrency === undefined}::boolean THEN q.concurrency ELSE EXCLUDED.concurrency END,
      concurrency_per_key = CASE WHEN ${concurrencyPerKey === undefined}::boolean THEN q.concurrency_per_key ELSE EXCLUDED.concurrency_per_key END,
      rate_max = CASE WHEN ${rateLimit === undefined}::boolean THEN q.rate_max ELSE EXCLUDED.rate_max END,
      rate_per_ms = CASE WHEN ${rateLimit === undefined}::boolean THEN q.rate_per_ms ELSE EXCLUDED.rate_per_ms END,
      tokens = CASE WHEN ${sameRate} THEN q.tokens END,
      tokens_at = CASE WHEN ${sameRate} THEN q.tokens_at END,
      user_rate_max = CASE WHEN ${userRateLimit === undefined}::boolean THEN q.user_rate_max ELSE EXCLUDED.user_rate_max END,
      user_rate_per_ms = CASE WHEN ${userRateLimit === undefined}::boolean THEN q.user_rate_per_ms ELSE EXCLUDED.user_rate_per_ms END,
      max_waiting = CASE WHEN ${maxWaiting === undefined}::boolean THEN q.max_waiting ELSE EXCLUDED.max_waiting END,
      defaults = CASE WHEN ${defaults === undefined}::boolean THEN q.defaults ELSE EXCLUDED.defaults END,
      is_fair = CASE WHEN ${fair === undefined}::boolean THEN q.is_fair ELSE EXCLUDED.is_fair END,
      keep_completed_ms = CASE WHEN ${retention === undefined}::boolean THEN q.keep_completed_ms ELSE EXCLUDED.keep_completed_ms END,
      keep_failed_ms = CASE WHEN ${retention === undefined}::boolean THEN q.keep_failed_ms ELSE EXCLUDED.keep_failed_ms END,
      keep_cancelled_ms = CASE WHEN ${retention === undefined}::boolean THEN q.keep_cancelled_ms ELSE EXCLUDED.keep_cancelled_ms END,
      cost_base = CASE WHEN ${cost === undefined}::boolean THEN q.cost_base ELSE EXCLUDED.cost_base END,
      cost_per_second = CASE WHEN ${cost === undefined}::boolean THEN q.cost_per_second ELSE EXCLUDED.cost_per_second END,
      cost_per_gb_second = CASE WHEN ${cost === undefined}::boolean THEN q.cost_per_gb_second ELSE EXCLUDED.cost_per_gb_second END`);
}

export async function pause(
  db: Executor,
  name: string,
  by: string,
  reason: string | null,
  untilAt: string | null,
): Promise<void> {
  await db.query(sql`
    INSERT INTO queues AS q (name, paused_by, paused_reason, paused_at, paused_until)
    VALUES (${name}, ${by}, ${reason}, now(), ${untilAt}::timestamptz)
    ON CONFLICT (name) DO UPDATE SET paused_by = EXCLUDED.paused_by, paused_reason = EXCLUDED.paused_reason,
      paused_at = now(), paused_until = EXCLUDED.paused_until`);
}

/** Returns the queue, if it was paused. */
export function resume(db: Executor, name: string): Promise<{ name: string }[]> {
  return db.query(sql`
    UPDATE queues SET paused_by = NULL, paused_reason = NULL, paused_at = NULL, paused_until = NULL
    WHERE name = ${name} AND paused_at IS NOT NULL RETURNING name`);
}

/**
 * Locks the rows of these queues until the transaction ends, so that one claim at a time counts what their limits leave.
 * A statement of its own: what is counted afterwards must be seen after the lock was had.
 */
export async function lockLimits(transaction: Executor, names: string[]): Promise<void> {
  await transaction.query(
    sql`SELECT q.name FROM queues q WHERE q.name = ANY (${names}::text[]) ORDER BY q.name FOR UPDATE`,
  );
}

/** The names of queues with finished jobs, by skipping through the index from queue to queue. */
export const FINISHED_QUEUES = sql`(
  WITH RECURSIVE found AS (
    (SELECT j.queue AS name FROM jobs j WHERE j.finished_at IS NOT NULL ORDER BY j.queue LIMIT 1)
    UNION ALL
    SELECT next.name FROM found CROSS JOIN LATERAL (
      SELECT j.queue AS name FROM jobs j WHERE j.finished_at IS NOT NULL AND j.queue > found.name ORDER BY j.queue LIMIT 1
    ) next
  )
  SELECT name FROM found)`;
