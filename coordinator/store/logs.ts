import type { Json, LogLevel } from '@baton/runner-sdk/protocol';
import { type Executor, sql } from './db';

export interface InsertLogLine {
  jobId: string;
  attempt: number;
  level: LogLevel;
  message: string;
  fields: Json | undefined;
  ageMs: number;
}

/** Lines of jobs that are gone are dropped. */
export async function append(db: Executor, lines: InsertLogLine[]): Promise<void> {
  await db.query(sql`
    INSERT INTO job_logs (job_id, at, level, message, fields, attempt)
    SELECT l."jobId", now() - l."ageMs" * interval '1 ms', l.level, l.message, l.fields, l.attempt
    FROM json_to_recordset(${JSON.stringify(lines)}::json) AS l (
      "jobId" uuid, "attempt" int, "level" log_level, "message" text, "fields" json, "ageMs" float8)
    WHERE EXISTS (SELECT FROM jobs j WHERE j.id = l."jobId")`);
}
