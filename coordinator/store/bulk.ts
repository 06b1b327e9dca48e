import type { ErrorCode, JobFilter, Json, Role } from '@baton/runner-sdk/protocol';
import { type Executor, sql } from './db';

export type BulkVerb = 'cancel' | 'retry' | 'purge' | 'prioritise' | 'replay';

/** What a verb needs beside the filter. */
export interface BulkParameters {
  reason?: string | undefined;
  priority?: number | undefined;
  /** For a replay: arguments of the new jobs. */
  arguments?: Exclude<Json, null> | undefined;
  queue?: string | undefined;
}

export interface BulkOperationRow {
  id: string;
  verb: BulkVerb;
  filter: JobFilter;
  parameters: BulkParameters;
  userId: string | null;
  matched: number;
  changed: number;
  cursor: string | null;
  createdAt: Date;
  finishedAt: Date | null;
  requestedBy: Requester | null;
  /** Null: it is running, or has finished. */
  endedAs: 'cancelled' | 'failed' | null;
  /** Why it failed; while it is running, what it waits for. */
  error: BulkError | null;
}

export interface BulkError {
  code: ErrorCode;
  message: string;
}

/** The actor as the audit log shows it. */
interface Requester {
  keyId: string;
  keyName: string;
  role: Role | 'none';
  userId: string | null;
  address: string;
  requestId: string;
}

export const BULK_COLUMNS = sql`
  b.id, b.verb, b.filter, b.parameters, b.user_id AS "userId", b.matched, b.changed, b.cursor,
  b.created_at AS "createdAt",
  b.finished_at AS "finishedAt", b.requested_by AS "requestedBy", b.ended_as AS "endedAs", b.error`;

export async function insert(
  db: Executor,
  operation: Pick<BulkOperationRow, 'id' | 'verb' | 'filter' | 'parameters' | 'userId' | 'matched' | 'requestedBy'>,
): Promise<BulkOperationRow[]> {
  const { id, verb, filter, parameters, userId, matched, requestedBy } = operation;
  return db.query(sql`
    INSERT INTO bulk_operations AS b (id, verb, filter, parameters, user_id, matched, created_at, requested_by)
    VALUES (${id}::uuid, ${verb}::bulk_verb, ${JSON.stringify(filter)}::json, ${JSON.stringify(parameters)}::json,
      ${userId}, ${matched}, now(),
      ${requestedBy === null ? null : JSON.stringify(requestedBy)}::json)
    ON CONFLICT DO NOTHING RETURNING ${BULK_COLUMNS}`);
}

/** Whether there is anything for `lockNext`. */
export const HAS_NEXT = sql`EXISTS (SELECT FROM bulk_operations b WHERE b.finished_at IS NULL)`;

/**
 * Locks the next operation that is not in `except`, skipping those that another coordinator works on. Operations of one
 * key run in order; keys take turns, so that none waits for the many jobs of another.
 */
export async function lockNext(transaction: Executor, except: string[]): Promise<BulkOperationRow | null> {
  const rows = await transaction.query<BulkOperationRow>(sql`
    SELECT ${BULK_COLUMNS} FROM bulk_operations b WHERE b.finished_at IS NULL AND b.id <> ALL (${except}::uuid[])
      AND NOT EXISTS (
        SELECT FROM bulk_operations o WHERE o.finished_at IS NULL AND o.id <> ALL (${except}::uuid[])
          AND o.requested_by ->> 'keyId' = b.requested_by ->> 'keyId' AND (o.created_at, o.id) < (b.created_at, b.id))
    ORDER BY b.progressed_at NULLS FIRST, b.created_at LIMIT 1 FOR UPDATE SKIP LOCKED`);
  return rows[0] ?? null;
}

/** Notes a finished batch; without a cursor it was the last one. */
export async function advance(
  transaction: Executor,
  id: string,
  changed: number,
  cursor: string | null,
): Promise<void> {
  await transaction.query(sql`
    UPDATE bulk_operations SET changed = changed + ${changed}, cursor = COALESCE(${cursor}::uuid, cursor), error = NULL,
      progressed_at = now(), finished_at = CASE WHEN ${cursor}::uuid IS NULL THEN now() END
    WHERE id = ${id}::uuid`);
}

/**
 * Notes that a batch could not be done completely: the operation is postponed, or fails when it has made no progress
 * for too long.
 */
export async function holdUp(
  transaction: Executor,
  held: { id: string; changed: number; cursor: string | null; error: BulkError; patienceMs: number },
): Promise<boolean> {
  const { id, changed, cursor, error, patienceMs } = held;
  const rows = await transaction.query<{ hasFailed: boolean }>(sql`
    WITH held AS (
      SELECT b.id, ${cursor}::uuid IS NOT NULL AS has_progressed,
        ${cursor}::uuid IS NULL AND b.progressed_at <= now() - ${patienceMs}::float8 * interval '1 ms' AS is_over
      FROM bulk_operations b WHERE b.id = ${id}::uuid
    )
    UPDATE bulk_operations b SET changed = b.changed + ${changed}, cursor = COALESCE(${cursor}::uuid, b.cursor),
      error = ${JSON.stringify(error)}::json,
      progressed_at = CASE WHEN held.has_progressed OR b.progressed_at IS NULL THEN now() ELSE b.progressed_at END,
      finished_at = CASE WHEN held.is_over THEN now() END,
      ended_as = CASE WHEN held.is_over THEN 'failed'::bulk_end END
    FROM held WHERE b.id = held.id RETURNING b.finished_at IS NOT NULL AS "hasFailed"`);
  return rows[0]?.hasFailed === true;
}

/** Ends an operation between two batches; waits for a batch under way. No row: it had already ended. */
export async function cancel(transaction: Executor, id: string): Promise<BulkOperationRow[]> {
  return transaction.query(sql`
    UPDATE bulk_operations AS b SET finished_at = now(), ended_as = 'cancelled', error = NULL
    WHERE b.id = ${id}::uuid AND b.finished_at IS NULL RETURNING ${BULK_COLUMNS}`);
}

/** Resumes a failed operation from where it stopped. No row: it had not failed. */
export async function resume(transaction: Executor, id: string): Promise<BulkOperationRow[]> {
  return transaction.query(sql`
    UPDATE bulk_operations AS b SET finished_at = NULL, ended_as = NULL, error = NULL, progressed_at = NULL
    WHERE b.id = ${id}::uuid AND b.ended_as = 'failed' RETURNING ${BULK_COLUMNS}`);
}

/** Number of unfinished operations that this key requested. */
export async function countOpen(db: Executor, keyId: string): Promise<number> {
  const [row] = await db.query<{ count: number }>(sql`
    SELECT count(*)::int AS count FROM bulk_operations b
    WHERE b.finished_at IS NULL AND b.requested_by ->> 'keyId' = ${keyId}`);
  return row?.count ?? 0;
}

/** Deletes operations that ended at least `keepMs` ago. */
export async function removeEnded(db: Executor, keepMs: number, limit: number): Promise<void> {
  await db.query(sql`
    DELETE FROM bulk_operations b WHERE b.id IN (
      SELECT o.id FROM bulk_operations o WHERE o.finished_at < now() - ${keepMs}::float8 * interval '1 ms'
        LIMIT ${limit})`);
}
