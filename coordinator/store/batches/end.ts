import type { BatchCallback, BatchStatus } from '@baton/runner-sdk/protocol';
import { type Connections, type Executor, type Sql, sql } from '../db';
import { tell } from '../events';
import { BATCH_COLUMNS, BATCH_COUNTS, type BatchRow } from '../views/batches';

/** Pending work of batches, read without a lock. */
export interface BatchWork {
  id: string;
  /** Its unfinished jobs must be cancelled, for this reason. */
  isCancelling: boolean;
  reason: string | null;
  /** It is sealed, and all its jobs have finished. */
  hasEnded: boolean;
  /** Its callback jobs must be created. */
  areCallbacksDue: boolean;
}

export function findWork(db: Executor, ids: string[]): Promise<BatchWork[]> {
  return db.query(sql`
    SELECT ${WORK} FROM batches b WHERE b.id = ANY (${ids}::uuid[]) AND (b.status = 'running' OR b.callbacks_due)`);
}

/** The same for one page of all unfinished batches, to find what a crash left undone. */
export function findLeftBehind(db: Executor, after: string | null, limit: number): Promise<BatchWork[]> {
  return db.query(sql`
    SELECT ${WORK} FROM batches b
    WHERE (b.status = 'running' OR b.callbacks_due)
      AND b.id > COALESCE(${after}::uuid, '00000000-0000-0000-0000-000000000000')
    ORDER BY b.id LIMIT ${limit}`);
}

/** Whether batch `b` has no unfinished job. Not NOT EXISTS, which the planner may answer by reading all jobs. */
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
 * running -> completed, failed or cancelled, for those of these batches without unfinished jobs. Holds the lock of
 * their rows, which a retry of one of their jobs takes too. Callback jobs that are now due and the events are written
 * in the same transaction.
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

/** Whether the batch wants this callback, and it was neither created nor refused yet. */
function isOpenCallback(kind: BatchCallback): Sql {
  return sql`(b.callbacks -> ${kind}::text IS NOT NULL AND b.callback_jobs -> ${kind}::text IS NULL
    AND b.callback_errors -> ${kind}::text IS NULL)`;
}

/** An ended batch whose callback jobs are due, locked so that they are created once. */
export async function lockDue(transaction: Executor, id: string): Promise<BatchRow | null> {
  const [found] = await transaction.query<BatchRow>(sql`
    SELECT ${BATCH_COLUMNS} FROM batches b WHERE b.id = ${id}::uuid AND b.callbacks_due AND b.finished_at IS NOT NULL
      FOR UPDATE`);
  return found ?? null;
}

/** Stores which callback jobs were created and which never will be. */
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
