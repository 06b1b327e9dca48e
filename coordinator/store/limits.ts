import { type Executor, type Sql, sql } from './db';

export interface UserQueue {
  queue: string;
  userId: string;
}

export interface UserRate extends UserQueue {
  max: number;
  /** Jobs that the user created in the queue within the limit's time. */
  count: number;
  /** When the oldest of them stops counting. */
  resetAt: Date | null;
  /** How long until one more may be created; 0: now. */
  waitMs: number;
}

/**
 * How much of their limits these users have used, counted from the jobs themselves. Queues without such a limit are
 * left out.
 *
 * Exact in a statement after `lockNames` of the pair: jobs are stamped with the start of their transaction, and a
 * transaction that waited for the lock counts from further back, so it sees all jobs that its own job shares the window
 * with.
 */
export function userRates(db: Executor, wanted: UserQueue[]): Promise<UserRate[]> {
  return db.query(sql`
    SELECT w.queue, w.user_id AS "userId", q.user_rate_max AS "max", used.count,
      used.oldest + q.user_rate_per_ms * interval '1 ms' AS "resetAt",
      CASE WHEN used.count < q.user_rate_max THEN 0
        ELSE GREATEST(0, extract(epoch FROM used.deciding - now())::float8 * 1000 + q.user_rate_per_ms) END AS "waitMs"
    FROM unnest(${wanted.map((one) => one.queue)}::text[], ${wanted.map((one) => one.userId)}::text[]) AS w (queue,
      user_id)
    JOIN queues q ON q.name = w.queue AND q.user_rate_max IS NOT NULL
    CROSS JOIN LATERAL (
      SELECT count(*)::int AS count, min(recent.created_at) AS oldest,
        -- The job that must leave the window before one more may be created.
        (array_agg(recent.created_at ORDER BY recent.created_at DESC))[q.user_rate_max] AS deciding
      FROM (
        SELECT j.created_at FROM jobs j
        WHERE j.queue = w.queue AND j.user_id = w.user_id AND j.user_id IS NOT NULL
          AND j.created_at > now() - q.user_rate_per_ms * interval '1 ms'
          -- Excludes jobs created before the clock was set back; a running transaction is never this far ahead.
          AND j.created_at < now() + interval '1 minute'
      ) recent
    ) used`);
}

/** Queues that limit how many jobs one user creates. */
export async function limitedQueues(db: Executor): Promise<string[]> {
  const rows = await db.query<{ name: string }>(
    sql`SELECT q.name FROM queues q WHERE q.user_rate_max IS NOT NULL ORDER BY q.name`,
  );
  return rows.map((row) => row.name);
}

/**
 * Number of jobs that wait in the queue, due, not due or held, up to `most`. Each part walks an index of waiting jobs.
 */
export async function countWaiting(db: Executor, queue: string, most: number): Promise<number> {
  const [row] = await db.query<{ count: number }>(sql`
    SELECT count(*)::int AS count FROM (
      (SELECT 1 FROM lanes l CROSS JOIN LATERAL (
        SELECT 1 FROM jobs j WHERE j.status = 'pending' AND j.position IS NOT NULL AND j.lane_id = l.id LIMIT ${most}
      ) ready WHERE l.queue = ${queue} LIMIT ${most})
      UNION ALL
      (SELECT 1 FROM jobs j WHERE j.status = 'pending' AND j.position IS NULL AND j.hold IS NULL AND j.queue = ${queue}
        LIMIT ${most})
      UNION ALL
      (SELECT 1 FROM jobs j WHERE j.hold = 'key' AND j.queue = ${queue} LIMIT ${most})
      UNION ALL
      (SELECT 1 FROM jobs j WHERE j.hold = 'order' AND j.queue = ${queue} LIMIT ${most})
      LIMIT ${most}
    ) waiting`);
  return row?.count ?? 0;
}

/** Whether queue `q` is not paused; a queue without a row is not. */
export const IS_OPEN = sql`(q.paused_at IS NULL OR q.paused_until <= now())`;

/** What the rate limit of queue `q` lets start at a time; null: any number. */
export function tokensAt(time: Sql): Sql {
  return sql`LEAST(q.rate_max, COALESCE(q.tokens, q.rate_max)
          -- If the clock was set back, a bucket that was filled "in the future" counts as full.
          + CASE WHEN q.tokens_at > ${time} + interval '5 s' THEN q.rate_max
              ELSE extract(epoch FROM ${time} - q.tokens_at) * 1000 * q.rate_max / q.rate_per_ms END)`;
}

