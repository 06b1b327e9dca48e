import { Prisma } from '../../generated/prisma/client';
import { type Executor, type Sql, sql } from '../db';
import { CELL_COLUMNS, FACT_BINS, factsWithin, HISTOGRAMS, KNOWN, SUMS, timesWithin } from '../rollups/facts';

export type Grain = 'minute' | 'hour' | 'day';
export type Dimension = 'queue' | 'type' | 'user' | 'runner';

export interface Sums {
  jobsCompleted: number;
  jobsFailed: number;
  jobsCancelled: number;
  attemptsFailed: number;
  attemptsTimedOut: number;
  attemptsReleased: number;
  attemptsCancelled: number;
  /** Attempts that were followed by another because they failed or timed out. */
  retries: number;
  /** Sums over the attempts in the histograms. */
  waitMs: number;
  runMs: number;
  memoryBytes: number;
  cpuMs: number;
  memoryPeakBytes: number | null;
  cost: number;
  /** Histograms: numbers of attempts by bin, only bins that are not empty, in order. */
  waitBins: number[];
  waitCounts: number[];
  runBins: number[];
  runCounts: number[];
  memoryBins: number[];
  memoryCounts: number[];
}

/** Values of one key, or, with `at`, of one minute, hour or day. */
export type StatisticsRow = Sums & { key: string | null; at: Date | null };

export interface Statistics {
  /** Where the range begins: at the start of a minute, hour or day. */
  from: Date;
  /** Everything that ended before is included. */
  until: Date;
  rows: StatisticsRow[];
  /** Number of keys, including those that are not among the rows. */
  keys: number;
}

export interface Asked {
  by: Dimension;
  /** Only this key. */
  key: string | null;
  grain: Grain;
  rangeMs: number;
  /** Most keys; those with the most ends come first. */
  limit: number;
}

/** Ends since the last count are read from their own rows, up to this number. */
export const MOST_UNCOUNTED = 50_000;

/**
 * What ended within a range, by key and over time: from the rollups, and for later ends from the jobs and attempts
 * themselves, in one snapshot.
 * @param userId only this user's jobs; null: all jobs
 */
