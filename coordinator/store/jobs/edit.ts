import { type Executor, sql } from '../db';
import type { JobRow } from './fields';
import type { InsertJob } from './new-job';
import { JOB_COLUMNS } from './row';

export interface Edit {
  jobId: string;
  userId: string | null;
  priority?: number | undefined;
  laneId?: number | undefined;
  /** ISO-8601; in the past means now. */
  runAt?: string | undefined;
  runNow?: boolean | undefined;
  tags?: string[] | undefined;
}

/** blocked, pending -> the same, with another priority, runAt or tags. */
export function edit(db: Executor, wanted: Edit): Promise<JobRow[]> {
  return db.query(sql`
    UPDATE jobs j SET
      priority = COALESCE(${wanted.priority ?? null}::smallint, j.priority),
      lane_id = COALESCE(${wanted.laneId ?? null}::int, j.lane_id),
      -- With another priority or runAt it is promoted anew, because its old position means nothing. A job that is
      -- already due keeps its position when it is to run now.
      position = CASE WHEN ${wanted.laneId === undefined && wanted.runAt === undefined}::boolean THEN j.position END,
      -- Whether its key still holds it is decided when it is due.
      hold = CASE WHEN ${wanted.runAt !== undefined}::boolean THEN NULLIF(j.hold, 'key') ELSE j.hold END,
      run_at = CASE WHEN ${wanted.runNow === true}::boolean THEN now()
        ELSE COALESCE(GREATEST(${wanted.runAt ?? null}::timestamptz, CASE
          WHEN ${wanted.runAt ?? null}::timestamptz IS NOT NULL THEN now() END), j.run_at) END,
      tags = COALESCE(${wanted.tags ?? null}::text[], j.tags),
      updated_at = now()
    WHERE j.id = ${wanted.jobId}::uuid AND j.status IN ('blocked', 'pending')
      AND (${wanted.userId}::text IS NULL OR j.user_id = ${wanted.userId}::text)
    RETURNING ${JOB_COLUMNS}`);
}

/** blocked, pending -> the same, with the arguments, runAt and metadata of a newer create with the same unique key. */
export function replaceWaiting(db: Executor, jobId: string, input: InsertJob): Promise<JobRow[]> {
  return db.query(sql`
    UPDATE jobs j SET
      arguments = ${JSON.stringify(input.arguments)}::json,
      metadata = COALESCE(${input.metadata === undefined ? null : JSON.stringify(input.metadata)}::json,
        j.metadata),
      run_at = GREATEST(now(), ${input.runAt ?? null}::timestamptz,
        now() + ${input.delayMs ?? null}::float8 * interval '1 ms'),
      position = NULL, hold = NULLIF(j.hold, 'key'), updated_at = now()
    WHERE j.id = ${jobId}::uuid AND j.status IN ('blocked', 'pending')
    RETURNING ${JOB_COLUMNS}`);
}

/** blocked, pending -> the same, with another priority and so in another lane. */
export function prioritise(
  db: Executor,
  moves: { jobId: string; laneId: number }[],
  priority: number,
): Promise<{ id: string }[]> {
  return db.query(sql`
    WITH held AS MATERIALIZED (
      SELECT j.id FROM jobs j
      WHERE j.id = ANY (${moves.map((move) => move.jobId)}::uuid[]) AND j.status IN ('blocked', 'pending')
        AND j.priority <> ${priority}
      ORDER BY j.id FOR UPDATE
    )
    UPDATE jobs j SET priority = ${priority}, lane_id = m.lane_id, position = NULL, updated_at = now()
    FROM unnest(${moves.map((move) => move.jobId)}::uuid[], ${moves.map((move) => move.laneId)}::int[]) AS m (id,
      lane_id)
    JOIN held ON held.id = m.id
    WHERE j.id = ANY (${moves.map((move) => move.jobId)}::uuid[]) AND j.id = m.id AND j.status IN ('blocked', 'pending')
    RETURNING j.id`);
}
