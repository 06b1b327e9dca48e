import type { JobFilter } from '@baton/runner-sdk/protocol';
import { type Executor, sql } from '../db';
import { matching } from './jobs';

export interface DeadLetterGroupRow {
  fingerprint: string;
  count: number;
  firstAt: Date;
  lastAt: Date;
  /** The latest job of the group. */
  jobId: string;
  type: string;
  queue: string;
  error: { message: string; code?: string };
}

/** Failed jobs grouped by cause, the largest groups first. */
export function groups(
  db: Executor,
  userId: string | null,
  filter: JobFilter,
  limit: number,
): Promise<DeadLetterGroupRow[]> {
  return db.query(sql`
    WITH grouped AS MATERIALIZED (
      SELECT j.fingerprint, count(*)::int AS count, min(j.finished_at) AS "firstAt", max(j.finished_at) AS "lastAt",
        max(j.id::text COLLATE "C")::uuid AS id
      FROM jobs j WHERE ${matching(userId, { ...filter, status: ['failed'] })} AND j.status = 'failed'
        AND j.fingerprint IS NOT NULL
      GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ${limit}
    )
    SELECT g.fingerprint, g.count, g."firstAt", g."lastAt", j.id AS "jobId", j.type, j.queue, j.error
    FROM grouped g JOIN jobs j ON j.id = g.id ORDER BY g.count DESC, g.fingerprint`);
}