export async function statistics(db: Executor, userId: string | null, asked: Asked): Promise<Statistics> {
  const { by, key, grain, limit } = asked;
  const whose = whoseOf(userId, by);
  const ofKeys = sql`${rowsOf(userId, by)} AND (${key}::text IS NULL OR r.key = ${key})`;
  const ofTimes = sql`r.grain = ${grain}::rollup_grain
      AND ${key === null ? allRowsOf(userId) : sql`${rowsOf(userId, by)} AND r.key = ${key}`}
      AND r.at >= (SELECT "from" FROM span)`;
  const cellTime = sql`date_trunc(${grain}, c.minute, 'UTC')`;
  const isAsked = sql`(${key}::text IS NULL OR c.key = ${key})`;
  const rows = await db.query<
    StatisticsRow & { kind: string | null; from: Date; until: Date; keys: number | null }
  >(sql`
    WITH ${KNOWN}, ${span(asked)}, ${uncounted(userId, by)}, totals AS MATERIALIZED (
      SELECT p.kind, p.key, p.at,
        ${Prisma.join(SUMS.map((name) => sql`sum(p.${Prisma.raw(name)})::float8 AS ${quoted(name)}`))},
        max(p.memory_peak_bytes) AS "memoryPeakBytes",
        row_number() OVER (PARTITION BY p.kind ORDER BY ${ACTIVITY} DESC, p.key) AS nth,
        count(*) OVER (PARTITION BY p.kind)::int AS keys
      FROM (
        ${rangeOf(sql`'key' AS kind, r.key, NULL::timestamptz AS at, ${SUM_COLUMNS}`, sql`rollups r`, ofKeys, grain, whose)}
        UNION ALL
        SELECT 'time', NULL, r.at, ${SUM_COLUMNS} FROM rollups r WHERE ${ofTimes}
        UNION ALL
        SELECT 'key', c.key, NULL, ${CELL_SUM_COLUMNS} FROM cells c WHERE c.key IS NOT NULL AND ${isAsked}
        UNION ALL
        SELECT 'time', NULL, ${cellTime}, ${CELL_SUM_COLUMNS} FROM cells c WHERE ${isAsked}
      ) p GROUP BY 1, 2, 3
    ), chosen AS MATERIALIZED (
      SELECT (row_number() OVER ())::int AS id, t.* FROM totals t WHERE t.kind = 'time' OR t.nth <= ${limit}
    ), parts AS MATERIALIZED (
      ${rangeOf(sql`o.id, ${BIN_COLUMNS}`, sql`rollups r JOIN chosen o ON o.kind = 'key' AND o.key = r.key`, ofKeys, grain, whose)}
      UNION ALL
      SELECT o.id, ${BIN_COLUMNS} FROM rollups r JOIN chosen o ON o.kind = 'time' AND o.at = r.at WHERE ${ofTimes}
      UNION ALL
      SELECT o.id, ${CELL_BIN_COLUMNS} FROM cells c JOIN chosen o ON (o.kind = 'key' AND o.key = c.key)
        OR (o.kind = 'time' AND o.at = ${cellTime} AND ${isAsked})
    ), bins AS MATERIALIZED (
      -- One number encodes the key, the histogram and the bin, because half a million of them are added up.
      SELECT e.place, sum(e.n)::float8 AS n FROM (
        ${Prisma.join(HISTOGRAMS.map(placesOf), ' UNION ALL ')}
      ) e GROUP BY 1
    ), lists AS MATERIALIZED (
      SELECT b.place / 2048 AS id, ${Prisma.join(HISTOGRAMS.map(listed))} FROM bins b GROUP BY 1
    )
    SELECT s."from", s.until, c.*, ${LISTS}
    FROM span s LEFT JOIN chosen c ON true LEFT JOIN lists l ON l.id = c.id
    ORDER BY c.kind, c.at, c.nth`);
  const [first] = rows;
  if (first === undefined) throw new Error('the statistics were not read');
  return {
    from: first.from,
    until: first.until,
    rows: rows.filter((row) => row.kind !== null),
    keys: rows.find((row) => row.kind === 'key')?.keys ?? 0,
  };
}

export interface Outcomes {
  jobsCompleted: number;
  jobsFailed: number;
  jobsCancelled: number;
  attemptsFailed: number;
  attemptsTimedOut: number;
  retries: number;
  /** Total run time of ended attempts, and their number. */
  runMs: number;
  attempts: number;
}

/**
 * How jobs and their attempts ended within the last `windowMs`, to the minute: of one queue, of one type, or of all.
 * For windows of up to two hours; cheap enough to be called often.
 */
export async function outcomes(
  db: Executor,
  {
    by,
    key,
    windowMs,
    userId = null,
  }: { by: 'all' | 'queue' | 'type'; key?: string; windowMs: number; userId?: string | null },
): Promise<Outcomes> {
  const dimension: Dimension = by === 'type' ? 'type' : 'queue';
  const [row] = await db.query<Outcomes>(sql`
    WITH ${KNOWN}, ${span({ grain: 'minute', rangeMs: windowMs })}, ${uncounted(userId, dimension)},
      parts AS MATERIALIZED (
      SELECT ${SUM_COLUMNS}, r.run_counts FROM rollups r
      WHERE r.grain = 'minute'
        AND ${by === 'all' ? allRowsOf(userId) : sql`${rowsOf(userId, dimension)} AND r.key = ${key ?? ''}`}
        AND r.at >= (SELECT "from" FROM span)
      UNION ALL
      SELECT ${CELL_SUM_COLUMNS}, CASE WHEN c.run_bin IS NULL THEN '{}' ELSE ARRAY[c.facts] END FROM cells c
      WHERE ${by === 'all'}::boolean OR c.key = ${key ?? ''}
    )
    SELECT ${Prisma.join(SUMS.map((name) => sql`COALESCE(sum(p.${Prisma.raw(name)}), 0)::float8 AS ${quoted(name)}`))},
      COALESCE(sum((SELECT sum(n) FROM unnest(p.run_counts) n)), 0)::float8 AS attempts
    FROM parts p`);
  if (row === undefined) throw new Error('the statistics were not read');
  return row;
}

