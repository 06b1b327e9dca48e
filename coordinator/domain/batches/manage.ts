import type { JobFilter } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/batches/batch';
import { type BatchRow, getBatch } from '../../store/views/batches';
import { record } from '../audit/record';
import type { Actor, Caller } from '../auth/caller';
import { applyInBackground, applyNow, type BulkRequest, countMatching } from '../bulk/bulk-operation';
import { noBatch } from './create';
import { batchScope } from './scope';

/** Most jobs that a call handles itself; more are handled in the background. */
const MOST_AT_ONCE = 1000;

/** @throws {BatonError} `not_found` */
export async function findBatch(context: Context, caller: Caller, id: string): Promise<BatchRow> {
  const batch = await getBatch(context.db, batchScope(caller), id);
  if (batch === null) throw noBatch(id);
  return batch;
}

/**
 * open -> running: no jobs can be added any more. Sealing a batch again changes nothing.
 * @throws {BatonError} `not_found`
 */
export async function sealBatch(context: Context, caller: Caller, id: string): Promise<void> {
  const sealed = await context.db.transaction((transaction) => store.seal(transaction, batchScope(caller), id));
  if (sealed === null) throw noBatch(id);
  await context.followUps.batches.add([id]);
}

/**
 * Cancels the unfinished jobs; the batch is `cancelled` when all jobs have ended. Returns after the first of them.
 * @throws {BatonError} `not_found`; `state_conflict` when it has ended
 */
export async function cancelBatch(
  context: Context,
  { caller, by }: { caller: Caller; by: Actor },
  id: string,
  reason: string | null,
): Promise<void> {
  const isMarked = await context.db.transaction(async (transaction) => {
    const marked = await store.markCancelled(transaction, batchScope(caller), id, reason);
    if (marked) await record(transaction, by, [{ action: 'batch.cancelled', target: id, details: { reason } }]);
    return marked;
  });
  if (!isMarked) {
    const { status } = await findBatch(context, caller, id);
    throw new BatonError(
      'state_conflict',
      `The batch ${id} has ended: it is ${status}. Only one that is open or running can be cancelled.`,
    );
  }
  // The first round cancels the jobs, the second ends the batch, if it has few jobs.
  await context.followUps.batches.add([id]);
  await context.followUps.batches.add([id]);
}

/**
 * Retries its failed jobs, with failures starting at 0; the batch runs again until they have ended.
 * @param background default: when there are many jobs
 * @returns how many; null: it continues in the background
 * @throws {BatonError} `not_found`; `state_conflict` when none has failed
 */
export async function retryBatch(
  context: Context,
  { caller, by }: { caller: Caller; by: Actor },
  id: string,
  background?: boolean,
): Promise<number | null> {
  const { counts, status } = await findBatch(context, caller, id);
  const filter: JobFilter = { batchId: [id], status: ['failed'] };
  const bulk: BulkRequest = { verb: 'retry', filter, userId: null, parameters: {}, by };
  const failed = counts.failed === 0 ? 0 : await countMatching(context, bulk);
  if (failed === 0)
    throw new BatonError(
      'state_conflict',
      `The batch ${id} is ${status}, and none of its jobs has failed: there is nothing to retry.`,
    );
  if (!(background ?? failed > MOST_AT_ONCE)) return applyNow(context, bulk);
  await applyInBackground(context, bulk);
  return null;
}
