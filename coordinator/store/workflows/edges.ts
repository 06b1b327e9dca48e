import { type Executor, type Sql, sql } from '../db';

// Edges between waiting jobs and what they wait for: other jobs, a workflow or a batch. An edge without an outcome is
// not settled yet. It is settled in the transaction that moves the waiting job, so nothing is lost between the two.

/** A parent, and its child that waits for it. */
export interface Edge {
  jobId: string;
  parentId: string;
  /** How the parent has already ended, when nothing else is to be done; null: the edge is still to be settled. */
  outcome: 'completed' | 'failed' | 'cancelled' | null;
  /** Whether the child runs although the parent did not complete. */
  toleratesFailure: boolean;
}

/**
 * Whether a job waits for something. Cast to text so that the planner cannot use the index of unsettled edges, which
 * begins with the parent: it would read all of that index for each job.
 */
export function isWaiting(jobId: Sql): Sql {
  return sql`(SELECT true FROM dependencies d WHERE d.job_id = ${jobId} AND d.outcome::text IS NULL LIMIT 1) IS NOT NULL`;
}

export async function insertEdges(transaction: Executor, edges: Edge[]): Promise<void> {
  if (edges.length === 0) return;
  await transaction.query(sql`
    INSERT INTO dependencies (job_id, parent_id, outcome, tolerates_failure)
    SELECT * FROM unnest(
      ${edges.map((edge) => edge.jobId)}::uuid[], ${edges.map((edge) => edge.parentId)}::uuid[],
      ${edges.map((edge) => edge.outcome)}::job_status[], ${edges.map((edge) => edge.toleratesFailure)}::boolean[])`);
}

/** Most edges settled at once: per parent, and in all. */
export interface Share {
  ofEach: number;
  inAll: number;
}

/**
 * Settles the edges of those of these parents that have ended or were deleted. Returns the children, which the same
 * transaction must lock and then move: `lockBlocked`, `unblock`. Parents are locked against a retry, so that no
 * outdated outcome is stored.
 */
export async function settleEdges(
  transaction: Executor,
  parentIds: string[],
  { ofEach, inAll }: Share,
): Promise<{ parentId: string; jobId: string }[]> {
  const ids = sql`${parentIds}::uuid[]`;
  return transaction.query(sql`
    WITH job AS MATERIALIZED (
      SELECT j.id, j.status FROM jobs j
      -- Cast to text so that the planner cannot use an index of finished jobs instead of the ids.
      WHERE j.id = ANY (${ids}) AND j.status::text IN ('completed', 'failed', 'cancelled') ORDER BY j.id FOR SHARE
    ), ended AS MATERIALIZED (
      SELECT id, status FROM job
      UNION ALL
      SELECT w.id, w.status::text::job_status FROM workflows w WHERE w.id = ANY (${ids}) AND w.status <> 'running'
      UNION ALL
      SELECT b.id, b.status::text::job_status FROM batches b WHERE b.id = ANY (${ids}) AND b.finished_at IS NOT NULL
      UNION ALL
      -- Deleted directly in the table: their children must not wait for ever.
      SELECT g.id, 'cancelled' FROM unnest(${ids}) AS g (id)
      WHERE (SELECT true FROM jobs j WHERE j.id = g.id) IS NULL
        AND (SELECT true FROM workflows w WHERE w.id = g.id) IS NULL
        AND (SELECT true FROM batches b WHERE b.id = g.id) IS NULL
    ), edge AS MATERIALIZED (
      SELECT open.job_id, open.parent_id, e.status FROM ended e CROSS JOIN LATERAL (
        SELECT d.job_id, d.parent_id FROM dependencies d
        WHERE d.parent_id = e.id AND d.outcome IS NULL ORDER BY d.job_id LIMIT ${ofEach} FOR UPDATE SKIP LOCKED
      ) open LIMIT ${inAll}
    )
    UPDATE dependencies d SET outcome = e.status FROM edge e
    WHERE d.job_id = e.job_id AND d.parent_id = e.parent_id AND d.outcome IS NULL
    RETURNING d.parent_id AS "parentId", d.job_id AS "jobId"`);
}

/**
 * Parents that have ended or were deleted, but have unsettled edges, which a crash left behind. Reads one page of all
 * parents that are waited for, by skipping through the index from parent to parent.
 * @param after the last parent of the previous page; null for the first page
 */
export async function findUnsettled(
  db: Executor,
  after: string | null,
  limit: number,
): Promise<{ parentId: string; isOver: boolean }[]> {
  return db.query(sql`
    WITH RECURSIVE found AS (
      (SELECT d.parent_id, 1 AS nth FROM dependencies d
       WHERE d.outcome IS NULL AND d.parent_id > COALESCE(${after}::uuid, '00000000-0000-0000-0000-000000000000')
       ORDER BY d.parent_id LIMIT 1)
      UNION ALL
      SELECT next.parent_id, found.nth + 1 FROM found CROSS JOIN LATERAL (
        SELECT d.parent_id FROM dependencies d WHERE d.outcome IS NULL AND d.parent_id > found.parent_id
        ORDER BY d.parent_id LIMIT 1
      ) next WHERE found.nth < ${limit}
    )
    SELECT f.parent_id AS "parentId", COALESCE(
      (SELECT j.finished_at IS NOT NULL FROM jobs j WHERE j.id = f.parent_id),
      (SELECT w.finished_at IS NOT NULL FROM workflows w WHERE w.id = f.parent_id),
      (SELECT b.finished_at IS NOT NULL FROM batches b WHERE b.id = f.parent_id), true) AS "isOver"
    FROM found f ORDER BY f.parent_id`);
}

export const HAS_UNSETTLED = sql`EXISTS (SELECT FROM dependencies d WHERE d.outcome IS NULL)`;
