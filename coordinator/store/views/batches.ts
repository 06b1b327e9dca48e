import type {
  BatchCallback,
  BatchCounts,
  BatchStatus,
  JobError,
  JobStatus,
  NewJob,
  Role,
} from '@baton/runner-sdk/protocol';
import { Prisma } from '../../generated/prisma/client';
import { type Executor, type Sql, sql } from '../db';
import { type Counted, withinBytes } from './within-bytes';

/** The caller in whose name the callback jobs of a batch are created. */
export interface BatchCaller {
  name: string;
  role: Role;
  userId: string | null;
  queues: string[] | null;
  types: string[] | null;
}

export interface BatchRow {
  id: string;
  name: string | null;
  userId: string | null;
  caller: BatchCaller;
  keyId: string;
  callbacks: Partial<Record<BatchCallback, NewJob>>;
  metadata: { [key: string]: unknown } | null;
  status: BatchStatus;
  reason: string | null;
  callbackJobs: Partial<Record<BatchCallback, string>>;
  callbackErrors: Partial<Record<BatchCallback, { code: string; message: string }>>;
  counts: BatchCounts;
  createdAt: Date;
  sealedAt: Date | null;
  finishedAt: Date | null;
}

/**
 * The batches that a caller sees: those of this user, and for a key limited to queues or types those that it created
 * itself, or that a key did whose successor it is. Null: all.
 */
export interface BatchScope {
  userId: string | null;
  keyId: string | null;
}

/** Number of jobs of batch `b` by status. */
export const BATCH_COUNTS: Sql = sql`
  SELECT json_build_object(
    'total', COALESCE(sum(s.n), 0),
    'blocked', COALESCE(sum(s.n) FILTER (WHERE s.status = 'blocked'), 0),
    'pending', COALESCE(sum(s.n) FILTER (WHERE s.status = 'pending'), 0),
    'running', COALESCE(sum(s.n) FILTER (WHERE s.status = 'running'), 0),
    'completed', COALESCE(sum(s.n) FILTER (WHERE s.status = 'completed'), 0),
    'failed', COALESCE(sum(s.n) FILTER (WHERE s.status = 'failed'), 0),
    'cancelled', COALESCE(sum(s.n) FILTER (WHERE s.status = 'cancelled'), 0)) AS counts
  FROM (SELECT j.status, count(*) AS n FROM jobs j WHERE j.batch_id = b.id GROUP BY j.status) s`;

export const BATCH_COLUMNS: Sql = sql`
  b.id, b.name, b.user_id AS "userId", b.metadata, b.status, b.reason, b.caller, b.key_id AS "keyId", b.callbacks,
  b.callback_jobs AS "callbackJobs", b.callback_errors AS "callbackErrors",
  COALESCE(b.counts, (${BATCH_COUNTS})) AS counts,
  b.created_at AS "createdAt", b.sealed_at AS "sealedAt", b.finished_at AS "finishedAt"`;

export async function getBatch(db: Executor, scope: BatchScope, id: string): Promise<BatchRow | null> {
  const [found] = await db.query<BatchRow>(sql`
    SELECT ${BATCH_COLUMNS} FROM batches b WHERE b.id = ${id}::uuid AND ${withinBatchScope(scope)}`);
  return found ?? null;
}

export interface BatchFilter {
  status?: BatchStatus[] | undefined;
  name?: string[] | undefined;
  userId?: string[] | undefined;
}

/** Newest first; `before` is the last id of the previous page. */
export function pageOfBatches(
  db: Executor,
  scope: BatchScope,
  { status, name, userId }: BatchFilter,
  before: string | null,
  limit: number,
): Promise<(BatchRow & Counted)[]> {
  const chosen = sql`
    SELECT ${BATCH_COLUMNS}, 1000 + COALESCE(octet_length(b.metadata::text), 0) AS bytes FROM batches b
    WHERE ${withinBatchScope(scope)} AND (${before}::uuid IS NULL OR b.id < ${before}::uuid)
      ${status === undefined ? Prisma.empty : sql`AND b.status = ANY (${status}::batch_status[])`}
      ${name === undefined ? Prisma.empty : sql`AND b.name = ANY (${name}::text[])`}
      ${userId === undefined ? Prisma.empty : sql`AND b.user_id = ANY (${userId}::text[])`}
    ORDER BY b.id DESC LIMIT ${limit}`;
  return db.query(withinBytes(chosen, sql`p.id DESC`));
}

export interface BatchResultRow {
  id: string;
  index: number | null;
  status: JobStatus;
  result: unknown;
  error: JobError | null;
}

/** Jobs of a batch in the order in which they were added; `after` is the last id of the previous page. */
export function pageOfResults(
  db: Executor,
  batchId: string,
  after: string | null,
  limit: number,
): Promise<(BatchResultRow & Counted)[]> {
  const chosen = sql`
    SELECT j.id, CASE WHEN json_typeof(j.arguments -> 'index') = 'number' AND j.arguments ->> 'index' ~ '^[0-9]{1,9}$'
        THEN (j.arguments ->> 'index')::int END AS index,
      j.status, j.result, j.error,
      200 + COALESCE(octet_length(j.result::text), 0) + COALESCE(octet_length(j.error::text), 0) AS bytes
    FROM jobs j
    WHERE j.batch_id = ${batchId}::uuid AND (${after}::uuid IS NULL OR j.id > ${after}::uuid)
    ORDER BY j.id LIMIT ${limit}`;
  return db.query(withinBytes(chosen, sql`p.id`));
}

export function withinBatchScope({ userId, keyId }: BatchScope): Sql {
  return sql`(${userId}::text IS NULL OR b.user_id = ${userId}::text)
      AND (${keyId}::text IS NULL OR b.key_id = ANY (ARRAY(
        -- A key that was rotated is succeeded by another one.
        WITH RECURSIVE own AS (
          SELECT ${keyId}::text AS id
          UNION SELECT k.rotated_from FROM own o JOIN api_keys k ON k.id = o.id WHERE k.rotated_from IS NOT NULL
        ) SELECT o.id FROM own o)))`;
}
