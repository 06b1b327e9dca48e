import type { Context } from '../../context';
import { BatonError } from '../../errors';
import { isUniqueViolation } from '../../store/db';
import * as jobs from '../../store/jobs';
import * as store from '../../store/workflows/insert';
import { record } from '../audit/record';
import type { Actor, Caller } from '../auth/caller';
import { announceCancelled, interruptRunners } from '../jobs/cancel';
import { announceRetried, retryRows } from '../jobs/retry-by-hand';
import { notFound } from './create';
import { workflowScope } from './scope';

/** Who acts, as caller and as actor in the audit log. */
export interface Acting {
  caller: Caller;
  by: Actor;
}

const UNFINISHED: store.Member['status'][] = ['blocked', 'pending', 'running'];

/**
 * Unfinished jobs of a workflow -> cancelled, in one transaction: all, or the one with this key and all that depend on
 * it.
 * @throws {BatonError} `not_found`, `state_conflict` when it has ended, or none of these is unfinished
 */
export async function cancelWorkflow(
  context: Context,
  { caller, by }: Acting,
  id: string,
  { key = null, reason = null }: { key?: string | null | undefined; reason?: string | null | undefined },
): Promise<void> {
  const moved = await context.db.transaction(async (transaction) => {
    const workflow = await store.lockWorkflow(transaction, workflowScope(caller), id);
    if (workflow === null) throw notFound(id);
    if (key !== null) await requireKey(transaction, id, key);
    const ids = await store.memberIds(transaction, id, UNFINISHED, key);
    if (ids.length === 0)
      throw new BatonError(
        'state_conflict',
        key === null
          ? `The workflow is ${workflow.status}; none of its jobs is unfinished.`
          : `Neither ${key} nor what comes after it is unfinished.`,
      );
    const isPriced = context.queueSettings.hasPrices();
    const cancelled = await inBatches(ids, (batch) =>
      jobs.cancel(
        transaction,
        batch.map((jobId) => ({ jobId, userId: null, reason })),
        isPriced,
      ),
    );
    const details = {
      jobs: cancelled.length,
      ...(key === null ? {} : { key }),
      ...(reason === null ? {} : { reason }),
    };
    await record(transaction, by, [{ action: 'workflow.cancelled', target: id, details }]);
    return cancelled;
  });
  interruptRunners(context, moved);
  await announceCancelled(context, moved);
}

/**
 * Failed and cancelled jobs of a workflow -> pending, or blocked until their parents have ended; completed jobs are
 * kept.
 * @throws {BatonError} `not_found`, `state_conflict` when none of its jobs failed or was cancelled
 */
export async function retryWorkflow(context: Context, { caller, by }: Acting, id: string): Promise<void> {
  const moved = await context.db
    .transaction(async (transaction) => {
      const workflow = await store.lockWorkflow(transaction, workflowScope(caller), id);
      if (workflow === null) throw notFound(id);
      const ids = await store.memberIds(transaction, id, ['failed', 'cancelled'], null);
      if (ids.length === 0)
        throw new BatonError(
          'state_conflict',
          `The workflow is ${workflow.status}; none of its jobs failed or was cancelled.`,
        );
      const retried = await inBatches(ids, (batch) =>
        retryRows(
          transaction,
          batch.map((jobId) => ({ jobId, userId: null })),
          ids,
        ),
      );
      await record(transaction, by, [{ action: 'workflow.retried', target: id, details: { jobs: retried.length } }]);
      return retried;
    })
    .catch((error: unknown) => {
      if (!isUniqueViolation(error, 'jobs_unique_idx')) throw error;
      throw new BatonError(
        'state_conflict',
        'The unique key of one of its jobs is held by another unfinished job; cancel that one, or let it finish first.',
      );
    });
  await announceRetried(context, moved);
}

const BATCH = 500;

async function inBatches<Row>(ids: string[], move: (batch: string[]) => Promise<Row[]>): Promise<Row[]> {
  const moved: Row[] = [];
  for (let from = 0; from < ids.length; from += BATCH) moved.push(...(await move(ids.slice(from, from + BATCH))));
  return moved;
}

async function requireKey(db: Parameters<typeof store.members>[0], id: string, key: string): Promise<void> {
  const members = await store.members(db, id);
  if (!members.some((member) => member.key === key))
    throw new BatonError('not_found', `The workflow has no job with the key ${key}.`);
}