/** Number of jobs that completed or failed, as far as statistics go back. */
export async function processed(db: Executor): Promise<number> {
  const [row] = await db.query<{ jobs: number }>(sql`
    WITH ${KNOWN}, ${span({ grain: 'day', rangeMs: 3650 * 86_400_000 })}, ${uncounted(null, 'queue')}
    SELECT ((SELECT COALESCE(sum(r.jobs_completed + r.jobs_failed), 0) FROM rollups r
      WHERE r.grain = 'day' AND ${allRowsOf(null)})
      + (SELECT COALESCE(sum(c.jobs_completed + c.jobs_failed), 0) FROM cells c))::float8 AS jobs`);
  return row?.jobs ?? 0;
}

const SUM_COLUMNS = sql`${Prisma.join(SUMS.map((name) => sql`r.${Prisma.raw(name)}`))}, r.memory_peak_bytes`;
const CELL_SUM_COLUMNS = sql`${Prisma.join(SUMS.map((name) => sql`c.${Prisma.raw(name)}`))}, c.memory_peak_bytes`;
const BIN_COLUMNS = Prisma.raw(HISTOGRAMS.map((name) => `r.${name}_bins, r.${name}_counts`).join(', '));
const CELL_BIN_COLUMNS = Prisma.join(HISTOGRAMS.map(single));
const BINS = Prisma.raw(HISTOGRAMS.map((name) => `${name}_bin`).join(', '));
const LISTS = Prisma.raw(
  HISTOGRAMS.flatMap((name) => [`${name}Bins`, `${name}Counts`])
    .map((name) => `COALESCE(l."${name}", '{}') AS "${name}"`)
    .join(', '),
);
const ACTIVITY = sql`sum(p.jobs_completed + p.jobs_failed + p.jobs_cancelled + p.attempts_failed + p.attempts_timed_out + p.attempts_released)`;

/** Rows of a range. Ranges in hours use the rows of whole days, because they are fewer. */
function rangeOf(columns: Sql, from: Sql, where: Sql, grain: Grain, { dimension, owner }: Whose): Sql {
  const rows = (of: Grain, until: Sql) =>
    sql`SELECT ${columns} FROM ${from} WHERE r.grain = ${of}::rollup_grain AND ${where} AND ${until}`;
  if (grain !== 'hour') return rows(grain, sql`r.at >= (SELECT "from" FROM span)`);
  // Not r.at < "fromDay": without statistics the planner expects next to no rows between two bounds, and reads them by
  // time alone, for all users and keys. A row comparison bounds only the index that contains them.
  const isBefore = sql`(r.dimension, r.owner, r.at) < (${dimension}::rollup_dimension, ${owner}::text,
      (SELECT "fromDay" FROM span))`;
  return sql`${rows('hour', sql`r.at >= (SELECT "from" FROM span) AND ${isBefore}`)}
      UNION ALL ${rows('day', sql`r.at >= (SELECT "fromDay" FROM span)`)}`;
}

/** CTEs: how far the rollups have come, and the range, which starts at a whole minute, hour or day. */
function span({ grain, rangeMs }: Pick<Asked, 'grain' | 'rangeMs'>): Sql {
  return sql`mark AS MATERIALIZED (
      SELECT GREATEST(p.counted_until, s."from") AS at, s."from" FROM rollup_progress p,
        (SELECT date_trunc(${grain}, now() - ${rangeMs}::float8 * interval '1 ms', 'UTC') AS "from") s WHERE p.id = 1
    ), few AS MATERIALIZED (
      SELECT count(*) <= ${MOST_UNCOUNTED} AS few FROM (
        SELECT FROM (${timesWithin(sql`(SELECT at FROM mark)`, sql`'infinity'`)}) t LIMIT ${MOST_UNCOUNTED + 1}) counted
    ), span AS MATERIALIZED (
      SELECT m."from", date_trunc('day', m."from" + interval '1 day' - interval '1 microsecond', 'UTC') AS "fromDay",
        CASE WHEN f.few THEN now() ELSE m.at END AS until, f.few FROM mark m, few f
    )`;
}

