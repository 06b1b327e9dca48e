import { Prisma } from '../../generated/prisma/client';
import { type Executor, type Sql, sql } from '../db';
import { CELL_COLUMNS, FACT_BINS, factsWithin, HISTOGRAMS, KNOWN, statuses, SUMS, timesWithin } from './facts';

/** A reading of the clock and of the running transactions. */
export interface TransactionHorizon {
  /** The database's time, as text, because it has microseconds. */
  at: string;
  /** All transactions before this id have ended. */
  oldest: number;
  /** No transaction with this id or a later one had begun to write. */
  next: number;
}

export async function readHorizon(db: Executor): Promise<TransactionHorizon> {
  const [row] = await db.query<TransactionHorizon>(sql`
    SELECT now()::text AS at, pg_snapshot_xmin(s.now)::text::float8 AS oldest,
      pg_snapshot_xmax(s.now)::text::float8 AS next
    FROM (SELECT pg_current_snapshot() AS now) s`);
  if (row === undefined) throw new Error('the database did not tell its time');
  return row;
}

/** The time `at`, given as text, minus `ms`. */
export async function before(db: Executor, at: string, ms: number): Promise<string | null> {
  const [row] = await db.query<{ at: string }>(
    sql`SELECT (${at}::timestamptz - ${ms}::float8 * interval '1 ms')::text AS at`,
  );
  return row?.at ?? null;
}

/**
 * Takes the lock for counting until the transaction ends; false: another coordinator has it. Waits for transactions
 * that are removing jobs, so that the next statement sees what they did.
 */
export async function lockProgress(transaction: Executor): Promise<boolean> {
  const [lock] = await transaction.query<{ isOurs: boolean }>(
    sql`SELECT pg_try_advisory_xact_lock(hashtextextended(current_schema() || '/rollups', 8271)) AS "isOurs"`,
  );
  if (lock?.isOurs !== true) return false;
  await transaction.query(sql`SELECT p.id FROM rollup_progress p WHERE p.id = 1 FOR UPDATE`);
  return true;
}

export interface Slice {
  /** As text. */
  until: string;
  isLast: boolean;
}

/**
 * The next time span to count: ten minutes from the next end, or less, so that it has hardly more than `most` facts.
 */
export async function nextSlice(transaction: Executor, countableUntil: string, most: number): Promise<Slice | null> {
  const [row] = await transaction.query<Slice>(sql`
    WITH ${KNOWN}, mark AS MATERIALIZED (
      SELECT p.counted_until AS at FROM rollup_progress p WHERE p.id = 1
    ), first AS MATERIALIZED (
      SELECT LEAST(
        (SELECT min(o.at) FROM known k CROSS JOIN ${statuses(sql`'completed', 'cancelled'`)} CROSS JOIN LATERAL (
          SELECT j.finished_at AS at FROM jobs j WHERE j.queue = k.name AND j.status = s.status
            AND j.finished_at >= (SELECT at FROM mark)
          ORDER BY j.finished_at LIMIT 1) o),
        (SELECT min(a.finished_at) FROM attempts a WHERE a.finished_at >= (SELECT at FROM mark)),
        (SELECT min(s.at) FROM rollup_strays s)) AS at
    ), span AS MATERIALIZED (
      SELECT m.at AS "from",
        LEAST(COALESCE(f.at + interval '10 minutes', 'infinity'), ${countableUntil}::timestamptz) AS until
        FROM mark m, first f
    ), cut AS MATERIALIZED (
      SELECT t.at + interval '1 microsecond' AS at FROM (
        ${timesWithin(sql`(SELECT "from" FROM span)`, sql`(SELECT until FROM span)`)}) t ORDER BY t.at OFFSET ${most}
          LIMIT 1
    )
    SELECT LEAST((SELECT at FROM cut), s.until)::text AS until,
      LEAST((SELECT at FROM cut), s.until) >= ${countableUntil}::timestamptz AS "isLast"
    FROM span s WHERE s."from" < s.until`);
  return row ?? null;
}

