import type { TickOutcome } from '@baton/runner-sdk/protocol';
import { type Executor, sql } from '../db';
import { SCHEDULE_COLUMNS, type ScheduleRow, type ScheduleScope, within } from '../schedules/rows';
import type { TickRow } from '../schedules/ticks';
import { type Counted, withinBytes } from './within-bytes';

export interface ScheduleFilter {
  name?: string[] | undefined;
  userId?: string[] | undefined;
  queue?: string[] | undefined;
  type?: string[] | undefined;
}

export async function get(db: Executor, scope: ScheduleScope, id: string): Promise<ScheduleRow | null> {
  const [row] = await db.query<ScheduleRow>(
    sql`SELECT ${SCHEDULE_COLUMNS} FROM schedules s WHERE s.id = ${id}::uuid AND ${within(scope)}`,
  );
  return row ?? null;
}

/** Approximate size of a row without its job, in bytes. */
const ROW_BYTES = 1000;

/** Oldest first; `after` is the id of the last row of the previous page. */
export function page(
  db: Executor,
  scope: ScheduleScope,
  { name, userId, queue, type }: ScheduleFilter,
  after: string | null,
  limit: number,
): Promise<(ScheduleRow & Counted)[]> {
  const chosen = sql`
    SELECT ${SCHEDULE_COLUMNS}, ${ROW_BYTES}::int + octet_length(s.job::text) AS bytes FROM schedules s
    WHERE ${within(scope)} AND (${after}::uuid IS NULL OR s.id > ${after}::uuid)
      AND (${name ?? null}::text[] IS NULL OR s.name = ANY (${name ?? null}::text[]))
      AND (${userId ?? null}::text[] IS NULL OR s.user_id = ANY (${userId ?? null}::text[]))
      AND (${queue ?? null}::text[] IS NULL OR s.queue = ANY (${queue ?? null}::text[]))
      AND (${type ?? null}::text[] IS NULL OR s.type = ANY (${type ?? null}::text[]))
    ORDER BY s.id LIMIT ${limit}`;
  return db.query(withinBytes(chosen, sql`p.id`));
}

/** Latest first; `before` is the number of the last row of the previous page. */
export function ticks(
  db: Executor,
  scheduleId: string,
  outcomes: TickOutcome[] | null,
  before: number | null,
  limit: number,
): Promise<TickRow[]> {
  return db.query(sql`
    SELECT t.nth::float8 AS nth, t.at, t.outcome, t.trigger, t.job_id AS "jobId", t.reason, t.message,
      t.recorded_at AS "recordedAt"
    FROM schedule_ticks t
    WHERE t.schedule_id = ${scheduleId}::uuid AND (${before}::bigint IS NULL OR t.nth < ${before}::bigint)
      AND (${outcomes}::tick_outcome[] IS NULL OR t.outcome = ANY (${outcomes}::tick_outcome[]))
    ORDER BY t.nth DESC LIMIT ${limit}`);
}

export interface ScheduleCounts {
  byStatus: { active: number; paused: number; ended: number };
  /** How late the longest overdue tick is; 0: none is due. */
  overdueMs: number;
}

export async function countSchedules(db: Executor): Promise<ScheduleCounts> {
  const [row] = await db.query<ScheduleCounts['byStatus'] & { overdueMs: number }>(sql`
    SELECT count(*) FILTER (WHERE s.due_at IS NOT NULL)::int AS active,
      count(*) FILTER (WHERE s.paused_at IS NOT NULL)::int AS paused,
      count(*) FILTER (WHERE s.due_at IS NULL AND s.paused_at IS NULL)::int AS ended,
      COALESCE(GREATEST(0, extract(epoch FROM now() - min(s.due_at))), 0)::float8 * 1000 AS "overdueMs"
    FROM schedules s`);
  const { overdueMs, ...byStatus } = row ?? { active: 0, paused: 0, ended: 0, overdueMs: 0 };
  return { byStatus, overdueMs };
}
