import type { JobFilter, JobStatus } from '@baton/runner-sdk/protocol';
import { v7 as uuidv7 } from 'uuid';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/bulk';
import * as views from '../../store/views/jobs';
import { audited } from '../audit/record';
import type { Actor } from '../auth/caller';
import { cancel } from '../jobs/cancel';
import { prioritise } from '../jobs/edit';
import { remove } from '../jobs/remove';
import { replayJobs } from './replay-jobs';
import { retryByHand } from '../jobs/retry-by-hand';
import { allowedFrom, type Verb } from '../jobs/transitions';

const BATCH = 500;
/** Of a replay, which reads its jobs whole. */
const REPLAY_BATCH = 25;
/** What a replay waits for, because a job that it left out could not be made later without making others twice. */
const MAY_PASS: ReadonlySet<string> = new Set<BatonError['code']>(['queue_full', 'rate_limited', 'unavailable']);
const HELD_UP_MS = 5000;
/** Background operations that one key may have waiting: they are done one after the other, those of others too. */
const MOST_OPEN = 20;
const MOST_COUNTED = 2_147_483_647;

/** One verb for all jobs that match. */
export interface BulkRequest {
  verb: store.BulkVerb;
  /** Only this user's jobs; null: everybody's. */
  userId: string | null;
  filter: JobFilter;
  parameters: store.BulkParameters;
  /** Of one that was written down: its id, and when that was. */
  id?: string | undefined;
  createdAt?: Date | undefined;
  /** Who asked for it. */
  by: Actor | null;
}

/** How many jobs it would change. */
export function countMatching(context: Context, bulk: BulkRequest): Promise<number> {
  return views.count(context.db, bulk.userId, narrowed(bulk), MOST_COUNTED);
}

/**
 * Applies it now, in bounded batches that are transactions of their own, so that it disturbs nobody; returns how many
 * jobs were changed. Safe to repeat: what was changed does not match again.
 */
export async function applyNow(context: Context, bulk: BulkRequest): Promise<number> {
  let changed = 0;
  for (let after: string | null = null; ;) {
    const batch: Batch = await applyBatch(context, bulk, after);
    changed += batch.changed;
    if (batch.cursor === null) return changed;
    after = batch.cursor;
  }
}

/** Writes it down for the loop of any coordinator to work on. */
export async function applyInBackground(context: Context, bulk: BulkRequest): Promise<store.BulkOperationRow> {
  const operation = await storeOperation(context, bulk, uuidv7());
  if (operation === undefined) throw new Error('a bulk operation was not stored');
  return operation;
}

/** Stores it under this id; undefined: it is stored already. */
export async function storeOperation(
  context: Context,
  bulk: BulkRequest,
  id: string,
): Promise<store.BulkOperationRow | undefined> {
  const open = bulk.by === null ? 0 : await store.countOpen(context.db, bulk.by.keyId);
  if (open >= MOST_OPEN)
    throw new BatonError(
      'rate_limited',
      `${MOST_OPEN} operations of this key have not ended yet; they are done one after the other, so wait for one to end.`,
      { retryAfterMs: 5000 },
    );
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

/**
 * One batch of the oldest background operation. Its row is locked meanwhile, so that one coordinator works on it; after
 * a crash the batch is done again, which changes nothing twice.
 * @param heldUp until when (as `performance.now`) others go before operations that could not go on
 * @returns whether there is more to do
 */
export async function workOnNext(context: Context, heldUp: Map<string, number>): Promise<boolean> {
  for (const [id, until] of heldUp) if (until <= performance.now()) heldUp.delete(id);
  return context.db.transaction(async (transaction) => {
    const operation = await store.lockNext(transaction, [...heldUp.keys()]);
    if (operation === null) return false;
    const batch = await applyBatch(context, { ...operation, by: operation.requestedBy }, operation.cursor);
    if (batch.isHeldUp === true) heldUp.set(operation.id, performance.now() + HELD_UP_MS);
    if (batch.isHeldUp !== true || batch.cursor !== null)
      await store.advance(transaction, operation.id, batch.changed, batch.cursor);
    return true;
  });
}

interface Batch {
  changed: number;
  /** The last id that is done with; null: there are no more, or, of one that is held up, there was none. */
  cursor: string | null;
  /** What comes after the cursor cannot be done at the moment. */
  isHeldUp?: boolean;
}

async function applyBatch(context: Context, bulk: BulkRequest, after: string | null): Promise<Batch> {
  const size = bulk.verb === 'replay' ? REPLAY_BATCH : BATCH;
  const ids = await views.ids(context.db, bulk.userId, narrowed(bulk), after, size);
  const outcomes = ids.length === 0 ? [] : await act(context, bulk, ids);
  const heldUpAt = bulk.verb === 'replay' ? outcomes.findIndex(mayPass) : -1;
  const done = heldUpAt < 0 ? outcomes : outcomes.slice(0, heldUpAt);
  const changed = done.filter((outcome) => outcome !== undefined && !(outcome instanceof BatonError)).length;
  if (heldUpAt >= 0) return { changed, cursor: ids[heldUpAt - 1] ?? null, isHeldUp: true };
  return { changed, cursor: ids.length < size ? null : (ids.at(-1) ?? null) };
}

function mayPass(outcome: unknown): boolean {
  return outcome instanceof BatonError && MAY_PASS.has(outcome.code);
}

/** What became of each; nothing of a job that is gone. */
async function act(context: Context, bulk: BulkRequest, ids: string[]): Promise<unknown[]> {
  const { verb, userId, parameters, by } = bulk;
  switch (verb) {
    case 'cancel':
      // A job that was to be cancelled only while it waits may have started since it was found.
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

/** Only the statuses that the verb is for: the rest could only be refused. */
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

/** What a replay makes is not made again when it has finished in turn. */
function earlier(time: string | undefined, other: Date): string {
  return time === undefined || Date.parse(time) > other.getTime() ? other.toISOString() : time;
}
