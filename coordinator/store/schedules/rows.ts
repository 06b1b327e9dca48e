import type { CatchUpPolicy, OverlapPolicy, Role, ScheduledJob } from '@baton/runner-sdk/protocol';
import { slices } from '../../turns';
import { type Executor, type Sql, sql } from '../db';

/** Settings of a schedule. Times are those of ticks, durations milliseconds. */
export interface ScheduleSettings {
  name: string;
  userId: string | null;
  /** Null: it ticks by `everyMs`; one of the two is set. */
  cron: string | null;
  everyMs: number | null;
  timezone: string;
  job: ScheduledJob;
  overlap: OverlapPolicy;
  catchUp: CatchUpPolicy;
  catchUpWindowMs: number;
  jitterMs: number;
  startsAt: Date | null;
  endsAt: Date | null;
  maxRuns: number | null;
  /** The key in whose name its jobs are created. */
  keyId: string;
  caller: ScheduleCaller;
}

/** The rights of the key that set the job; a key's rights never change. */
export interface ScheduleCaller {
  name: string;
  role: Role;
  userId: string | null;
  queues: string[] | null;
  types: string[] | null;
}

export interface Pause {
  by: string;
  reason: string | null;
}

export interface ScheduleRow extends ScheduleSettings {
  id: string;
  runs: number;
  /** Number of its latest history entry. */
  ticks: number;
  pausedAt: Date | null;
  pausedBy: string | null;
  pausedReason: string | null;
  nextAt: Date | null;
  dueAt: Date | null;
  lastTickAt: Date | null;
  bufferedAt: Date | null;
  supersededBy: string | null;
  createdAt: Date;
  updatedAt: Date;
}

/** A schedule locked for firing, with the database's time. */
export interface LockedSchedule extends ScheduleRow {
  now: Date;
  /** Why jobs can no longer be created in the name of its key; null: they can. */
  keyFault: 'key_revoked' | 'key_expired' | null;
}

/** The table's alias is `s`. */
export const SCHEDULE_COLUMNS = sql`
  s.id, s.name, s.user_id AS "userId", s.cron, s.every_ms::float8 AS "everyMs", s.timezone, s.job, s.overlap,
  s.catch_up AS "catchUp",
  s.catch_up_window_ms::float8 AS "catchUpWindowMs", s.jitter_ms AS "jitterMs", s.starts_at AS "startsAt",
  s.ends_at AS "endsAt",
  s.max_runs AS "maxRuns", s.runs, s.ticks::float8 AS ticks, s.paused_at AS "pausedAt", s.paused_by AS "pausedBy",
  s.paused_reason AS "pausedReason",
  s.next_at AS "nextAt", s.due_at AS "dueAt", s.last_tick_at AS "lastTickAt", s.buffered_at AS "bufferedAt",
  s.superseded_by AS "supersededBy",
  s.key_id AS "keyId", s.caller, s.created_at AS "createdAt", s.updated_at AS "updatedAt"`;

/** A token's caller has no key that could be looked up. */
const KEY_FAULT = sql`
  CASE WHEN s.key_id LIKE 'jwt:%' THEN NULL
    WHEN NOT EXISTS (SELECT FROM api_keys k WHERE k.id = s.key_id AND k.revoked_at IS NULL) THEN 'key_revoked'
    WHEN EXISTS (SELECT FROM api_keys k
      WHERE k.id = s.key_id AND k.expires_at <= now()) THEN 'key_expired' END AS "keyFault"`;

const UNFINISHED = sql`j.schedule_id IS NOT NULL AND j.status IN ('blocked', 'pending', 'running')`;

/** The schedules that a caller sees, by user, queues and types; null: all. */
export interface ScheduleScope {
  userId: string | null;
  queues: string[] | null;
  types: string[] | null;
}

/** When it fires next. */
export interface Next {
  nextAt: Date | null;
  dueAt: Date | null;
}

