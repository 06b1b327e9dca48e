import type { JobStatus, WorkflowStatus } from '@baton/runner-sdk/protocol';
import { Prisma } from '../../generated/prisma/client';
import { type Executor, type Sql, sql } from '../db';
import { isWaiting } from '../workflows/edges';

export interface WorkflowRow {
  id: string;
  name: string;
  userId: string | null;
  status: WorkflowStatus;
  /** Number of its jobs by status; statuses without jobs are left out. */
  counts: Partial<Record<JobStatus, number>> | null;
  createdAt: Date;
  finishedAt: Date | null;
}

/**
 * The workflows that a caller sees: those of this user, and of which all jobs are in these queues and of these types.
 * Null: all.
 */
export interface WorkflowScope {
  userId: string | null;
  queues: string[] | null;
  types: string[] | null;
}

/** Whether workflow `w` is visible in this scope. */
export function withinWorkflowScope({ userId, queues, types }: WorkflowScope): Sql {
  return sql`(${userId}::text IS NULL OR w.user_id = ${userId}::text)
      AND (${queues}::text[] IS NULL OR w.queues <@ ${queues}::text[])
      AND (${types}::text[] IS NULL OR w.types <@ ${types}::text[])`;
}

const COLUMNS = sql`
  w.id, w.name, w.user_id AS "userId", w.status, w.created_at AS "createdAt", w.finished_at AS "finishedAt",
  (SELECT json_object_agg(s.status, s.count) FROM (
    SELECT j.status, count(*) AS count FROM jobs j WHERE j.workflow_id = w.id GROUP BY 1) s) AS counts`;

export async function get(db: Executor, scope: WorkflowScope, id: string): Promise<WorkflowRow | null> {
  const [row] = await db.query<WorkflowRow>(sql`
    SELECT ${COLUMNS} FROM workflows w WHERE w.id = ${id}::uuid AND ${withinWorkflowScope(scope)}`);
  return row ?? null;
}

/** A workflow without its counts, which are read from all of its jobs. */
export type WorkflowHead = Pick<WorkflowRow, 'id' | 'name' | 'status'>;

export async function head(db: Executor, scope: WorkflowScope, id: string): Promise<WorkflowHead | null> {
  const [row] = await db.query<WorkflowHead>(sql`
    SELECT w.id, w.name, w.status FROM workflows w WHERE w.id = ${id}::uuid AND ${withinWorkflowScope(scope)}`);
  return row ?? null;
}

export interface WorkflowFilter {
  name?: string[] | undefined;
  status?: WorkflowStatus[] | undefined;
  userId?: string[] | undefined;
  createdAfter?: string | undefined;
  createdBefore?: string | undefined;
  /** `waiting`: those with a gate that can be decided now. */
  gate?: 'waiting' | undefined;
}

/** Gates of `w` that wait for nothing but a decision. `OFFSET 0` reads them by the index of gates. */
const DECIDABLE = sql`
  SELECT FROM (SELECT j.id FROM jobs j WHERE j.workflow_id = w.id AND j.queue = '' AND j.status = 'blocked' OFFSET 0) g
  WHERE NOT ${isWaiting(sql`g.id`)}`;

/** Newest first; `before` is the last id of the previous page. */
export function page(
  db: Executor,
  scope: WorkflowScope,
  filter: WorkflowFilter,
  before: string | null,
  limit: number,
): Promise<WorkflowRow[]> {
  const { userId, queues, types } = scope;
  const conditions = [withinWorkflowScope({ userId: null, queues, types })];
  // By itself, so that the planner may use the index of the user's workflows.
  if (userId !== null) conditions.push(sql`w.user_id = ${userId}`);
  if (filter.name !== undefined) conditions.push(sql`w.name = ANY (${filter.name}::text[])`);
  if (filter.status !== undefined) conditions.push(sql`w.status = ANY (${filter.status}::workflow_status[])`);
  if (filter.userId !== undefined) conditions.push(sql`w.user_id = ANY (${filter.userId}::text[])`);
  if (filter.createdAfter !== undefined) conditions.push(sql`w.created_at > ${filter.createdAfter}::timestamptz`);
  if (filter.createdBefore !== undefined) conditions.push(sql`w.created_at < ${filter.createdBefore}::timestamptz`);
  if (filter.gate !== undefined) conditions.push(sql`w.status = 'running' AND EXISTS (${DECIDABLE})`);
  if (before !== null) conditions.push(sql`w.id < ${before}::uuid`);
  return db.query(sql`
    SELECT ${COLUMNS} FROM (
      SELECT * FROM workflows w WHERE ${Prisma.join(conditions, ' AND ')} ORDER BY w.id DESC LIMIT ${limit}
    ) w ORDER BY w.id DESC`);
}

