import { type Executor, sql } from '../db';
import { type WorkflowScope, withinWorkflowScope } from '../views/workflows';

export interface InsertWorkflow {
  id: string;
  name: string;
  userId: string | null;
  linkSecret: string;
  /** Those of its jobs, without gates. */
  queues: string[];
  types: string[];
  /** The key of the call, its scope, and the hash of the request; null: no key. */
  idempotency: { scope: string; key: string; requestHash: string } | null;
}

/** (none) -> running. Returns whether it was stored: not when its idempotency key was used before. */
export async function insertWorkflow(
  transaction: Executor,
  { id, name, userId, linkSecret, queues, types, idempotency }: InsertWorkflow,
): Promise<boolean> {
  const rows = await transaction.query(sql`
    INSERT INTO workflows (id, name, user_id, status, created_at, link_secret, queues, types, idempotency_scope, idempotency_key,
      request_hash)
    VALUES (${id}::uuid, ${name}, ${userId}, 'running', now(), ${linkSecret}, ${queues}::text[], ${types}::text[],
      ${idempotency?.scope ?? null}, ${idempotency?.key ?? null}, ${idempotency?.requestHash ?? null})
    ON CONFLICT (idempotency_scope, idempotency_key) DO NOTHING
    RETURNING id`);
  return rows.length > 0;
}

/** The workflow that was created under this key. */
export async function findIdempotent(
  db: Executor,
  { scope, key }: { scope: string; key: string },
): Promise<{ id: string; requestHash: string } | null> {
  const [row] = await db.query<{ id: string; requestHash: string }>(sql`
    SELECT w.id, w.request_hash AS "requestHash" FROM workflows w
    WHERE w.idempotency_scope = ${scope} AND w.idempotency_key = ${key}`);
  return row ?? null;
}

export interface LockedWorkflow {
  id: string;
  userId: string | null;
  status: 'running' | 'completed' | 'failed' | 'cancelled';
}

/** Locks a workflow until the transaction ends, so that it does not end and others do not add jobs. */
export async function lockWorkflow(
  transaction: Executor,
  scope: WorkflowScope,
  id: string,
): Promise<LockedWorkflow | null> {
  const [row] = await transaction.query<LockedWorkflow>(sql`
    SELECT w.id, w.user_id AS "userId", w.status FROM workflows w
    WHERE w.id = ${id}::uuid AND ${withinWorkflowScope(scope)} FOR UPDATE`);
  return row ?? null;
}

/** Notes the queues and types of jobs that a locked workflow is given. */
export async function extendScope(
  transaction: Executor,
  id: string,
  { queues, types }: { queues: string[]; types: string[] },
): Promise<void> {
  await transaction.query(sql`
    UPDATE workflows w SET
      queues = ARRAY(SELECT unnest(w.queues) UNION SELECT unnest(${queues}::text[])),
      types = ARRAY(SELECT unnest(w.types) UNION SELECT unnest(${types}::text[]))
    WHERE w.id = ${id}::uuid AND NOT (w.queues @> ${queues}::text[] AND w.types @> ${types}::text[])`);
}

export interface Member {
  id: string;
  key: string;
  type: string;
  status: 'blocked' | 'pending' | 'running' | 'completed' | 'failed' | 'cancelled';
}

export function members(db: Executor, workflowId: string): Promise<Member[]> {
  return db.query(sql`
    SELECT j.id, j.workflow_key AS key, j.type, j.status FROM jobs j WHERE j.workflow_id = ${workflowId}::uuid
    ORDER BY j.id`);
}

/** Whether a job of the workflow, of these queues and types (null: any), runs under this lease. */
export async function hasLease(
  db: Executor,
  workflowId: string,
  leaseToken: string,
  { queues, types }: { queues: string[] | null; types: string[] | null },
): Promise<boolean> {
  const rows = await db.query(sql`
    SELECT FROM jobs j
    WHERE j.workflow_id = ${workflowId}::uuid AND j.status = 'running' AND j.lease_token = ${leaseToken}::uuid
      AND (${queues}::text[] IS NULL OR j.queue = ANY (${queues}::text[]))
      AND (${types}::text[] IS NULL OR j.type = ANY (${types}::text[]))`);
  return rows.length > 0;
}

/**
 * Ids of jobs of the workflow that have one of these statuses.
 * @param after the key of one of them: only that and what depends on it, directly or not; null: all
 */
export async function memberIds(
  db: Executor,
  workflowId: string,
  statuses: Member['status'][],
  after: string | null,
): Promise<string[]> {
  const chosen =
    after === null
      ? sql`SELECT j.id FROM jobs j WHERE j.workflow_id = ${workflowId}::uuid`
      : sql`
        WITH RECURSIVE reached AS (
          SELECT j.id FROM jobs j WHERE j.workflow_id = ${workflowId}::uuid AND j.workflow_key = ${after}
          UNION
          SELECT d.job_id FROM reached r JOIN dependencies d ON d.parent_id = r.id
        )
        SELECT id FROM reached`;
  const rows = await db.query<{ id: string }>(sql`
    SELECT j.id FROM jobs j
    WHERE j.workflow_id = ${workflowId}::uuid AND j.status = ANY (${statuses}::job_status[]) AND j.id IN (${chosen})
    ORDER BY j.id`);
  return rows.map(({ id }) => id);
}

/** The user of the job that runs under this lease; null: no job does. */
export async function leaseOwner(
  db: Executor,
  { jobId, leaseToken }: { jobId: string; leaseToken: string },
): Promise<{ userId: string | null } | null> {
  const [row] = await db.query<{ userId: string | null }>(sql`
    SELECT j.user_id AS "userId" FROM jobs j
    WHERE j.id = ${jobId}::uuid AND j.status::text = 'running' AND j.lease_token = ${leaseToken}::uuid`);
  return row ?? null;
}
