import type { JobFilter, JobStatus } from '@baton/runner-sdk/protocol';
import { v7 as uuidv7 } from 'uuid';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/bulk';
import * as views from '../../store/views/jobs';
import { audited } from '../audit/record';
import { type Executor, requireClient } from '../../store/db';
import { describeError } from '../../logger';
import type { Actor } from '../auth/caller';
import { cancel } from '../jobs/cancel';
import { prioritise } from '../jobs/edit';
import { remove } from '../jobs/remove';
import { replayJobs } from './replay-jobs';
import { retryByHand } from '../jobs/retry-by-hand';
import { allowedFrom, type Verb } from '../jobs/transitions';

const BATCH = 500;
/** For a replay, which reads whole jobs. */
const REPLAY_BATCH = 25;
/** Temporary errors that a replay waits for: a skipped job could not be created later without creating others twice. */
const MAY_PASS: ReadonlySet<string> = new Set<BatonError['code']>(['queue_full', 'rate_limited', 'unavailable']);
const POSTPONED_MS = 5000;
/** An operation without progress for this long fails, so that nothing is retried for ever. */
export const BULK_PATIENCE_MS = 600_000;
/**
 * Most unfinished background operations of one key. All operations, also those of other keys, run one after the other.
 */
const MOST_OPEN = 20;
const MOST_COUNTED = 2_147_483_647;

/** One verb for all jobs that match. */
export interface BulkRequest {
  verb: store.BulkVerb;
  /** Only this user's jobs; null: all jobs. */
  userId: string | null;
  filter: JobFilter;
  parameters: store.BulkParameters;
  /** For a stored operation: its id, and when it was stored. */
  id?: string | undefined;
  createdAt?: Date | undefined;
  /** Who requested it. */
  by: Actor | null;
  /**
   * Where its jobs are looked for, when a caller waits for it: among readers, so that a slow filter takes the time of
   * reads.
   */
  search?: Executor | undefined;
}

/** Number of jobs that it would change. */
export function countMatching(context: Context, bulk: BulkRequest): Promise<number> {
  return views.count(context.db, bulk.userId, narrowed(bulk), MOST_COUNTED);
}

/**
 * Applies it now, in batches of bounded size, each in a transaction of its own, so that it blocks nobody. Returns how
 * many jobs were changed. Safe to repeat: changed jobs no longer match.
 */
export async function applyNow(context: Context, bulk: BulkRequest, signal?: AbortSignal): Promise<number> {
  let changed = 0;
  for (let after: string | null = null; ;) {
    requireClient(signal);
    const batch: Batch = await applyBatch(context, bulk, after);
    changed += batch.changed;
    if (batch.cursor === null) return changed;
    after = batch.cursor;
  }
}

/** Stores it, to be run by the loop of any coordinator. */
export async function applyInBackground(context: Context, bulk: BulkRequest): Promise<store.BulkOperationRow> {
  const operation = await storeOperation(context, bulk, uuidv7());
  if (operation === undefined) throw new Error('a bulk operation was not stored');
  return operation;
}

/** Stores it under this id; undefined: it is already stored. */
export async function storeOperation(
  context: Context,
  bulk: BulkRequest,
  id: string,
): Promise<store.BulkOperationRow | undefined> {
  await requireFew(context, bulk.by);
  const matched = await countMatching(context, bulk);
  const {
    verb,
    by,
    filter: { arguments: _arguments, ...filter },
  } = bulk;
  const [operation] = await audited(
    context,
    by,
    (db) => store.insert(db, { ...bulk, id, matched, requestedBy: by }),
    (rows) => rows.map((row) => ({ action: 'bulk.requested', target: row.id, details: { verb, filter, matched } })),
  );
  return operation;
}

/** @throws {BatonError} `rate_limited` when as many of the key's are open as may */
async function requireFew(context: Context, by: Actor | null): Promise<void> {
  const open = by === null ? 0 : await store.countOpen(context.db, by.keyId);
  if (open >= MOST_OPEN)
    throw new BatonError(
      'rate_limited',
      `${MOST_OPEN} operations of this key have not ended yet; they are done one after the other, so wait for one to end, or cancel it.`,
      { retryAfterMs: 5000 },
    );
}

/**
 * Ends an operation early. What it has changed stays changed.
 * @throws {BatonError} `state_conflict` when it has ended
 */
export async function cancelOperation(context: Context, by: Actor, id: string): Promise<store.BulkOperationRow> {
  const [cancelled] = await audited(
    context,
    by,
    (db) => store.cancel(db, id),
    (rows) => rows.map(({ verb, changed }) => ({ action: 'bulk.cancelled', target: id, details: { verb, changed } })),
  );
  if (cancelled === undefined)
    throw new BatonError('state_conflict', `The bulk operation ${id} has ended already; GET it to see how.`);
  return cancelled;
}

/** Resumes a failed operation. Undefined: it did not fail. */
export async function resumeOperation(
  context: Context,
  by: Actor | null,
  id: string,
): Promise<store.BulkOperationRow | undefined> {
  await requireFew(context, by);
  const [resumed] = await audited(
    context,
    by,
    (db) => store.resume(db, id),
    (rows) => rows.map(({ verb }) => ({ action: 'bulk.requested', target: id, details: { verb, isResumed: true } })),
  );
  return resumed;
}

