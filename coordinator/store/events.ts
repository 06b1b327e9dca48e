import type { JobStatus } from '@baton/runner-sdk/protocol';
import { type Connections, type Executor, type Sql, sql } from './db';

export interface EventRow {
  /** Its position in the order in which events are read. */
  position: number;
  at: Date;
  name: string;
  /** Null, like the other fields of jobs, for events that are not about a job. */
  jobId: string | null;
  type: string | null;
  queue: string | null;
  userId: string | null;
  status: JobStatus | null;
  attempt: number | null;
  runnerId: string | null;
  details: Record<string, unknown> | null;
  /** For the end of a job with a callback. */
  callback: Callback | null;
}

/** Where the end of a job is reported, and whose secret signs the report: a user's, or (null) the installation's. */
export interface Callback {
  url: string;
  userId: string | null;
}

/**
 * A CTE, `inserted_events`, that stores events of what the enclosing statement did to the jobs of the CTE `from`, if
 * anybody watches them. So an event exists if, and only if, its transition does. While nobody watches anything it is
 * one probe of an empty table. Listeners watch all events of a scope; webhooks those of one name, which follows the
 * scope after a space.
 * @param name of the event; like `details`, an expression over a row `e` of `from`
 * @param callback where to report that the job has finished, for statements that finish jobs
 */
export function insertEvents(
  from: Sql,
  name: Sql,
  {
    details = sql`NULL::json`,
    status = sql`e.status`,
    callback = sql`NULL::json`,
  }: { details?: Sql; status?: Sql; callback?: Sql } = {},
): Sql {
  return sql`inserted_events AS (
    INSERT INTO events (at, name, job_id, type, queue, user_id, status, attempt, runner_id, details, callback)
    SELECT now(), ${name}, e.id, e.type, e.queue, e."userId", ${status}, e.attempt, e."runnerId", ${details},
      ${callback}
    FROM ${from} e
    WHERE ${callback} IS NOT NULL
      OR ((SELECT EXISTS (SELECT FROM event_watches w WHERE w.until_at > now())) AND EXISTS (
      SELECT FROM event_watches w
      WHERE w.scope = ANY (ARRAY['all', 'job:' || e.id, 'queue:' || e.queue, 'type:' || e.type, 'user:' || e."userId",
          'all ' || ${name}, 'queue:' || e.queue || ' ' || ${name}, 'type:' || e.type || ' ' || ${name},
          'user:' || e."userId" || ' ' || ${name}])
        AND w.until_at > now()))
  )`;
}

/** Stores an event that is not about a job. `userId`: the user it concerns; null: the operators. */
export async function tell(
  db: Executor,
  event: { name: string; userId: string | null; details: Record<string, unknown> },
): Promise<void> {
  await db.query(sql`
    INSERT INTO events (at, name, user_id, details)
    VALUES (now(), ${event.name}, ${event.userId}, ${JSON.stringify(event.details)}::json)`);
}

/** The same for several events. */
export async function tellAll(
  db: Executor,
  events: { name: string; userId: string | null; details: Record<string, unknown> }[],
): Promise<void> {
  if (events.length === 0) return;
  await db.query(sql`
    INSERT INTO events (at, name, user_id, details)
    SELECT now(), e.name, e."userId", e.details
    FROM json_to_recordset(${JSON.stringify(events)}::json) AS e ("name" text, "userId" text, "details" json)`);
}

/**
 * Gives positions to events whose transactions have ended, in the order of their ids, which for one job is the order in
 * which things happened to it. Only one publisher runs at a time, so a reader never meets a position lower than one it
 * has read. Positions are the log's own, so they stay valid when the tables are restored in another cluster.
 * @returns the last position given
 */
export async function publish(transaction: Executor): Promise<number> {
  // A separate statement: the next one must see what was committed while this one waited for the lock.
  await transaction.query(sql`SELECT l.id FROM event_log l WHERE l.id = 1 FOR UPDATE`);
  const [row] = await transaction.query<{ position: number }>(sql`
    WITH fresh AS MATERIALIZED (
      SELECT e.id, row_number() OVER (ORDER BY e.id) AS nth FROM events e WHERE e.position IS NULL
    ), placed AS (
      UPDATE events e SET position = l.position + f.nth FROM fresh f CROSS JOIN event_log l
      -- By id, so that a plan made while there were few events does not read all of them.
      WHERE e.id = ANY (ARRAY(SELECT id FROM fresh)) AND e.id = f.id AND l.id = 1
    )
    UPDATE event_log l SET position = l.position + (SELECT count(*) FROM fresh) WHERE l.id = 1
    RETURNING l.position::float8 AS position`);
  return row?.position ?? 0;
}

/** Whether there are events without a position. */
export const HAS_UNPUBLISHED = sql`EXISTS (SELECT FROM events e WHERE e.position IS NULL)`;

export interface Watch {
  /** Events of the scope exist from this position on. */
  since: number;
  /** They were not stored until now. */
  isNew: boolean;
}