/** How many jobs of a key the rate of queue `q` lets start at `time`, when its bucket is full again at `fullAt`. */
export function keyTokensAt({ q, fullAt, time }: Record<'q' | 'fullAt' | 'time', Sql>): Sql {
  return sql`(${q}.key_rate_max - GREATEST(0, COALESCE(extract(epoch FROM ${keptFullAt({ q, fullAt, time })} - ${time}), 0))
          * 1000 * ${q}.key_rate_max / ${q}.key_rate_per_ms)`;
}

/** When the bucket of a key is full again after `count` more tokens were taken at `time`. */
export function keyFullAfter({ q, fullAt, time, count }: Record<'q' | 'fullAt' | 'time' | 'count', Sql>): Sql {
  // Rounded up, so that what is rounded never adds to the rate.
  return sql`(GREATEST(${keptFullAt({ q, fullAt, time })}, ${time})
          + ceil(${count} * ${q}.key_rate_per_ms * 1000.0 / ${q}.key_rate_max)::float8 * interval '1 us')`;
}

/** When a bucket that is full at `fullAt` has a whole token. */
export function keyNextAt({ q, fullAt }: Record<'q' | 'fullAt', Sql>): Sql {
  return sql`(${fullAt} - floor((${q}.key_rate_max - 1) * ${q}.key_rate_per_ms * 1000.0 / ${q}.key_rate_max)::float8
          * interval '1 us')`;
}

/** If the clock was set back, a bucket that is emptier than one can be counts as full. */
function keptFullAt({ q, fullAt, time }: Record<'q' | 'fullAt' | 'time', Sql>): Sql {
  return sql`CASE WHEN ${fullAt} <= ${time} + ${q}.key_rate_per_ms * interval '1 ms' + interval '5 s' THEN ${fullAt} END`;
}

/** Joins `b`, the bucket of a concurrency key of queue `q`, if it is not full. Without a rate it is not looked for. */
export function bucketOf({ q, key }: Record<'q' | 'key', Sql>): Sql {
  // The limit has the planner look for each key by itself.
  return sql`LEFT JOIN LATERAL (SELECT b.full_at, b.next_at FROM key_buckets b
        WHERE ${q}.key_rate_max IS NOT NULL AND b.queue = ${q}.name AND b.key = ${key} LIMIT 1) b ON true`;
}

export interface AwaitedKey {
  queue: string;
  key: string;
}

/** Keys whose buckets have a token again for jobs that are held. */
export function refilledKeys(db: Executor, limit: number): Promise<AwaitedKey[]> {
  return db.query(sql`
    SELECT b.queue, b.key FROM key_buckets b WHERE b.next_at <= now() ORDER BY b.next_at LIMIT ${limit}`);
}

/** Milliseconds until the first bucket that held jobs wait for has a token; null: none is waited for. */
export async function nextRefillInMs(db: Executor): Promise<number | null> {
  const [row] = await db.query<{ inMs: number }>(sql`
    SELECT extract(epoch FROM b.next_at - now())::float8 * 1000 AS "inMs" FROM key_buckets b
    WHERE b.next_at IS NOT NULL ORDER BY b.next_at LIMIT 1`);
  return row?.inMs ?? null;
}

/** Removes buckets that are full again. Returns how many it removed, up to `limit`. */
export async function removeFullBuckets(db: Executor, limit: number): Promise<number> {
  const rows = await db.query(sql`
    WITH full_again AS MATERIALIZED (
      SELECT b.queue, b.key FROM key_buckets b WHERE b.full_at <= now() AND b.next_at IS NULL
      ORDER BY b.full_at LIMIT ${limit} FOR UPDATE SKIP LOCKED
    )
    DELETE FROM key_buckets b USING full_again f WHERE b.queue = f.queue AND b.key = f.key RETURNING 1`);
  return rows.length;
}

/** How many jobs queue `q` may start; null: any number. */
export function roomOf(tokens: Sql): Sql {
  return sql`LEAST(
        q.concurrency - (SELECT count(*) FROM (
          SELECT FROM jobs r WHERE r.status = 'running' AND r.queue = q.name LIMIT q.concurrency) started),
        floor(${tokens}))`;
}