/**
 * Runs one batch of the next background operation. Its row is locked meanwhile, so that only one coordinator works on
 * it. After a crash the batch is repeated, which changes nothing twice.
 * @param postponed until when (as `performance.now`) other operations go before those that could not continue
 * @returns whether there is more to do
 */
export async function workOnNext(context: Context, postponed: Map<string, number>): Promise<boolean> {
  for (const [id, until] of postponed) if (until <= performance.now()) postponed.delete(id);
  return context.db.transaction(async (transaction) => {
    const operation = await store.lockNext(transaction, [...postponed.keys()]);
    if (operation === null) return false;
    const { id } = operation;
    const batch = await applyBatch(context, { ...operation, by: operation.requestedBy }, operation.cursor).catch(
      (error: unknown) => failedBatch(context, id, error),
    );
    const { changed, cursor, heldUpBy } = batch;
    if (heldUpBy === undefined) {
      await store.advance(transaction, id, changed, cursor);
      return true;
    }
    postponed.set(id, performance.now() + POSTPONED_MS);
    const error = { code: heldUpBy.code, message: heldUpBy.message };
    if (await store.holdUp(transaction, { id, changed, cursor, error, patienceMs: BULK_PATIENCE_MS }))
      context.log.warn('a bulk operation has failed', { operationId: id, ...error });
    return true;
  });
}

interface Batch {
  changed: number;
  /** The last id that was handled; null: there are no more, or, if it is held up, none was. */
  cursor: string | null;
  /** Why the jobs after the cursor cannot be handled at the moment. */
  heldUpBy?: BatonError;
}

/** An operation that cannot continue blocks no others, and does not fail because of a temporary error. */
function failedBatch(context: Context, operationId: string, error: unknown): Batch {
  context.log.warn('a batch of a bulk operation failed', { operationId, ...describeError(error) });
  const heldUpBy =
    error instanceof BatonError
      ? error
      : new BatonError('internal', 'A batch failed on our side; the log of the coordinator tells why.', {
          cause: error,
        });
  return { changed: 0, cursor: null, heldUpBy };
}

async function applyBatch(context: Context, bulk: BulkRequest, after: string | null): Promise<Batch> {
  const size = bulk.verb === 'replay' ? REPLAY_BATCH : BATCH;
  const ids = await views.ids(bulk.search ?? context.db, bulk.userId, narrowed(bulk), after, size);
  const outcomes = ids.length === 0 ? [] : await act(context, bulk, ids);
  const heldUpAt = bulk.verb === 'replay' ? outcomes.findIndex(mayPass) : -1;
  const done = heldUpAt < 0 ? outcomes : outcomes.slice(0, heldUpAt);
  const changed = done.filter((outcome) => outcome !== undefined && !(outcome instanceof BatonError)).length;
  const heldUpBy = outcomes[heldUpAt];
  if (heldUpBy instanceof BatonError) return { changed, cursor: ids[heldUpAt - 1] ?? null, heldUpBy };
  return { changed, cursor: ids.length < size ? null : (ids.at(-1) ?? null) };
}

function mayPass(outcome: unknown): boolean {
  return outcome instanceof BatonError && MAY_PASS.has(outcome.code);
}

/** The outcome of each job; none for deleted jobs. */
async function act(context: Context, bulk: BulkRequest, ids: string[]): Promise<unknown[]> {
  const { verb, userId, parameters, by } = bulk;
  switch (verb) {
    case 'cancel':
      // A job that is to be cancelled only while it waits may have started since it was found.
      return cancel(
        context,
        ids.map((jobId) => ({ jobId, userId, reason: parameters.reason ?? null, from: narrowed(bulk).status })),
        by,
      );
    case 'retry':
      return retryByHand(
        context,
        ids.map((jobId) => ({ jobId, userId })),
        by,
      );
    case 'purge':
      return remove(context, ids, by);
    case 'prioritise':
      return prioritise(context, ids, parameters.priority ?? 0, by);
    case 'replay': {
      const made = await replayJobs(context, bulk, ids);
      return ids.map((id) => made.get(id));
    }
  }
}

const VERBS: Record<store.BulkVerb, Verb> = {
  cancel: 'cancel',
  retry: 'retry',
  purge: 'remove',
  prioritise: 'edit',
  replay: 'remove',
};

/** Only statuses that the verb allows; other jobs could only be refused. */
function narrowed({ verb, filter, createdAt }: BulkRequest): JobFilter {
  const allowed: JobStatus[] = allowedFrom(VERBS[verb]);
  return {
    ...filter,
    ...(verb === 'replay' && createdAt !== undefined
      ? { createdBefore: earlier(filter.createdBefore, createdAt) }
      : {}),
    status: filter.status === undefined ? allowed : filter.status.filter((status) => allowed.includes(status)),
  };
}

/** Jobs created by the replay must not be replayed when they have finished in turn. */
function earlier(time: string | undefined, other: Date): string {
  return time === undefined || Date.parse(time) > other.getTime() ? other.toISOString() : time;
}