export async function insert(
  transaction: Executor,
  schedule: ScheduleSettings & Next & { id: string; createdAt: Date; paused: Pause | null },
): Promise<ScheduleRow> {
  const { id, name, userId, cron, everyMs, timezone, job, overlap, catchUp, catchUpWindowMs, jitterMs } = schedule;
  const { startsAt, endsAt, maxRuns, nextAt, dueAt, keyId, caller, createdAt, paused } = schedule;
  const [row] = await transaction.query<ScheduleRow>(sql`
    INSERT INTO schedules AS s (id, name, user_id, cron, every_ms, timezone, job, queue, type, overlap, catch_up,
      catch_up_window_ms, jitter_ms,
      starts_at, ends_at, max_runs, paused_at, paused_by, paused_reason, next_at, due_at, key_id, caller, created_at,
      updated_at)
    VALUES (${id}::uuid, ${name}, ${userId}, ${cron}, ${everyMs}::bigint, ${timezone}, ${JSON.stringify(job)}::json,
      ${job.queue}, ${job.type},
      ${overlap}, ${catchUp}, ${catchUpWindowMs}::bigint, ${jitterMs}::int, ${startsAt}::timestamptz,
      ${endsAt}::timestamptz, ${maxRuns}::int,
      ${paused === null ? null : createdAt}::timestamptz, ${paused?.by ?? null}, ${paused?.reason ?? null},
      ${nextAt}::timestamptz, ${dueAt}::timestamptz,
      ${keyId}, ${JSON.stringify(caller)}::json, ${createdAt}::timestamptz, ${createdAt}::timestamptz)
    RETURNING ${SCHEDULE_COLUMNS}`);
  return stored(row, id);
}

/** Changes a schedule. A paused one loses its buffered tick. */
export async function update(
  transaction: Executor,
  id: string,
  schedule: ScheduleSettings & Next & { paused: Pause | null },
): Promise<ScheduleRow> {
  const { name, cron, everyMs, timezone, job, overlap, catchUp, catchUpWindowMs, jitterMs } = schedule;
  const { startsAt, endsAt, maxRuns, nextAt, dueAt, keyId, caller, paused } = schedule;
  const [row] = await transaction.query<ScheduleRow>(sql`
    UPDATE schedules s SET
      name = ${name}, cron = ${cron}, every_ms = ${everyMs}::bigint, timezone = ${timezone},
      job = ${JSON.stringify(job)}::json, queue = ${job.queue},
      type = ${job.type}, overlap = ${overlap}, catch_up = ${catchUp}, catch_up_window_ms = ${catchUpWindowMs}::bigint,
      jitter_ms = ${jitterMs}::int,
      starts_at = ${startsAt}::timestamptz, ends_at = ${endsAt}::timestamptz, max_runs = ${maxRuns}::int,
      next_at = ${nextAt}::timestamptz, due_at = ${dueAt}::timestamptz, key_id = ${keyId},
      caller = ${JSON.stringify(caller)}::json,
      paused_at = CASE WHEN ${paused !== null}::boolean THEN COALESCE(s.paused_at, now()) END,
      paused_by = ${paused?.by ?? null}, paused_reason = ${paused?.reason ?? null},
      buffered_at = CASE WHEN ${paused === null}::boolean THEN s.buffered_at END,
      updated_at = now()
    WHERE s.id = ${id}::uuid
    RETURNING ${SCHEDULE_COLUMNS}`);
  return stored(row, id);
}

/** @returns null when it does not exist, or is out of scope */
export async function lock(transaction: Executor, scope: ScheduleScope, id: string): Promise<LockedSchedule | null> {
  const [row] = await transaction.query<LockedSchedule>(sql`
    SELECT ${SCHEDULE_COLUMNS}, ${NOW} AS now, ${KEY_FAULT} FROM schedules s
    WHERE s.id = ${id}::uuid AND ${within(scope)} FOR UPDATE OF s`);
  return row ?? null;
}

export async function lockNamed(
  transaction: Executor,
  { userId, name }: Pick<ScheduleSettings, 'userId' | 'name'>,
): Promise<LockedSchedule | null> {
  const [row] = await transaction.query<LockedSchedule>(sql`
    SELECT ${SCHEDULE_COLUMNS}, ${NOW} AS now, ${KEY_FAULT} FROM schedules s
    WHERE COALESCE(s.user_id, '') = COALESCE(${userId}::text, '') AND s.name = ${name} FOR UPDATE OF s`);
  return row ?? null;
}