export interface NodeRow {
  id: string;
  key: string;
  type: string;
  status: JobStatus;
  isGate: boolean;
  reason: string | null;
  /** For a gate: whether it no longer waits for another job. */
  isReady: boolean;
  expiresAt: Date | null;
  /** Ids; null: none. */
  dependsOn: string[] | null;
}

/** The jobs of a workflow, in the order in which they were created, parents before their children. */
export function nodes(db: Executor, workflowId: string): Promise<NodeRow[]> {
  return db.query(sql`
    SELECT j.id, j.workflow_key AS key, j.type, j.status, j.reason, j.queue = '' AS "isGate",
      j.expires_at AS "expiresAt", j.depends_on AS "dependsOn",
      j.queue = '' AND j.status = 'blocked'
        AND NOT ${isWaiting(sql`j.id`)} AS "isReady"
    FROM jobs j WHERE j.workflow_id = ${workflowId}::uuid ORDER BY j.id`);
}

/** A gate of a workflow, by its key. */
export async function gate(db: Executor, workflowId: string, key: string): Promise<NodeRow | null> {
  const [row] = await db.query<NodeRow>(sql`
    SELECT j.id, j.workflow_key AS key, j.type, j.status, j.reason, true AS "isGate", j.expires_at AS "expiresAt",
      j.depends_on AS "dependsOn",
      j.status = 'blocked'
        AND NOT ${isWaiting(sql`j.id`)} AS "isReady"
    FROM jobs j WHERE j.workflow_id = ${workflowId}::uuid AND j.workflow_key = ${key} AND j.queue = ''`);
  return row ?? null;
}

/** Keys of these jobs of workflows, by their ids. */
export async function keysOf(db: Executor, ids: string[]): Promise<Map<string, string>> {
  if (ids.length === 0) return new Map();
  const rows = await db.query<{ id: string; key: string }>(sql`
    SELECT j.id, j.workflow_key AS key FROM jobs j WHERE j.id = ANY (${ids}::uuid[])`);
  return new Map(rows.map(({ id, key }) => [id, key]));
}

/** What is needed to verify a link to a gate; null: there is no such gate. */
export async function linked(
  db: Executor,
  gateId: string,
): Promise<{ workflowId: string; key: string; secret: string; nowMs: number } | null> {
  const [row] = await db.query<{ workflowId: string; key: string; secret: string; nowMs: number }>(sql`
    SELECT w.id AS "workflowId", j.workflow_key AS key, w.link_secret AS secret,
      extract(epoch FROM now())::float8 * 1000 AS "nowMs"
    FROM jobs j JOIN workflows w ON w.id = j.workflow_id WHERE j.id = ${gateId}::uuid AND j.queue = ''`);
  return row ?? null;
}

/** What is unfinished of the groups of jobs. */
export interface GroupCounts {
  workflows: number;
  batches: number;
  /** Gates of which all has ended that they wait for. */
  gates: number;
}

export async function countGroups(db: Executor): Promise<GroupCounts> {
  const [row] = await db.query<GroupCounts>(sql`
    SELECT (SELECT count(*)::int FROM workflows w WHERE w.status = 'running') AS workflows,
      (SELECT count(*)::int FROM batches b WHERE b.status IN ('open', 'running')) AS batches,
      (SELECT count(*)::int FROM workflows w JOIN jobs j ON j.workflow_id = w.id
        WHERE w.status = 'running' AND j.workflow_id IS NOT NULL AND j.status = 'blocked' AND j.queue = ''
          AND NOT ${isWaiting(sql`j.id`)}) AS gates`);
  return row ?? { workflows: 0, batches: 0, gates: 0 };
}
