import type { JobStatus } from '@baton/runner-sdk/protocol';
import { type Executor, type Sql, sql } from './db';

/** A place in the order of events. */
export interface Position {
  xact: number;
  id: number;
}

export interface EventRow extends Position {
  at: Date;
  name: string;
  /** Null, like the rest of a job's, for events of other things. */
  jobId: string | null;
  type: string | null;
  queue: string | null;
  userId: string | null;
  status: JobStatus | null;
  attempt: number | null;
  runnerId: string | null;
  details: Record<string, unknown> | null;
  /** Of the end of a job that has one. */
  callback: Callback | null;
}

/** Where the end of a job is told, and whose secret signs it: a user's, or (null) the installation's. */
export interface Callback {
  url: string;
  userId: string | null;
}

/**
 * A CTE, `recorded`, that writes down what the statement around it did to the jobs of the CTE `from`, if somebody
 * watches them: so an event is there if, and only if, its transition is. While nobody watches anything it is one probe
 * of an empty table. Listeners watch all events of a scope; webhooks those of one name, with the name after a space.
 * @param name of the event; like `details`, an expression over a row `e` of `from`
 * @param callback where to tell that the job has finished, for statements that finish jobs
 */
export function recorded(
  from: Sql,
  name: Sql,
  {
    details = sql`NULL::json`,
    status = sql`e.status`,
    callback = sql`NULL::json`,
  }: { details?: Sql; status?: Sql; callback?: Sql } = {},
): Sql {
  return sql`recorded AS (
    INSERT INTO events (xact, at, name, job_id, type, queue, user_id, status, attempt, runner_id, details, callback)
    SELECT pg_current_xact_id()::text::bigint, now(), ${name}, e.id, e.type, e.queue, e."userId", ${status}, e.attempt, e."runnerId", ${details}, ${callback}
    FROM ${from} e
    WHERE ${callback} IS NOT NULL OR ((SELECT EXISTS (SELECT FROM event_watches w WHERE w.until_at > now())) AND EXISTS (
      SELECT FROM event_watches w
      WHERE w.scope = ANY (ARRAY['all', 'job:' || e.id, 'queue:' || e.queue, 'type:' || e.type, 'user:' || e."userId",
          'all ' || ${name}, 'queue:' || e.queue || ' ' || ${name}, 'type:' || e.type || ' ' || ${name}, 'user:' || e."userId" || ' ' || ${name}])
        AND w.until_at > now()))
  )`;
}

/** Writes down what happened to something else than a job. `userId`: whose affair it is; null: the operators'. */
export async function tell(
  db: Executor,
  event: { name: string; userId: string | null; details: Record<string, unknown> },
): Promise<void> {
  await db.query(sql`
    INSERT INTO events (xact, at, name, user_id, details)
    VALUES (pg_current_xact_id()::text::bigint, now(), ${event.name}, ${event.userId}, ${JSON.stringify(event.details)}::json)`);
}

/** Events of these scopes are written down from now on, for at least `forMs`. Returns since when they are. */
export async function watch(db: Executor, scopes: string[], forMs: number): Promise<Map<string, number>> {
  const rows = await db.query<{ scope: string; since: number }>(sql`
    INSERT INTO event_watches AS w (scope, since, until_at)
    SELECT s.scope, pg_snapshot_xmin(pg_current_snapshot())::text::bigint, now() + ${forMs}::float8 * interval '1 ms'
    FROM unnest(${[...new Set(scopes)].sort()}::text[]) AS s (scope)
    ON CONFLICT (scope) DO UPDATE SET
      since = CASE WHEN w.until_at <= now() THEN EXCLUDED.since ELSE w.since END, until_at = GREATEST(w.until_at, EXCLUDED.until_at)
    RETURNING w.scope, w.since::float8 AS since`);
  return new Map(rows.map(({ scope, since }) => [scope, since]));
}

/** All transactions before this one have ended. */
export async function horizon(db: Executor): Promise<number> {
  const [row] = await db.query<{ xact: number }>(
    sql`SELECT pg_snapshot_xmin(pg_current_snapshot())::text::float8 AS xact`,
  );
  return row?.xact ?? 0;
}

/** The next events after a place, and the place up to which there are no others. */
export async function read(
  db: Executor,
  after: Position,
  limit: number,
): Promise<{ events: EventRow[]; upTo: Position }> {
  const rows = await db.query<EventRow & { horizon: number }>(sql`
    SELECT h.xact AS horizon, e.xact::float8 AS xact, e.id::float8 AS id, e.at, e.name, e.job_id AS "jobId", e.type, e.queue, e.user_id AS "userId",
      e.status, e.attempt, e.runner_id AS "runnerId", e.details, e.callback
    FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xact) h
    LEFT JOIN LATERAL (
      SELECT * FROM events e WHERE (e.xact, e.id) > (${after.xact}::bigint, ${after.id}::bigint) AND e.xact < h.xact
      ORDER BY e.xact, e.id LIMIT ${limit}
    ) e ON true`);
  const events = rows.filter((row) => row.name !== null);
  const last = events.at(-1);
  if (events.length === limit && last !== undefined) return { events, upTo: last };
  return { events, upTo: { xact: Math.max(after.xact, Number(rows[0]?.horizon ?? 0)), id: 0 } };
}

/**
 * Deletes the oldest events, if they are so old, and watches that are over. Those that have not become deliveries yet are
 * kept for up to `mostMs`. Returns how many events.
 */
export async function prune(
  db: Executor,
  { keepMs, mostMs }: { keepMs: number; mostMs: number },
  limit: number,
): Promise<number> {
  await db.query(sql`DELETE FROM event_watches w WHERE w.until_at <= now() AND w.scope = ANY (ARRAY(
    SELECT o.scope FROM event_watches o WHERE o.until_at <= now() ORDER BY o.scope FOR UPDATE SKIP LOCKED))`);
  const gone = await db.query(sql`
    DELETE FROM events e USING (
      SELECT o.xact, o.id FROM (SELECT * FROM events ORDER BY xact, id LIMIT ${limit}) o CROSS JOIN (SELECT * FROM webhook_outbox WHERE id = 1) b
      WHERE o.at < now() - ${keepMs}::float8 * interval '1 ms'
        AND ((o.xact, o.id) <= (b.xact, b.event_id) OR o.at < now() - ${mostMs}::float8 * interval '1 ms')
    ) old
    WHERE e.xact = old.xact AND e.id = old.id RETURNING e.id`);
  return gone.length;
}
