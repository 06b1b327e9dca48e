import type { BatchCallback, BatchStatus, Json, NewJob } from '@baton/runner-sdk/protocol';
import { type Connections, type Executor, type Sql, sql } from './db';
import { tell } from './events';
import {
  BATCH_COLUMNS,
  BATCH_COUNTS,
  type BatchCaller,
  type BatchRow,
  type BatchScope,
  withinBatchScope,
} from './views/batches';

export interface NewBatchRow {
  id: string;
  name: string | null;
  userId: string | null;
  metadata: Json | null;
  sealed: boolean;
  caller: BatchCaller;
  keyId: string;
  callbacks: Partial<Record<BatchCallback, NewJob>>;
  /** Null: the call had no key. */
  idempotency: { scope: string; key: string; requestHash: string } | null;
}

/** Stores it; null when the idempotency key was used before, which is waited for while it is being used. */
export async function insertBatch(transaction: Executor, batch: NewBatchRow): Promise<boolean> {
  const { id, name, userId, metadata, sealed, caller, keyId, callbacks, idempotency } = batch;
  const rows = await transaction.query(sql`
    INSERT INTO batches (id, name, user_id, metadata, status, caller, key_id, callbacks,
      idempotency_scope, idempotency_key, request_hash, created_at, sealed_at)
    VALUES (${id}::uuid, ${name}, ${userId}, ${metadata === null ? null : JSON.stringify(metadata)}::json,
      ${sealed ? 'running' : 'open'}::batch_status, ${JSON.stringify(caller)}::json, ${keyId},
      ${JSON.stringify(callbacks)}::json,
      ${idempotency?.scope ?? null}, ${idempotency?.key ?? null}, ${idempotency?.requestHash ?? null},
      now(), CASE WHEN ${sealed}::boolean THEN now() END)
    ON CONFLICT DO NOTHING RETURNING id`);
  return rows.length > 0;
}

/** The batch that was created under this key, and the hash of the request that created it. */
export async function findKeyed(
  db: Executor,
  { scope, key }: { scope: string; key: string },
): Promise<{ id: string; requestHash: string; jobIds: string[] } | null> {
  const [found] = await db.query<{ id: string; requestHash: string; jobIds: string[] }>(sql`
    SELECT b.id, b.request_hash AS "requestHash",
      ARRAY(SELECT j.id FROM jobs j WHERE j.batch_id = b.id ORDER BY j.id LIMIT 1000)::text[] AS "jobIds"
    FROM batches b WHERE b.idempotency_scope = ${scope} AND b.idempotency_key = ${key}`);
  return found ?? null;
}

/** Locks it against being sealed, so that jobs can be added to it. Others may add to it at the same time. */
export async function lockForAdding(
  transaction: Executor,
  scope: BatchScope,
  id: string,
): Promise<{ userId: string | null; isOpen: boolean; jobs: number } | null> {
  const [found] = await transaction.query<{ userId: string | null; isOpen: boolean; jobs: number }>(sql`
    SELECT b.user_id AS "userId", b.sealed_at IS NULL AS "isOpen",
      (SELECT count(*)::int FROM jobs j WHERE j.batch_id = b.id) AS jobs
    FROM batches b WHERE b.id = ${id}::uuid AND ${withinBatchScope(scope)} FOR SHARE`);
  return found ?? null;
}

/** open -> running. Sealing it again changes nothing. Returns null when there is none. */
export async function seal(transaction: Executor, scope: BatchScope, id: string): Promise<{ isNew: boolean } | null> {
  const [before] = await transaction.query<{ sealed: boolean }>(sql`
    SELECT b.sealed_at IS NOT NULL AS sealed FROM batches b WHERE b.id = ${id}::uuid AND ${withinBatchScope(scope)} FOR UPDATE`);
  if (before === undefined) return null;
  if (!before.sealed)
    await transaction.query(
      sql`UPDATE batches SET sealed_at = now(), status = 'running' WHERE id = ${id}::uuid AND sealed_at IS NULL`,
    );
  return { isNew: !before.sealed };
}

