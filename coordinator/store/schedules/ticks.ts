import type { ScheduleTick, TickOutcome } from '@baton/runner-sdk/protocol';
import { type Executor, sql } from '../db';

export interface TickRow {
  nth: number;
  at: Date;
  outcome: TickOutcome;
  trigger: ScheduleTick['trigger'];
  jobId: string | null;
  reason: string | null;
  message: string | null;
  recordedAt: Date;
}

export interface NewTick extends Omit<TickRow, 'recordedAt'> {
  scheduleId: string;
}

/** Most history entries of a schedule. */
export const MOST_TICKS = 1000;
const KEEP_MS = 7 * 86_400_000;

/** Adds to the histories of locked schedules, and removes the entries beyond the maximum. */
export async function insert(transaction: Executor, ticks: NewTick[]): Promise<void> {
  if (ticks.length === 0) return;
  await transaction.query(sql`
    WITH added AS (
      INSERT INTO schedule_ticks (schedule_id, nth, at, outcome, trigger, job_id, reason, message, recorded_at)
      SELECT t."scheduleId", t.nth, t.at, t.outcome, t.trigger, t."jobId", t.reason, t.message, now()
      FROM json_to_recordset(${JSON.stringify(ticks)}::json) AS t (
        "scheduleId" uuid, "nth" bigint, "at" timestamptz, "outcome" tick_outcome, "trigger" tick_trigger,
        "jobId" uuid, "reason" text, "message" text)
      RETURNING schedule_id, nth
    ), latest AS (SELECT a.schedule_id, max(a.nth) AS nth FROM added a GROUP BY 1)
    DELETE FROM schedule_ticks t USING latest l WHERE t.schedule_id = l.schedule_id
      AND t.nth <= l.nth - ${MOST_TICKS}::bigint`);
}

/** What is already stored about these ticks of locked schedules; manual runs are not ticks. */
export function known(
  transaction: Executor,
  ticks: { scheduleId: string; at: Date }[],
): Promise<{ scheduleId: string; at: Date; outcome: TickOutcome }[]> {
  return transaction.query(sql`
    SELECT t.schedule_id AS "scheduleId", t.at, t.outcome FROM unnest(
      ${ticks.map((one) => one.scheduleId)}::uuid[],
      ${ticks.map((one) => one.at.toISOString())}::timestamptz[]) AS w (id, at)
    JOIN schedule_ticks t ON t.schedule_id = w.id AND t.at = w.at AND t.trigger <> 'run'`);
}

/** buffered -> its final outcome. */
export async function settleBuffered(
  transaction: Executor,
  ticks: Pick<NewTick, 'scheduleId' | 'at' | 'outcome' | 'jobId' | 'reason' | 'message'>[],
): Promise<void> {
  if (ticks.length === 0) return;
  await transaction.query(sql`
    UPDATE schedule_ticks t SET outcome = b.outcome, job_id = b."jobId", reason = b.reason, message = b.message,
      recorded_at = now()
    FROM json_to_recordset(${JSON.stringify(ticks)}::json) AS b (
      "scheduleId" uuid, "at" timestamptz, "outcome" tick_outcome, "jobId" uuid, "reason" text, "message" text)
    WHERE t.schedule_id = b."scheduleId" AND t.at = b.at AND t.outcome = 'buffered'`);
}

/** Removes the outcomes of ticks that are to be backfilled. */
export async function forget(transaction: Executor, scheduleId: string, at: Date[]): Promise<void> {
  if (at.length === 0) return;
  await transaction.query(sql`
    DELETE FROM schedule_ticks t
    WHERE t.schedule_id = ${scheduleId}::uuid AND t.at = ANY (${at.map((one) => one.toISOString())}::timestamptz[])
      AND t.trigger <> 'run'`);
}

/** Deletes entries that were kept long enough. Returns how many. */
export async function prune(db: Executor, limit: number): Promise<number> {
  const rows = await db.query(sql`
    DELETE FROM schedule_ticks t USING (
      SELECT o.schedule_id, o.nth FROM schedule_ticks o
      WHERE o.recorded_at < now() - ${KEEP_MS}::float8 * interval '1 ms' AND o.outcome <> 'buffered'
      ORDER BY o.recorded_at LIMIT ${limit} FOR UPDATE SKIP LOCKED
    ) old WHERE t.schedule_id = old.schedule_id AND t.nth = old.nth RETURNING 1`);
  return rows.length;
}
