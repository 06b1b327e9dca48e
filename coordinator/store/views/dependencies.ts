import type { JobStatus } from '@baton/runner-sdk/protocol';
import { type Executor, sql } from '../db';

export interface Parent {
  id: string;
  status: JobStatus;
  isFinished: boolean;
  userId: string | null;
  queue: string;
  type: string;
}

/** Those of these jobs that exist. */
export function parents(db: Executor, ids: string[]): Promise<Parent[]> {
  return db.query(sql`
    SELECT j.id, j.status, j.finished_at IS NOT NULL AS "isFinished", j.user_id AS "userId", j.queue, j.type
    FROM jobs j WHERE j.id = ANY (${ids}::uuid[])`);
}

/** How a parent of a job ended. */
export interface DependencyRow {
  jobId: string;
  parentId: string;
  /** The name of the parent in the job's own workflow; null: the parent is in no workflow, or in another one. */
  key: string | null;
  status: 'completed' | 'failed' | 'cancelled';
  /** JSON text; null: no result, or it is too large. */
  result: string | null;
  isTooLarge: boolean;
}

/** Most bytes of results that are read. */
export interface ResultBytes {
  ofEach: number;
  inAll: number;
}

/**
 * How the parents of these jobs ended. Results are read, smallest first, as long as those of a job and all together
 * stay within these bytes.
 */
export function dependencies(db: Executor, jobIds: string[], bytes: ResultBytes): Promise<DependencyRow[]> {
  return db.query(sql`
    SELECT s."jobId", s."parentId", s.key, s.status, CASE WHEN NOT s."isTooLarge" THEN p.result END::text AS result,
      s."isTooLarge"
    FROM (
      SELECT d.*, d.bytes > 0
        AND (sum(d.bytes) OVER (PARTITION BY d."jobId" ORDER BY d.bytes, d."parentId") > ${bytes.ofEach}
        OR sum(d.bytes) OVER (ORDER BY d.bytes, d."jobId", d."parentId") > ${bytes.inAll}) AS "isTooLarge"
      FROM (
        SELECT d.job_id AS "jobId", d.parent_id AS "parentId", d.outcome AS status,
          CASE WHEN p.workflow_id = j.workflow_id THEN p.workflow_key END AS key,
          CASE WHEN d.outcome = 'completed' THEN COALESCE(octet_length(p.result::text), 0) ELSE 0 END AS bytes
        FROM dependencies d JOIN jobs j ON j.id = d.job_id LEFT JOIN jobs p ON p.id = d.parent_id
        WHERE d.job_id = ANY (${jobIds}::uuid[]) AND d.outcome IS NOT NULL
      ) d
    ) s LEFT JOIN jobs p ON p.id = s."parentId" AND s.status = 'completed'`);
}

/** How one parent of a job ended, for the holder of the job's lease. */
export interface HeldDependency {
  isHeld: boolean;
  /** Null: the job did not wait for it. */
  status: DependencyRow['status'] | null;
  result: string | null;
}

export async function dependency(
  db: Executor,
  { jobId, leaseToken, parentId }: { jobId: string; leaseToken: string; parentId: string },
): Promise<HeldDependency | null> {
  const [row] = await db.query<HeldDependency>(sql`
    SELECT h."isHeld", d.outcome AS status, CASE WHEN h."isHeld"
      AND d.outcome = 'completed' THEN p.result END::text AS result
    FROM (
      SELECT j.id, COALESCE(j.status::text = 'running' AND j.lease_token = ${leaseToken}::uuid, false) AS "isHeld"
      FROM jobs j WHERE j.id = ${jobId}::uuid
    ) h LEFT JOIN dependencies d ON d.job_id = h.id AND d.parent_id = ${parentId}::uuid
      LEFT JOIN jobs p ON p.id = d.parent_id`);
  return row ?? null;
}

/**
 * What a blocked job waits for: the number of unfinished jobs, workflows and batches, and the first `limit` of them by
 * creation.
 */
export async function waitsFor(
  db: Executor,
  jobId: string,
  limit: number,
): Promise<{ count: number; parents: { id: string; status: string; key: string | null }[] }> {
  const [row] = await db.query<{ count: number; parents: { id: string; status: string; key: string | null }[] }>(sql`
    SELECT count(*)::int AS count,
      COALESCE(json_agg(json_build_object('id', f.id, 'status', f.status, 'key', f.key) ORDER BY f.id)
      FILTER (WHERE f.nth <= ${limit}), '[]') AS parents
    FROM (
      SELECT d.parent_id AS id, COALESCE(p.status::text, w.status::text, b.status::text, 'gone') AS status,
        p.workflow_key AS key,
        row_number() OVER (ORDER BY d.parent_id) AS nth
      FROM dependencies d LEFT JOIN jobs p ON p.id = d.parent_id LEFT JOIN workflows w ON w.id = d.parent_id
        LEFT JOIN batches b ON b.id = d.parent_id
      WHERE d.job_id = ${jobId}::uuid AND d.outcome::text IS NULL
    ) f`);
  return row ?? { count: 0, parents: [] };
}