/** Number of schedules of a user; null: of those without one. */
export async function count(db: Executor, userId: string | null): Promise<number> {
  const [row] = await db.query<{ count: number }>(
    sql`SELECT count(*)::int AS count FROM schedules s WHERE COALESCE(s.user_id, '') = COALESCE(${userId}::text, '')`,
  );
  return row?.count ?? 0;
}

/** Deletes a schedule with its history. Jobs that it created stay. */
export async function remove(transaction: Executor, id: string): Promise<void> {
  await transaction.query(sql`DELETE FROM schedules s WHERE s.id = ${id}::uuid`);
}

/** Jobs are created in the name of the successor of a key from now on. */
export async function passOn(transaction: Executor, keyId: string, successorId: string): Promise<void> {
  await transaction.query(sql`UPDATE schedules s SET key_id = ${successorId} WHERE s.key_id = ${keyId}`);
}

/** Ticks are stored in milliseconds, the precision of JavaScript's dates. */
const NOW = sql`date_trunc('milliseconds', now())`;

export async function readNow(transaction: Executor): Promise<Date> {
  const [row] = await transaction.query<{ now: Date }>(sql`SELECT ${NOW} AS now`);
  if (row === undefined) throw new Error('the database told no time');
  return row.now;
}

/** Most schedules fired together, and most bytes of their jobs. */
export interface BatchSize {
  rows: number;
  bytes: number;
}

export interface LockedBatch {
  /** As many as fit into the batch's bytes, but at least one. */
  schedules: LockedSchedule[];
  /** Whether there may be others, locked or not. */
  hasMore: boolean;
}

/** Locks due schedules, the longest due first, skipping those that another coordinator is firing. */
export function lockDue(transaction: Executor, most: BatchSize): Promise<LockedBatch> {
  return lockBatch(
    transaction,
    most,
    sql`
    SELECT s.id, ${JOB_BYTES} AS bytes FROM schedules s
    WHERE s.due_at <= now() ORDER BY s.due_at LIMIT ${most.rows} FOR UPDATE OF s SKIP LOCKED`,
  );
}

/** The same for schedules whose buffered tick no longer waits for a job. */
export function lockBuffered(transaction: Executor, most: BatchSize): Promise<LockedBatch> {
  return lockBatch(
    transaction,
    most,
    sql`
    SELECT s.id, ${JOB_BYTES} AS bytes FROM schedules s
    WHERE s.buffered_at IS NOT NULL
      AND (SELECT true FROM jobs j WHERE j.schedule_id = s.id AND ${UNFINISHED} LIMIT 1) IS NULL
    ORDER BY s.buffered_at LIMIT ${most.rows} FOR UPDATE OF s SKIP LOCKED`,
  );
}

const JOB_BYTES = sql`octet_length(s.job::text)`;

async function lockBatch(transaction: Executor, most: BatchSize, locking: Sql): Promise<LockedBatch> {
  const locked = await transaction.query<{ id: string; bytes: number }>(locking);
  const [first = []] = slices(locked, ({ bytes }) => bytes, most.bytes);
  if (first.length === 0) return { schedules: [], hasMore: false };
  const schedules = await transaction.query<LockedSchedule>(sql`
    SELECT ${SCHEDULE_COLUMNS}, ${NOW} AS now, ${KEY_FAULT}
    FROM unnest(${first.map(({ id }) => id)}::uuid[]) WITH ORDINALITY AS w (id, nth) JOIN schedules s ON s.id = w.id
    WHERE s.id = ANY (${first.map(({ id }) => id)}::uuid[]) ORDER BY w.nth`);
  return { schedules, hasMore: locked.length === most.rows || first.length < locked.length };
}

/**
 * Which of these have an unfinished job. Run it after they were locked, as a separate statement, so that it sees what
 * the previous owner of the lock committed.
 */
export async function busy(transaction: Executor, ids: string[]): Promise<Set<string>> {
  if (ids.length === 0) return new Set();
  const rows = await transaction.query<{ id: string }>(sql`
    SELECT w.id FROM unnest(${ids}::uuid[]) AS w (id)
    WHERE (SELECT true FROM jobs j WHERE j.schedule_id = w.id AND ${UNFINISHED} LIMIT 1)`);
  return new Set(rows.map((row) => row.id));
}

