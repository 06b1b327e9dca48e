import { type Executor, sql } from '../db';
import { insertEvents } from '../events';
import { storeUncountedCancelled } from '../rollups/uncounted';
import type { JobRow } from './fields';
import { JOB_COLUMNS } from './row';

export interface RetryByHand {
  jobId: string;
  /** Only this user's job; null: anybody's. */
  userId: string | null;
  /** JSON text that takes the place of its arguments. */
  arguments?: string | undefined;
}

/** failed, cancelled -> pending, from the first try again; history is kept. */
export function retryByHand(db: Executor, wanted: RetryByHand[]): Promise<JobRow[]> {
  return db.query(sql`
    WITH wanted AS MATERIALIZED (
      SELECT * FROM json_to_recordset(${JSON.stringify(wanted)}::json) AS w ("jobId" uuid, "userId" text, "arguments" text)
    ), held AS MATERIALIZED (
      SELECT j.id, j.status, j.finished_at FROM jobs j
      WHERE j.id = ANY (${wanted.map((one) => one.jobId)}::uuid[]) AND j.status IN ('failed', 'cancelled')
      ORDER BY j.id FOR UPDATE
    ), moved AS (
      UPDATE jobs j SET
        status = 'pending', position = NULL, hold = CASE WHEN j.order_key IS NOT NULL THEN 'order'::job_hold END,
        failures = 0, arguments = COALESCE(w.arguments::json, j.arguments), run_at = now(), reason = NULL, error = NULL, fingerprint = NULL, expires_at = NULL, finished_at = NULL,
        updated_at = now()
      FROM wanted w JOIN held ON held.id = w."jobId"
      WHERE j.id = ANY (${wanted.map((one) => one.jobId)}::uuid[]) AND j.id = w."jobId"
        AND j.status IN ('failed', 'cancelled') AND (w."userId" IS NULL OR j.user_id = w."userId")
      RETURNING ${JOB_COLUMNS}, held.status AS was, held.finished_at AS ended
    ), ${storeUncountedCancelled(sql`moved`)}, ${insertEvents(sql`moved`, sql`'job.requeued'`)}
    SELECT * FROM moved`);
}
