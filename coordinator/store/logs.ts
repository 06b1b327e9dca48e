import type { Json, LogLevel } from '@baton/runner-sdk/protocol';
import { type Executor, sql } from './db';
import { insertEvents } from './events';
import { uuidList } from './values';

export interface InsertLogLine {
  jobId: string;
  attempt: number;
  level: LogLevel;
  message: string;
  fields: Json | undefined;
  ageMs: number;
}

/** Stores log lines; those of deleted jobs are dropped. Returns how many lines each job has logged so far. */
export function append(
  db: Executor,
  lines: InsertLogLine[],
): Promise<{ jobId: string; lines: number; dropped: number }[]> {
  return db.query(sql`
    WITH line AS MATERIALIZED (
      SELECT nextval('job_logs_seq_seq') AS seq, sent.* FROM (
        SELECT j.id, j.type, j.queue, j.user_id AS "userId", j.status, j.runner_id AS "runnerId", l.attempt, l.level,
          l.message, l.fields,
          now() - l."ageMs" * interval '1 ms' AS at
        FROM json_to_recordset(${JSON.stringify(lines)}::json) AS l (
          "jobId" uuid, "attempt" int, "level" log_level, "message" text, "fields" json, "ageMs" float8)
        JOIN jobs j ON j.id = l."jobId"
        -- The ids are listed as well, so that a plan made while there were few jobs does not read all of them.
        WHERE j.id = ANY (${uuidList([...new Set(lines.map((line) => line.jobId))])}::uuid[])
      ) sent
    ), kept AS (
      INSERT INTO job_logs (job_id, seq, at, level, message, fields, attempt)
      SELECT l.id, l.seq, l.at, l.level, l.message, l.fields, l.attempt FROM line l
    ), ${insertEvents(sql`line`, sql`'job.log'`, { details: sql`json_build_object('seq', e.seq, 'at', e.at, 'level', e.level, 'message', e.message, 'fields', e.fields)` })}
    INSERT INTO job_log_totals AS t (job_id, lines)
    SELECT l.id, count(*) FROM line l GROUP BY l.id ORDER BY l.id
    ON CONFLICT (job_id) DO UPDATE SET lines = t.lines + EXCLUDED.lines
    RETURNING t.job_id AS "jobId", t.lines, t.dropped`);
}

/**
 * Drops lines from the middle of a job's log until `most` are left, keeping its start and its end. One line in their
 * place says how many were dropped.
 */
export async function trim(db: Executor, jobId: string, most: number): Promise<void> {
  await db.query(sql`
    WITH total AS MATERIALIZED (
      SELECT t.lines - t.dropped - ${most}::int AS over, t.mark_seq IS NULL AS is_first, COALESCE(t.mark_seq, (
        SELECT l.seq FROM job_logs l WHERE l.job_id = ${jobId}::uuid ORDER BY l.seq OFFSET ${Math.floor(most / 2)}
          LIMIT 1)) AS mark_seq
      FROM job_log_totals t WHERE t.job_id = ${jobId}::uuid FOR UPDATE
    ), excess AS MATERIALIZED (
      SELECT l.seq FROM job_logs l
      WHERE l.job_id = ${jobId}::uuid AND l.seq > (SELECT mark_seq FROM total)
      ORDER BY l.seq LIMIT GREATEST(0, (SELECT over - is_first::int FROM total))
    ), gone AS (
      DELETE FROM job_logs l WHERE l.job_id = ${jobId}::uuid AND l.seq = ANY (ARRAY(SELECT seq FROM excess))
      RETURNING l.seq
    ), counted AS (
      UPDATE job_log_totals t
        SET mark_seq = total.mark_seq, dropped = t.dropped + total.is_first::int + (SELECT count(*) FROM gone)
      FROM total WHERE t.job_id = ${jobId}::uuid
      RETURNING t.dropped, t.mark_seq
    )
    UPDATE job_logs l SET level = 'warn', message = c.dropped || ' lines were dropped here',
      fields = json_build_object('dropped', c.dropped)
    FROM counted c WHERE l.job_id = ${jobId}::uuid AND l.seq = c.mark_seq`);
}
