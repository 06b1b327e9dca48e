import type { BatchCallback, BatchStatus, Json, NewJob } from '@baton/runner-sdk/protocol';
import { type Executor, sql } from '../db';
import { uuidList } from '../values';
import { type BatchCaller, type BatchScope, withinBatchScope } from '../views/batches';

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

/**
 * Stores the batch. Returns false when its idempotency key was used before; waits for a concurrent request with the
 * same key.
 */
export async function insertBatch(transaction: Executor, batch: NewBatchRow): Promise<boolean> {
  const { id, name, userId, metadata, sealed, caller, keyId, callbacks, idempotency } = batch;
  const rows = await transaction.query(sql`
    INSERT INTO batches (id, name, user_id, metadata, status, caller, key_id, callbacks, callback_jobs, callback_errors,
      idempotency_scope, idempotency_key, request_hash, job_ids, created_at, sealed_at)
    VALUES (${id}::uuid, ${name}, ${userId}, ${metadata === null ? null : JSON.stringify(metadata)}::json,
      ${sealed ? 'running' : 'open'}::batch_status, ${JSON.stringify(caller)}::json, ${keyId},
      ${JSON.stringify(callbacks)}::json, '{}', '{}',
      ${idempotency?.scope ?? null}, ${idempotency?.key ?? null}, ${idempotency?.requestHash ?? null},
      '{}', now(), CASE WHEN ${sealed}::boolean THEN now() END)
    ON CONFLICT DO NOTHING RETURNING id`);
  return rows.length > 0;
}

/** Stores the answer of a batch's create, so that a repeated request gets the same. */
export async function saveJobIds(transaction: Executor, id: string, jobIds: string[]): Promise<void> {
  await transaction.query(sql`UPDATE batches SET job_ids = ${uuidList(jobIds)}::uuid[] WHERE id = ${id}::uuid`);
}

/** The batch that was created under this key, and the hash of the request that created it. */
export async function findKeyed(
  db: Executor,
  { scope, key }: { scope: string; key: string },
): Promise<{ id: string; requestHash: string; jobIds: string[] } | null> {
  const [found] = await db.query<{ id: string; requestHash: string; jobIds: string[] }>(sql`
    SELECT b.id, b.request_hash AS "requestHash", b.job_ids::text[] AS "jobIds"
    FROM batches b WHERE b.idempotency_scope = ${scope} AND b.idempotency_key = ${key}`);
  return found ?? null;
}

/** Locks the batch against being sealed, so that jobs can be added. Several transactions may add at the same time. */
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

/** open -> running. Sealing a batch again changes nothing. Returns null when there is no such batch. */
export async function seal(transaction: Executor, scope: BatchScope, id: string): Promise<{ isNew: boolean } | null> {
  const [before] = await transaction.query<{ sealed: boolean }>(sql`
    SELECT b.sealed_at IS NOT NULL AS sealed FROM batches b WHERE b.id = ${id}::uuid AND ${withinBatchScope(scope)}
      FOR UPDATE`);
  if (before === undefined) return null;
  if (!before.sealed)
    await transaction.query(
      sql`UPDATE batches SET sealed_at = now(), status = 'running' WHERE id = ${id}::uuid AND sealed_at IS NULL`,
    );
  return { isNew: !before.sealed };
}

/** Marks an unfinished batch as cancelled and seals it. Its unfinished jobs are cancelled afterwards. */
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

/** Batches that ended long enough ago to be deleted with their jobs, oldest first. */
export async function findOldBatches(
  db: Executor,
  keepMs: Record<Exclude<BatchStatus, 'open' | 'running'>, number>,
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

/** Deletes those of these batches that have no jobs left. Returns how many. */
export async function removeEmptyBatches(db: Executor, ids: string[]): Promise<number> {
  const rows = await db.query(sql`
    DELETE FROM batches b WHERE b.id = ANY (${ids}::uuid[]) AND b.finished_at IS NOT NULL
      AND (SELECT true FROM jobs j WHERE j.batch_id = b.id LIMIT 1) IS NULL RETURNING b.id`);
  return rows.length;
}
