import type { AlertMeasure, AlertState } from '@baton/runner-sdk/protocol';
import { type Executor, type Sql, sql } from './db';
import { READY_LANES } from './lanes';
import { newId } from './views/clock';
import { FINISHED_QUEUES } from './queues';

export interface AlertSettings {
  name: string;
  measure: AlertMeasure;
  threshold: number;
  windowMs: number;
  forMs: number;
  queue: string | null;
  type: string | null;
  message: string | null;
  recoveredMessage: string | null;
  enabled: boolean;
}

export interface AlertRow extends AlertSettings {
  id: string;
  state: AlertState;
  since: Date;
  value: number | null;
  evaluatedAt: Date | null;
  createdAt: Date;
  updatedAt: Date;
}

export interface DueAlert extends AlertRow {
  /** Time since it entered its state, in milliseconds. */
  stateMs: number;
}

export const ALERT_COLUMNS = sql`
  a.id, a.name, a.measure, a.threshold, a.window_ms AS "windowMs", a.for_ms AS "forMs", a.queue, a.type, a.message,
  a.recovered_message AS "recoveredMessage", a.is_enabled AS "enabled", a.state, a.since, a.value,
  a.evaluated_at AS "evaluatedAt",
  a.created_at AS "createdAt", a.updated_at AS "updatedAt"`;

export async function insert(db: Executor, alert: AlertSettings): Promise<AlertRow> {
  const { name, measure: of, threshold, windowMs, forMs, queue, type, message, recoveredMessage, enabled } = alert;
  const [row] = await db.query<AlertRow>(sql`
    INSERT INTO alerts AS a (id, name, measure, threshold, window_ms, for_ms, queue, type, message, recovered_message,
      is_enabled, state, since, created_at, updated_at)
    VALUES (${newId(sql`0`)}, ${name}, ${of}, ${threshold}::float8, ${windowMs}::int, ${forMs}::int, ${queue}, ${type},
      ${message}, ${recoveredMessage},
      ${enabled}::boolean, 'ok', now(), now(), now())
    RETURNING ${ALERT_COLUMNS}`);
  return stored(row, name);
}

/**
 * Changes a rule, which is evaluated anew at once. A rule that is disabled, or now measures something else, starts
 * over.
 */
export async function update(transaction: Executor, former: AlertRow, alert: AlertSettings): Promise<AlertRow> {
  const { name, measure: of, threshold, windowMs, forMs, queue, type, message, recoveredMessage, enabled } = alert;
  const [row] = await transaction.query<AlertRow>(sql`
    UPDATE alerts a SET
      name = ${name}, measure = ${of}, threshold = ${threshold}::float8, window_ms = ${windowMs}::int,
      for_ms = ${forMs}::int, queue = ${queue}, type = ${type},
      message = ${message}, recovered_message = ${recoveredMessage}, is_enabled = ${enabled}::boolean,
      state = CASE WHEN ${enabled}::boolean THEN a.state ELSE 'ok' END,
      since = CASE WHEN ${enabled}::boolean OR a.state = 'ok' THEN a.since ELSE now() END,
      evaluated_at = NULL, updated_at = now()
    WHERE a.id = ${former.id}::uuid
    RETURNING ${ALERT_COLUMNS}`);
  return stored(row, former.id);
}

export async function get(db: Executor, id: string): Promise<AlertRow | null> {
  const [row] = await db.query<AlertRow>(sql`SELECT ${ALERT_COLUMNS} FROM alerts a WHERE a.id = ${id}::uuid`);
  return row ?? null;
}

export async function lock(transaction: Executor, id: string): Promise<AlertRow | null> {
  const [row] = await transaction.query<AlertRow>(
    sql`SELECT ${ALERT_COLUMNS} FROM alerts a WHERE a.id = ${id}::uuid FOR UPDATE`,
  );
  return row ?? null;
}

export async function remove(transaction: Executor, id: string): Promise<void> {
  await transaction.query(sql`DELETE FROM alerts a WHERE a.id = ${id}::uuid`);
}

/** Whether there is anything for `lockDue`. */
export function hasDue(everyMs: number): Sql {
  return sql`EXISTS (SELECT FROM alerts a WHERE ${isDue(everyMs)})`;
}

/** Locks rules that were last evaluated at least `everyMs` ago, skipping those that another coordinator has locked. */
export function lockDue(transaction: Executor, everyMs: number, limit: number): Promise<DueAlert[]> {
  return transaction.query(sql`
    SELECT ${ALERT_COLUMNS}, extract(epoch FROM now() - a.since)::float8 * 1000 AS "stateMs" FROM alerts a
    WHERE ${isDue(everyMs)}
    ORDER BY a.evaluated_at NULLS FIRST, a.id LIMIT ${limit} FOR UPDATE SKIP LOCKED`);
}

function isDue(everyMs: number): Sql {
  return sql`a.is_enabled
      AND (a.evaluated_at IS NULL OR a.evaluated_at <= now() - ${everyMs}::float8 * interval '1 ms')`;
}