export interface Fired {
  id: string;
  nextAt: Date | null;
  dueAt: Date | null;
  lastTickAt: Date | null;
  bufferedAt: Date | null;
  supersededBy: string | null;
  /** Number of jobs that its ticks have just created. */
  runs: number;
  /** Number of entries just added to its history. */
  ticks: number;
}

/** Advances locked schedules to their next ticks. */
export async function moveOn(transaction: Executor, fired: Fired[]): Promise<void> {
  if (fired.length === 0) return;
  await transaction.query(sql`
    UPDATE schedules s SET
      next_at = f."nextAt", due_at = f."dueAt", last_tick_at = COALESCE(f."lastTickAt", s.last_tick_at),
      buffered_at = f."bufferedAt",
      superseded_by = COALESCE(f."supersededBy", s.superseded_by), runs = s.runs + f.runs, ticks = s.ticks + f.ticks
    FROM json_to_recordset(${JSON.stringify(fired)}::json) AS f (
      "id" uuid, "nextAt" timestamptz, "dueAt" timestamptz, "lastTickAt" timestamptz, "bufferedAt" timestamptz,
      "supersededBy" uuid, "runs" int, "ticks" int)
    WHERE s.id = f.id AND s.id = ANY (${fired.map(({ id }) => id)}::uuid[])`);
}

/** Unfinished jobs that a later job of their schedule replaced. */
export function superseded(
  db: Executor,
  limit: number,
): Promise<{ scheduleId: string; by: string; jobId: string | null }[]> {
  return db.query(sql`
    SELECT s.id AS "scheduleId", s.superseded_by AS by, j.id AS "jobId" FROM schedules s
    LEFT JOIN jobs j ON j.schedule_id = s.id AND ${UNFINISHED} AND j.id < s.superseded_by
    WHERE s.superseded_by IS NOT NULL LIMIT ${limit}`);
}

/** All jobs that this one replaced have finished. */
export async function settleSuperseded(db: Executor, settled: { scheduleId: string; by: string }[]): Promise<void> {
  if (settled.length === 0) return;
  await db.query(sql`
    UPDATE schedules s SET superseded_by = NULL
    FROM unnest(${settled.map((one) => one.scheduleId)}::uuid[], ${settled.map((one) => one.by)}::uuid[]) AS d (id, by)
    WHERE s.id = d.id AND s.superseded_by = d.by`);
}

/** Whether anything is to be fired, started from a buffer, or cancelled. */
export const HAS_DUE: Sql = sql`(
  EXISTS (SELECT FROM schedules s WHERE s.due_at <= now())
    OR EXISTS (SELECT FROM schedules s WHERE s.superseded_by IS NOT NULL)
  OR EXISTS (SELECT FROM schedules s WHERE s.buffered_at IS NOT NULL))`;

/**
 * In how many milliseconds the next schedule fires, negative when it is late; null: none does. And whether any has a
 * buffered tick.
 */
export async function outlook(db: Executor): Promise<{ dueInMs: number | null; hasBuffered: boolean }> {
  const [row] = await db.query<{ dueInMs: number | null; hasBuffered: boolean }>(sql`
    SELECT extract(epoch FROM (SELECT min(s.due_at) FROM schedules s
      WHERE s.due_at IS NOT NULL) - now())::float8 * 1000 AS "dueInMs",
      EXISTS (SELECT FROM schedules s WHERE s.buffered_at IS NOT NULL) AS "hasBuffered"`);
  return row ?? { dueInMs: null, hasBuffered: false };
}

/** Whether schedule `s` is visible in this scope. */
export function within({ userId, queues, types }: ScheduleScope): Sql {
  return sql`(${userId}::text IS NULL OR s.user_id = ${userId}::text)
      AND (${queues}::text[] IS NULL OR s.queue = ANY (${queues}::text[]))
    AND (${types}::text[] IS NULL OR s.type = ANY (${types}::text[]))`;
}

function stored(row: ScheduleRow | undefined, id: string): ScheduleRow {
  if (row === undefined) throw new Error(`schedule ${id} was not stored`);
  return row;
}
