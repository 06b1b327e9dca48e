import type { RetryPolicy } from '@baton/runner-sdk/protocol';
import { Prisma } from '../generated/prisma/client';
import { type Executor, type Sql, sql } from './db';

/** Default values of a queue's jobs. */
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
  keyRateMax: number | null;
  keyRatePerMs: number | null;
  userRateMax: number | null;
  userRatePerMs: number | null;
  maxWaiting: number | null;
  defaults: JobDefaults | null;
  isFair: boolean;
  keepCompletedMs: number | null;
  keepFailedMs: number | null;
  keepCancelledMs: number | null;
  /** All three are set, or none. */
  costBase: number | null;
  costPerSecond: number | null;
  costPerGbSecond: number | null;
  checkArguments: boolean;
}

export interface QueueSettings {
  concurrency?: number | null | undefined;
  concurrencyPerKey?: number | null | undefined;
  rateLimit?: { max: number; perMs: number } | null | undefined;
  keyRateLimit?: { max: number; perMs: number } | null | undefined;
  userRateLimit?: { max: number; perMs: number } | null | undefined;
  maxWaiting?: number | null | undefined;
  defaults?: JobDefaults | null | undefined;
  fair?: boolean | undefined;
  retention?: Retention | null | undefined;
  cost?: Cost | null | undefined;
  checkArguments?: boolean | undefined;
}

/** The cost of an attempt: a base price, a price per second, and a price per second and gigabyte of peak memory. */
export interface Cost {
  base: number;
  perSecond: number;
  perGbSecond: number;
}

/** How long finished jobs are kept; what is left out keeps the default. */
export interface Retention {
  completedMs?: number | undefined;
  failedMs?: number | undefined;
  cancelledMs?: number | undefined;
}

/**
 * Changes the given settings; null removes a limit, and what is left out stays. A changed rate starts with a full
 * bucket, or with full buckets of all keys.
 */
export async function set(transaction: Executor, name: string, settings: QueueSettings): Promise<void> {
  if (settings.keyRateLimit !== undefined) await fillBuckets(transaction, name, settings.keyRateLimit);
  const columns = columnsOf(settings);
  const isSameRate =
    settings.rateLimit === undefined
      ? sql`true`
      : sql`(q.rate_max = EXCLUDED.rate_max AND q.rate_per_ms = EXCLUDED.rate_per_ms)`;
  await transaction.query(sql`
    INSERT INTO queues AS q (name, ${Prisma.join(columns.map(({ column }) => column))})
    VALUES (${name}, ${Prisma.join(columns.map(({ value }) => value))})
    ON CONFLICT (name) DO UPDATE SET
      ${Prisma.join(columns.map(({ column, isNamed }) => sql`${column} = ${isNamed ? sql`EXCLUDED` : sql`q`}.${column}`))},
      tokens = CASE WHEN ${isSameRate} THEN q.tokens END,
      tokens_at = CASE WHEN ${isSameRate} THEN q.tokens_at END`);
}

/** Fills the buckets of the queue's keys if their rate is another one. Until the transaction ends no claim spends. */
async function fillBuckets(
  transaction: Executor,
  name: string,
  rate: NonNullable<QueueSettings['keyRateLimit']> | null,
): Promise<void> {
  await lockLimits(transaction, [name]);
  await transaction.query(sql`
    DELETE FROM key_buckets b USING queues q
    WHERE q.name = ${name} AND b.queue = q.name AND (q.key_rate_max, q.key_rate_per_ms)
      IS DISTINCT FROM (${rate?.max ?? null}::int, ${rate?.perMs ?? null}::bigint)`);
}

interface SetColumn {
  column: Sql;
  value: Sql;
  /** False: a queue that already has a row keeps its value. */
  isNamed: boolean;
}

/** The columns of each setting, with their new values. */
function columnsOf(settings: QueueSettings): SetColumn[] {
  const { concurrency, concurrencyPerKey, rateLimit, keyRateLimit, userRateLimit, maxWaiting } = settings;
  const { defaults, fair, retention, checkArguments, cost } = settings;
  const of = (setting: unknown, columns: [column: Sql, value: Sql][]): SetColumn[] =>
    columns.map(([column, value]) => ({ column, value, isNamed: setting !== undefined }));
  return [
    ...of(concurrency, [[sql`concurrency`, sql`${concurrency}::int`]]),
    ...of(concurrencyPerKey, [[sql`concurrency_per_key`, sql`${concurrencyPerKey}::int`]]),
    ...of(rateLimit, [
      [sql`rate_max`, sql`${rateLimit?.max}::int`],
      [sql`rate_per_ms`, sql`${rateLimit?.perMs}::bigint`],
    ]),
    ...of(keyRateLimit, [
      [sql`key_rate_max`, sql`${keyRateLimit?.max}::int`],
      [sql`key_rate_per_ms`, sql`${keyRateLimit?.perMs}::bigint`],
    ]),
    ...of(userRateLimit, [
      [sql`user_rate_max`, sql`${userRateLimit?.max}::int`],
      [sql`user_rate_per_ms`, sql`${userRateLimit?.perMs}::bigint`],
    ]),
    ...of(maxWaiting, [[sql`max_waiting`, sql`${maxWaiting}::int`]]),
    ...of(defaults, [[sql`defaults`, sql`${defaults ? JSON.stringify(defaults) : null}::json`]]),
    ...of(fair, [[sql`is_fair`, sql`${fair ?? true}::boolean`]]),
    ...of(checkArguments, [[sql`check_arguments`, sql`${checkArguments ?? false}::boolean`]]),
    ...of(retention, [
      [sql`keep_completed_ms`, sql`${retention?.completedMs}::bigint`],
      [sql`keep_failed_ms`, sql`${retention?.failedMs}::bigint`],
      [sql`keep_cancelled_ms`, sql`${retention?.cancelledMs}::bigint`],
    ]),
    ...of(cost, [
      [sql`cost_base`, sql`${cost?.base}::float8`],
      [sql`cost_per_second`, sql`${cost?.perSecond}::float8`],
      [sql`cost_per_gb_second`, sql`${cost?.perGbSecond}::float8`],
    ]),
  ];
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
 * Locks the rows of these queues until the transaction ends, so that one claim at a time counts what their limits
 * leave. A separate statement: counting must see what was committed before the lock was obtained.
 */
export async function lockLimits(transaction: Executor, names: string[]): Promise<void> {
  await transaction.query(
    sql`SELECT q.name FROM queues q WHERE q.name = ANY (${names}::text[]) ORDER BY q.name FOR UPDATE`,
  );
}

/** The names of queues with finished jobs, by skipping through the index from queue to queue. */
export const FINISHED_QUEUES = sql`(
  WITH RECURSIVE found AS (
    (SELECT j.queue AS name FROM jobs j WHERE j.finished_at IS NOT NULL AND j.queue > '' ORDER BY j.queue LIMIT 1)
    UNION ALL
    SELECT next.name FROM found CROSS JOIN LATERAL (
      SELECT j.queue AS name FROM jobs j WHERE j.finished_at IS NOT NULL AND j.queue > found.name
      ORDER BY j.queue LIMIT 1
    ) next
  )
  SELECT name FROM found)`;