/** Moves a rule from the state in which it was locked. */
export async function move(
  transaction: Executor,
  alert: AlertRow,
  state: AlertState,
  value: number | null,
): Promise<void> {
  await transaction.query(sql`
    UPDATE alerts a SET state = ${state}::alert_state, since = CASE WHEN a.state = ${state}::alert_state THEN a.since
      ELSE now() END,
      value = ${value}::float8, evaluated_at = now()
    WHERE a.id = ${alert.id}::uuid AND a.state = ${alert.state}::alert_state`);
}

/** The current value of what a rule measures; null: there is nothing to measure. */
export async function measure(
  db: Executor,
  alert: Pick<AlertSettings, 'measure' | 'windowMs' | 'queue' | 'type'>,
): Promise<number | null> {
  const [row] = await db.query<{ value: number | null }>(MEASURES[alert.measure](alert));
  return row?.value ?? null;
}

type Scope = Pick<AlertSettings, 'windowMs' | 'queue' | 'type'>;

/** Finished jobs are found by queue and time, waiting ones lane by lane, running ones in their own small index. */
const MEASURES: Record<AlertMeasure, (scope: Scope) => Sql> = {
  failureRate: (scope) => sql`
    SELECT (sum(e.failed) / NULLIF(sum(e.ended), 0))::float8 AS value FROM ${queuesOf(scope)} q CROSS JOIN LATERAL (
      SELECT count(*) AS ended, count(*) FILTER (WHERE j.status = 'failed') AS failed FROM jobs j
      WHERE j.queue = q.name AND j.status IN ('completed', 'failed')
        AND j.finished_at > now() - ${scope.windowMs}::float8 * interval '1 ms'
        AND (${scope.type}::text IS NULL OR j.type = ${scope.type}::text)) e`,
  deadLetters: (scope) => sql`
    SELECT sum(e.failed)::float8 AS value FROM ${queuesOf(scope)} q CROSS JOIN LATERAL (
      SELECT count(*) AS failed FROM jobs j
      WHERE j.queue = q.name AND j.status = 'failed'
        AND j.finished_at > now() - ${scope.windowMs}::float8 * interval '1 ms'
        AND (${scope.type}::text IS NULL OR j.type = ${scope.type}::text)) e`,
  depth: (scope) => sql`SELECT count(*)::float8 AS value FROM (${dueOf(scope)}) d`,
  oldestAgeMs: (scope) =>
    sql`SELECT extract(epoch FROM now() - min(d.run_at))::float8 * 1000 AS value FROM (${dueOf(scope)}) d`,
  runnersLost: (scope) => sql`
    SELECT count(*)::float8 AS value FROM runners r
    WHERE r.last_seen_at < now() - interval '1 minute'
      AND r.last_seen_at >= now() - interval '1 minute' - ${scope.windowMs}::float8 * interval '1 ms'
      AND r.draining_since IS NULL AND r.stopped_at IS NULL
        AND (${scope.type}::text IS NULL OR ${scope.type}::text = ANY (r.types))
      AND (${scope.queue}::text IS NULL OR r.queues = '{}' OR ${scope.queue}::text = ANY (r.queues))`,
  monitorLagMs: (scope) => sql`
    SELECT GREATEST(0,
      extract(epoch FROM now() - min(LEAST(j.lease_expires_at, j.deadline_at)))::float8 * 1000) AS value FROM jobs j
    WHERE j.status = 'running' AND (${scope.queue}::text IS NULL OR j.queue = ${scope.queue}::text)
      AND (${scope.type}::text IS NULL OR j.type = ${scope.type}::text)`,
};

function queuesOf({ queue }: Scope): Sql {
  return sql`(SELECT f.name FROM ${FINISHED_QUEUES} f WHERE ${queue}::text IS NULL OR f.name = ${queue}::text)`;
}

/** Jobs that could run now if there were a runner, and no limit or key held them back. */
function dueOf({ queue, type }: Scope): Sql {
  const scoped = sql`(${queue}::text IS NULL OR j.queue = ${queue}::text)
      AND (${type}::text IS NULL OR j.type = ${type}::text)`;
  return sql`
    SELECT w.run_at FROM ${READY_LANES} l CROSS JOIN LATERAL (
      SELECT j.run_at FROM jobs j WHERE j.lane_id = l.lane_id AND j.status = 'pending'
        AND j.position IS NOT NULL OFFSET 0) w
    WHERE (${queue}::text IS NULL OR l.queue = ${queue}::text) AND (${type}::text IS NULL OR l.type = ${type}::text)
    UNION ALL SELECT j.run_at FROM jobs j WHERE j.status = 'pending' AND j.position IS NULL AND j.hold IS NULL
      AND j.run_at <= now() AND ${scoped}
    UNION ALL SELECT j.run_at FROM jobs j WHERE j.hold = 'key' AND j.run_at <= now() AND ${scoped}
    UNION ALL SELECT j.run_at FROM jobs j WHERE j.hold = 'order' AND j.run_at <= now() AND ${scoped}`;
}

function stored(row: AlertRow | undefined, id: string): AlertRow {
  if (row === undefined) throw new Error(`alert ${id} was not stored`);
  return row;
}
