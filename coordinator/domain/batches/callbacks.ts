import { type BatchCallback, batchCallback, type Json, type NewJob } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/batches/end';
import type { BatchRow } from '../../store/views/batches';
import { createWithin } from '../jobs/create-within';

/** Temporary errors: the job is created once they have passed. */
const MAY_PASS: ReadonlySet<string> = new Set<BatonError['code']>(['queue_full', 'rate_limited', 'unavailable']);

/** The arguments of a callback job: its own, and what it is told about its batch. */
export function callbackArguments(
  { arguments: own = {} }: NewJob,
  { id, name, counts }: Pick<BatchRow, 'id' | 'name' | 'counts'>,
): { [key: string]: Json } {
  return { ...(own as { [key: string]: Json }), batch: { id, name, counts } };
}

/**
 * Creates the callback jobs of an ended batch, each once: the batch is locked, and stores the ids of the jobs in the
 * transaction that creates them. When the batch ends again after a manual retry, existing callback jobs are not created
 * again, but those that only then become due are created.
 */
export async function createCallbacks(context: Context, id: string): Promise<void> {
  await createWithin(context, async (transaction, create) => {
    const batch = await store.lockDue(transaction, id);
    if (batch === null) return;
    const { keyId, caller, callbacks, callbackJobs, callbackErrors } = batch;
    const due = batchCallback.options.flatMap((kind) => {
      const job = callbacks[kind];
      return job !== undefined && isDue(kind, batch) ? [{ kind, job }] : [];
    });
    const outcomes =
      due.length === 0
        ? []
        : await create(
            due.map(({ job }) => ({
              caller: { keyId, ...caller },
              job: { ...job, arguments: callbackArguments(job, batch) },
            })),
          );
    let areDue = false;
    due.forEach(({ kind }, index) => {
      const outcome = outcomes[index];
      if (outcome === undefined) return;
      if (!(outcome instanceof BatonError)) callbackJobs[kind] = outcome.job.id;
      else if (MAY_PASS.has(outcome.code)) areDue = true;
      else {
        callbackErrors[kind] = { code: outcome.code, message: outcome.message };
        context.log.warn('a callback job of a batch cannot be created', { batchId: id, kind, ...callbackErrors[kind] });
      }
    });
    await store.saveCallbacks(transaction, { id, callbackJobs, callbackErrors }, areDue);
  });
}

function isDue(kind: BatchCallback, { status, callbackJobs, callbackErrors }: BatchRow): boolean {
  if (callbackJobs[kind] !== undefined || callbackErrors[kind] !== undefined) return false;
  return kind === 'onComplete' || (kind === 'onSuccess') === (status === 'completed');
}