/** Stores events of these scopes from now on, for at least `forMs`. */
export function watch(db: Connections, scopes: string[], forMs: number): Promise<Map<string, Watch>> {
  return db.transaction(async (transaction) => {
    // Earlier events have positions up to this one.
    const since = await publish(transaction);
    const rows = await transaction.query<{ scope: string } & Watch>(sql`
      WITH watched AS MATERIALIZED (
        SELECT w.scope FROM event_watches w WHERE w.scope = ANY (${scopes}::text[]) AND w.until_at > now()
      )
      INSERT INTO event_watches AS w (scope, since, until_at)
      SELECT s.scope, ${since}::bigint, now() + ${forMs}::float8 * interval '1 ms'
      FROM unnest(${[...new Set(scopes)].sort()}::text[]) AS s (scope)
      ON CONFLICT (scope) DO UPDATE SET
        since = CASE WHEN w.until_at <= now() THEN EXCLUDED.since ELSE w.since END,
        until_at = GREATEST(w.until_at, EXCLUDED.until_at)
      RETURNING w.scope, w.since::float8 AS since, w.scope NOT IN (SELECT scope FROM watched) AS "isNew"`);
    return new Map(rows.map(({ scope, ...row }) => [scope, row]));
  });
}

/** Stores events of these scopes for at most `forMs` more, unless they are watched again. */
export async function shorten(db: Executor, scopes: string[], forMs: number): Promise<void> {
  if (scopes.length === 0) return;
  await db.query(sql`
    UPDATE event_watches w SET until_at = now() + ${forMs}::float8 * interval '1 ms'
    WHERE w.scope = ANY (${scopes}::text[]) AND w.until_at <> 'infinity'
      AND w.until_at > now() + ${forMs}::float8 * interval '1 ms'`);
}

/** The last position given. */
export async function lastPosition(db: Executor): Promise<number> {
  const [row] = await db.query<{ position: number }>(
    sql`SELECT l.position::float8 AS position FROM event_log l WHERE l.id = 1`,
  );
  return row?.position ?? 0;
}

export interface EventPage {
  events: EventRow[];
  /**
   * The position up to which there are no further events; less than `after` when the tables were restored to an earlier
   * state.
   */
  upTo: number;
  /** Whether there is more to read now: the page is full, or there were events without a position. */
  hasMore: boolean;
}

/** The next events after a position. Events without a position get one, and come with the next page. */
export async function read(db: Connections, after: number, limit: number): Promise<EventPage> {
  const { hasUnpublished, ...page } = await readPublished(db, after, limit);
  if (!hasUnpublished) return page;
  await db.transaction(publish);
  return { ...page, hasMore: true };
}

/** The same for events that have a position, within a transaction that must not block publishers. */
export async function readPublished(
  db: Executor,
  after: number,
  limit: number,
): Promise<EventPage & { hasUnpublished: boolean }> {
  const rows = await db.query<EventRow & { last: number; hasUnpublished: boolean }>(sql`
    SELECT l.position::float8 AS last, ${HAS_UNPUBLISHED} AS "hasUnpublished", e.position::float8 AS position, e.at,
      e.name, e.job_id AS "jobId", e.type,
      e.queue, e.user_id AS "userId", e.status, e.attempt, e.runner_id AS "runnerId", e.details, e.callback
    FROM event_log l
    LEFT JOIN LATERAL (
      SELECT * FROM events e WHERE e.position > ${after}::bigint ORDER BY e.position LIMIT ${limit}
    ) e ON true
    WHERE l.id = 1`);
  const events = rows.filter((row) => row.name !== null);
  const isFull = events.length === limit;
  const last = events.at(-1);
  return {
    events,
    upTo: isFull && last !== undefined ? last.position : Number(rows[0]?.last ?? after),
    hasMore: isFull,
    hasUnpublished: rows[0]?.hasUnpublished === true,
  };
}

/**
 * Deletes events older than `keepMs`, oldest first, and watches that are over. Events that have not become deliveries
 * yet are kept for up to `mostMs`. Returns how many events were deleted.
 */
export async function prune(
  db: Executor,
  { keepMs, mostMs }: { keepMs: number; mostMs: number },
  limit: number,
): Promise<number> {
  await db.query(sql`DELETE FROM event_watches w WHERE w.until_at <= now() AND w.scope = ANY (ARRAY(
    SELECT o.scope FROM event_watches o WHERE o.until_at <= now() ORDER BY o.scope FOR UPDATE SKIP LOCKED))`);
  // A listener that resumes a scope from before the deleted events is told of the gap, even if others kept the scope
  // watched.
  const [pruned] = await db.query<{ count: number }>(sql`
    WITH gone AS (DELETE FROM events e USING (
      SELECT o.id FROM (SELECT * FROM events ORDER BY id LIMIT ${limit}) o
      CROSS JOIN (SELECT * FROM webhook_outbox WHERE id = 1) b
      WHERE o.at < now() - ${keepMs}::float8 * interval '1 ms'
        AND (o.position <= b.position OR o.at < now() - ${mostMs}::float8 * interval '1 ms')
    ) old
    WHERE e.id = old.id RETURNING e.position, e.job_id, e.queue, e.type, e.user_id
    ), lost AS (
      SELECT s.scope, max(e.position) AS position FROM gone e CROSS JOIN LATERAL unnest(
        ARRAY['all', 'job:' || e.job_id, 'queue:' || e.queue, 'type:' || e.type, 'user:' || e.user_id]) AS s (scope)
      GROUP BY 1
    ), late AS MATERIALIZED (
      SELECT w.scope, l.position FROM event_watches w JOIN lost l ON l.scope = w.scope
      WHERE w.since < l.position ORDER BY w.scope FOR UPDATE OF w
    ), moved AS (
      UPDATE event_watches w SET since = l.position FROM late l WHERE w.scope = l.scope AND w.since < l.position
    )
    SELECT count(*)::int AS count FROM gone`);
  return pruned?.count ?? 0;
}