/** Marks one that has not ended as cancelled, and seals it: its unfinished jobs are to be cancelled. */
export async function markCancelled(
  transaction: Executor,
  scope: BatchScope,
  id: string,
  reason: string | null,
): Promise<boolean> {
  const rows = await transaction.query(sql`
    UPDATE batches b SET cancelled_at = COALESCE(cancelled_at, now()), sealed_at = COALESCE(sealed_at, now()),
      reason = COALESCE(reason, ${reason}), status = 'running'
    WHERE b.id = ${id}::uuid AND ${withinBatchScope(scope)} AND b.status IN ('open', 'running') RETURNING b.id`);
  return rows.length > 0;
}

/** What there is to do for batches, looked at without a lock. */
export interface BatchWork {
  id: string;
  /** Its unfinished jobs are to be cancelled, for this reason. */
  isCancelling: boolean;
  reason: string | null;
  /** It is sealed, and all its jobs have finished. */
  hasEnded: boolean;
  /** Its callback jobs are to be created. */
  areCallbacksDue: boolean;
}

export function findWork(db: Executor, ids: string[]): Promise<BatchWork[]> {
  return db.query(sql`
    SELECT ${WORK} FROM batches b WHERE b.id = ANY (${ids}::uuid[]) AND (b.status = 'running' OR b.callbacks_due)`);
}

/** The same of one page of all that run: what a crash may have left. */
export function findLeftBehind(db: Executor, after: string | null, limit: number): Promise<BatchWork[]> {
  return db.query(sql`
    SELECT ${WORK} FROM batches b
    WHERE (b.status = 'running' OR b.callbacks_due)
      AND b.id > COALESCE(${after}::uuid, '00000000-0000-0000-0000-000000000000')
    ORDER BY b.id LIMIT ${limit}`);
}

/** Whether the batch of the alias `b` has no unfinished job. Not NOT EXISTS, which may be answered by reading all jobs. */
const HAS_ENDED: Sql = sql`(
  SELECT true FROM jobs j WHERE j.batch_id = b.id AND j.status IN ('blocked', 'pending', 'running') LIMIT 1) IS NULL`;

const WORK: Sql = sql`b.id, b.cancelled_at IS NOT NULL AND b.status = 'running' AS "isCancelling", b.reason,
  b.status = 'running' AND ${HAS_ENDED} AS "hasEnded", b.callbacks_due AS "areCallbacksDue"`;

export const HAS_RUNNING_BATCH = sql`EXISTS (SELECT FROM batches b WHERE b.status = 'running' OR b.callbacks_due)`;

export interface EndedBatch {
  id: string;
  name: string | null;
  userId: string | null;
  status: Exclude<BatchStatus, 'open' | 'running'>;
  areCallbacksDue: boolean;
}

/**
 * running -> completed, failed or cancelled, of those of these batches that have no unfinished job. Under the lock of their
 * rows, which a retry of one of their jobs takes too. What the end means for callback jobs and what tells the world of it is
 * written in the same transaction.
 */
export async function endBatches(db: Connections, ids: string[]): Promise<EndedBatch[]> {
  return db.transaction(async (transaction) => {
    const locked = await transaction.query<{ id: string }>(sql`
      SELECT b.id FROM batches b WHERE b.id = ANY (${ids}::uuid[]) AND b.status = 'running' ORDER BY b.id FOR UPDATE`);
    const ended = await transaction.query<EndedBatch>(sql`
      UPDATE batches b SET finished_at = now(), status = e.status, counts = e.counts,
        callbacks_due = (${isOpenCallback('onComplete')})
          OR (e.status = 'completed' AND ${isOpenCallback('onSuccess')})
          OR (e.status <> 'completed' AND ${isOpenCallback('onFailure')})
      FROM (
        SELECT b.id, c.counts, (CASE
          WHEN b.cancelled_at IS NOT NULL THEN 'cancelled'
          WHEN (c.counts ->> 'failed')::int > 0 THEN 'failed'
          WHEN (c.counts ->> 'cancelled')::int > 0 THEN 'cancelled' ELSE 'completed' END)::batch_status AS status
        FROM batches b CROSS JOIN LATERAL (${BATCH_COUNTS}) c WHERE b.id = ANY (${locked.map(({ id }) => id)}::uuid[])
      ) e
      WHERE b.id = e.id AND b.status = 'running' AND ${HAS_ENDED}
      RETURNING b.id, b.name, b.user_id AS "userId", b.status, b.callbacks_due AS "areCallbacksDue"`);
    for (const { id, name, userId, status } of ended)
      await tell(transaction, { name: `batch.${status}`, userId, details: { batchId: id, name } });
    return ended;
  });
}

