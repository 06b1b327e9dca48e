import { type Executor, sql } from '../db';

/** Recent history of similar jobs. */
export interface History {
  now: Date;
  /** Mean run time in milliseconds; null: none completed. */
  meanRunMs: number | null;
  /** How many of them complete per minute; 0: none did. */
  outPerMinute: number;
}

/** From the jobs of this type among at most 1,000 jobs of the queue that completed within the last hour. */
export async function history(db: Executor, queue: string, type: string): Promise<History> {
  const [row] = await db.query<History>(sql`
    SELECT now() AS now, avg(l.run_ms) FILTER (WHERE l.type = ${type})::float8 AS "meanRunMs",
      COALESCE(count(*) FILTER (WHERE l.type = ${type}) * 60 / NULLIF(extract(epoch FROM now() - min(l.finished_at)),
        0), 0)::float8 AS "outPerMinute"
    FROM (
      SELECT j.type, j.finished_at, extract(epoch FROM j.finished_at - j.started_at) * 1000 AS run_ms FROM jobs j
      WHERE j.queue = ${queue} AND j.status = 'completed' AND j.finished_at > now() - interval '1 hour'
      ORDER BY j.finished_at DESC LIMIT 1000
    ) l`);
  return row ?? { now: new Date(0), meanRunMs: null, outPerMinute: 0 };
}