/** Adds all uncounted facts before `until` to the rollups of their minute, hour and day. Only under `lockProgress`. */
export async function count(transaction: Executor, until: string): Promise<void> {
  const end = sql`${until}::timestamptz`;
  const columns = (alias: Sql) => Prisma.join(SUMS.map((name) => sql`${alias}.${Prisma.raw(name)}`));
  const histograms = HISTOGRAMS.map((name) => ({ name: Prisma.raw(name), bin: Prisma.raw(`${name}_bin`) }));
  const ofHistograms = (text: (name: string) => string, separator = ', ') =>
    Prisma.raw(HISTOGRAMS.map(text).join(separator));
  await transaction.query(sql`
    WITH ${KNOWN}, storeUncounted AS (
      DELETE FROM rollup_strays s WHERE s.at < ${end}
      RETURNING s.at, s.queue, s.type, s.user_id, s.runner_id, s.outcome, s.ending, s.is_retried, s.wait_ms, s.run_ms,
        s.cpu_ms, s.memory_peak_bytes, s.cost
    ), cells AS MATERIALIZED (
      SELECT date_trunc('minute', f.at, 'UTC') AS minute, f.queue, f.type, f.user_id, f.runner_id, ${FACT_BINS},
        ${CELL_COLUMNS}
      FROM (${factsWithin(sql`(SELECT p.counted_until FROM rollup_progress p WHERE p.id = 1)`, end)} UNION ALL SELECT *
        FROM storeUncounted) f
      GROUP BY 1, 2, 3, 4, 5, ${ofHistograms((name) => `${name}_bin`)}
    ), spread AS MATERIALIZED (
      SELECT g.grain, d.dimension, d.owner, g.at, d.key, c.* FROM cells c
      CROSS JOIN LATERAL (VALUES ('minute'::rollup_grain, c.minute), ('hour', date_trunc('hour', c.minute, 'UTC')),
        ('day', date_trunc('day', c.minute, 'UTC'))) g (grain, at)
      CROSS JOIN LATERAL (VALUES
        ('all'::rollup_dimension, '', ''), ('queue', '', c.queue), ('type', '', c.type), ('user', '', c.user_id),
        ('runner', '', c.runner_id),
        ('queue', c.user_id, c.queue), ('type', c.user_id, c.type), ('runner', c.user_id, c.runner_id)) d (dimension,
        owner, key)
      WHERE d.owner IS NOT NULL AND d.key IS NOT NULL
    ), totals AS MATERIALIZED (
      SELECT s.grain, s.dimension, s.owner, s.at, s.key,
        ${Prisma.join(SUMS.map((name) => sql`sum(s.${Prisma.raw(name)}) AS ${Prisma.raw(name)}`))},
        max(s.memory_peak_bytes) AS memory_peak_bytes
      FROM spread s GROUP BY 1, 2, 3, 4, 5
    ), ${Prisma.join(histograms.map(({ name, bin }) => sql`${name}_h AS MATERIALIZED (${binsOf(bin)})`))}, added AS (
      INSERT INTO rollups AS r (grain, dimension, owner, at, key, ${Prisma.raw(SUMS.join(', '))}, memory_peak_bytes,
        ${ofHistograms((name) => `${name}_bins, ${name}_counts`)})
      SELECT t.grain, t.dimension, t.owner, t.at, t.key, ${columns(sql`t`)}, t.memory_peak_bytes,
        ${ofHistograms((name) => `COALESCE(${name}_h.bins, '{}'), COALESCE(${name}_h.counts, '{}')`)}
      FROM totals t ${ofHistograms((name) => `LEFT JOIN ${name}_h USING (grain, dimension, owner, at, key)`, ' ')}
      ON CONFLICT (grain, dimension, owner, at, key) DO UPDATE SET
        ${Prisma.join(SUMS.map((name) => sql`${Prisma.raw(name)} = r.${Prisma.raw(name)} + EXCLUDED.${Prisma.raw(name)}`))},
        memory_peak_bytes = GREATEST(r.memory_peak_bytes, EXCLUDED.memory_peak_bytes),
        ${Prisma.join(histograms.map(({ name }) => sql`(${name}_bins, ${name}_counts) = ${mergedBins(name)}`))}
    )
    UPDATE rollup_progress SET counted_until = ${end} WHERE id = 1`);
}

/** Deletes a batch of rollups older than their retention. Returns whether there may be more. */
export async function prune(
  db: Executor,
  keepMs: Record<'minute' | 'hour' | 'day', number>,
  limit: number,
): Promise<boolean> {
  const gone = await db.query(sql`
    -- Rows are found by ctid. One that was moved meanwhile is found by the next batch.
    DELETE FROM rollups r WHERE r.ctid = ANY (ARRAY(
      SELECT o.tid FROM unnest(${Object.keys(keepMs)}::rollup_grain[], ${Object.values(keepMs)}::float8[]) AS k (grain,
        keep_ms) CROSS JOIN LATERAL (
        SELECT o.ctid AS tid FROM rollups o WHERE o.grain = k.grain AND o.at < now() - k.keep_ms * interval '1 ms'
        ORDER BY o.at LIMIT ${limit} FOR UPDATE SKIP LOCKED
      ) o LIMIT ${limit}
    )) RETURNING r.grain`);
  return gone.length === limit;
}

function binsOf(bin: Sql): Sql {
  return sql`
    SELECT b.grain, b.dimension, b.owner, b.at, b.key, array_agg(b.bin ORDER BY b.bin) AS bins,
      array_agg(b.n ORDER BY b.bin) AS counts FROM (
      SELECT s.grain, s.dimension, s.owner, s.at, s.key, s.${bin}::smallint AS bin, sum(s.facts)::bigint AS n
      FROM spread s WHERE s.${bin} IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6) b
    GROUP BY 1, 2, 3, 4, 5`;
}

function mergedBins(name: Sql): Sql {
  const lists = (alias: Sql) => sql`unnest(${alias}.${name}_bins, ${alias}.${name}_counts)`;
  return sql`(
    SELECT COALESCE(array_agg(m.bin ORDER BY m.bin), '{}'), COALESCE(array_agg(m.n ORDER BY m.bin), '{}') FROM (
      SELECT u.bin, sum(u.n)::bigint AS n
      FROM (SELECT * FROM ${lists(sql`r`)} UNION ALL SELECT * FROM ${lists(sql`EXCLUDED`)}) u (bin, n) GROUP BY 1) m)`;
}