/** Whether such a callback is wanted, and was neither created nor refused. */
function isOpenCallback(kind: BatchCallback): Sql {
  return sql`(b.callbacks -> ${kind}::text IS NOT NULL AND b.callback_jobs -> ${kind}::text IS NULL
    AND b.callback_errors -> ${kind}::text IS NULL)`;
}

/** A batch that has ended and whose callback jobs are due, locked so that they are created once. */
export async function lockDue(transaction: Executor, id: string): Promise<BatchRow | null> {
  const [found] = await transaction.query<BatchRow>(sql`
    SELECT ${BATCH_COLUMNS} FROM batches b WHERE b.id = ${id}::uuid AND b.callbacks_due AND b.finished_at IS NOT NULL FOR UPDATE`);
  return found ?? null;
}

/** Writes down which callback jobs were created and which never will be. */
export async function saveCallbacks(
  transaction: Executor,
  { id, callbackJobs, callbackErrors }: Pick<BatchRow, 'id' | 'callbackJobs' | 'callbackErrors'>,
  areDue: boolean,
): Promise<void> {
  await transaction.query(sql`
    UPDATE batches SET callback_jobs = ${JSON.stringify(callbackJobs)}::json,
      callback_errors = ${JSON.stringify(callbackErrors)}::json, callbacks_due = ${areDue}
    WHERE id = ${id}::uuid`);
}

/** Ids of its unfinished jobs, oldest first. */
export async function unfinishedJobs(db: Executor, batchId: string, limit: number): Promise<string[]> {
  const rows = await db.query<{ id: string }>(sql`
    SELECT j.id FROM jobs j WHERE j.batch_id = ${batchId}::uuid AND j.status IN ('blocked', 'pending', 'running')
    ORDER BY j.id LIMIT ${limit}`);
  return rows.map(({ id }) => id);
}

/** Those of these that have ended. */
export async function finishedBatches(db: Executor, ids: string[]): Promise<string[]> {
  const rows = await db.query<{ id: string }>(sql`
    SELECT b.id FROM batches b WHERE b.id = ANY (${ids}::uuid[]) AND b.finished_at IS NOT NULL`);
  return rows.map(({ id }) => id);
}

/** Batches that ended so long ago that they go, with their jobs: the oldest first. */
export async function findOldBatches(
  db: Executor,
  keepMs: Record<EndedBatch['status'], number>,
  limit: number,
): Promise<string[]> {
  const rows = await db.query<{ id: string }>(sql`
    SELECT found.id FROM unnest(
      ${Object.keys(keepMs)}::batch_status[], ${Object.values(keepMs)}::float8[]
    ) AS k (status, keep_ms) CROSS JOIN LATERAL (
      SELECT b.id, b.finished_at FROM batches b
      WHERE b.status = k.status AND b.finished_at < now() - k.keep_ms * interval '1 ms' AND NOT b.callbacks_due
      ORDER BY b.finished_at LIMIT ${limit}
    ) found ORDER BY found.finished_at LIMIT ${limit}`);
  return rows.map(({ id }) => id);
}

/** Those of these batches that have no job any more -> gone. Returns how many. */
export async function removeEmptyBatches(db: Executor, ids: string[]): Promise<number> {
  const rows = await db.query(sql`
    DELETE FROM batches b WHERE b.id = ANY (${ids}::uuid[]) AND b.finished_at IS NOT NULL
      AND (SELECT true FROM jobs j WHERE j.batch_id = b.id LIMIT 1) IS NULL RETURNING b.id`);
  return rows.length;
}