/** A CTE, `cells`: what ended after the rollups, by key and minute; empty when it is too much to read. */
function uncounted(userId: string | null, by: Dimension): Sql {
  return sql`cells AS MATERIALIZED (
      SELECT f.${KEY_COLUMNS[by]} AS key, date_trunc('minute', f.at, 'UTC') AS minute, ${FACT_BINS}, ${CELL_COLUMNS}
      FROM (
        ${factsWithin(sql`(SELECT at FROM mark)`, sql`(SELECT CASE WHEN few THEN 'infinity'::timestamptz ELSE '-infinity' END FROM span)`)}
        UNION ALL
        SELECT s.at, s.queue, s.type, s.user_id, s.runner_id, s.outcome, s.ending, s.is_retried, s.wait_ms, s.run_ms,
          s.cpu_ms, s.memory_peak_bytes, s.cost
        FROM rollup_strays s WHERE (SELECT few FROM span) AND s.at >= (SELECT "from" FROM span)
        -- They are few; an index of everything that the user ever had gains nothing.
        OFFSET 0
      ) f
      WHERE ${userId}::text IS NULL OR f.user_id = ${userId} GROUP BY 1, 2, ${BINS}
    )`;
}

const KEY_COLUMNS: Record<Dimension, Sql> = {
  queue: sql`queue`,
  type: sql`type`,
  user: sql`user_id`,
  runner: sql`runner_id`,
};

interface Whose {
  dimension: Dimension;
  owner: string;
}

/** In the dimension of users each user is a key, and rows have no owner. */
function whoseOf(userId: string | null, by: Dimension): Whose {
  return { dimension: by, owner: by === 'user' ? '' : (userId ?? '') };
}

function rowsOf(userId: string | null, by: Dimension): Sql {
  const { dimension, owner } = whoseOf(userId, by);
  const rows = sql`r.dimension = ${dimension}::rollup_dimension AND r.owner = ${owner}`;
  return by === 'user' ? sql`${rows} AND (${userId}::text IS NULL OR r.key = ${userId})` : rows;
}

function allRowsOf(userId: string | null): Sql {
  return userId === null ? sql`r.dimension = 'all' AND r.owner = ''` : rowsOf(userId, 'user');
}

type Histogram = (typeof HISTOGRAMS)[number];

function single(name: Histogram): Sql {
  const bin = Prisma.raw(`c.${name}_bin`);
  return sql`CASE WHEN ${bin} IS NULL THEN '{}' ELSE ARRAY[${bin}::smallint] END, CASE WHEN ${bin} IS NULL THEN '{}'
      ELSE ARRAY[c.facts] END`;
}

/** Each histogram of an id uses 512 of the id's 2048 numbers. */
function placesOf(name: Histogram, nth: number): Sql {
  return Prisma.raw(
    `SELECT p.id * 2048 + ${nth * 512} + unnest(p.${name}_bins) AS place, unnest(p.${name}_counts) AS n FROM parts p`,
  );
}

function listed(name: Histogram, nth: number): Sql {
  const only = `FILTER (WHERE b.place % 2048 / 512 = ${nth})`;
  return Prisma.raw(
    `array_agg(b.place % 512 ORDER BY b.place) ${only} AS "${name}Bins",
      array_agg(b.n ORDER BY b.place) ${only} AS "${name}Counts"`,
  );
}

function quoted(name: string): Sql {
  return Prisma.raw(`"${name.replace(/_(\w)/g, (_match, letter: string) => letter.toUpperCase())}"`);
}
