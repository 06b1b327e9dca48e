import type { JobFilter, JobStatus } from '@baton/runner-sdk/protocol';
import { v7 as uuidv7 } from 'uuid';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/bulk';
import * as views from '../../store/views/jobs';
import { recorded } from '../audit/record';
import type { Actor } from '../auth/caller';
import { cancel } from './cancel';
import { prioritise } from './edit';
import { remove } from './remove';
import { replayJobs } from './replay-jobs';
import { retryByHand } from './retry-by-hand';
import { allowedFrom, type Verb } from './transitions';

const BATCH = 500;
/** Background operations that one key may have waiting: they are done one after the other, those of others too. */
const MOST_OPEN = 20;
const MOST_COUNTED = 2_147_483_647;

/** One verb for all jobs that match. */
export interface Bulk {
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
export function countMatching(context: Context, bulk: Bulk): Promise<number> {
  return views.count(context.db, bulk.userId, narrowed(bulk), MOST_COUNTED);
}

/**
 * Applies it now, in bounded batches that are transactions of their own, so that it disturbs nobody; returns how many
 * jobs were changed. Safe to repeat: what was changed does not match again.
 */
export async function applyNow(context: Context, bulk: Bulk): Promise<number> {
  let changed = 0;
  for (let after: string | null = null; ;) {
    const batch: Batch = await applyBatch(context, bulk, after);
    changed += batch.changed;
    if (batch.cursor === null) return changed;
    after = batch.cursor;
  }
}

/** Writes it down for the loop of any coordinator to work on. */
export async function applyInBackground(context: Context, bulk: Bulk): Promise<store.BulkOperationRow> {
  const operation = await keepOperation(context, bulk, uuidv7());
  if (operation === undefined) throw new Error('a bulk operation was not stored');
  return operation;
}

/** Stores it under this id; undefined: it is stored already. */
export async function keepOperation(
  context: Context,
  bulk: Bulk,
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
  const [operation] = await recorded(
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
 * @returns whether there is more to do
 */
export async function workOnNext(context: Context): Promise<boolean> {
  return context.db.transaction(async (transaction) => {
    const operation = await store.lockNext(transaction);
    if (operation === null) return false;
    const { changed, cursor } = await applyBatch(
      context,
      { ...operation, by: operation.requestedBy },
      operation.cursor,
    );
    await store.advance(transaction, operation.id, changed, cursor);
    return true;
  });
}

interface Batch {
  changed: number;
  /** The last id looked at; null: there are no more. */
  cursor: string | null;
}

async function applyBatch(context: Context, bulk: Bulk, after: string | null): Promise<Batch> {
  const ids = await views.ids(context.db, bulk.userId, narrowed(bulk), after, BATCH);
  const outcomes = ids.length === 0 ? [] : await act(context, bulk, ids);
  const changed = outcomes.filter((outcome) => !(outcome instanceof BatonError)).length;
  return { changed, cursor: ids.length < BATCH ? null : (ids.at(-1) ?? null) };
}

function act(context: Context, bulk: Bulk, ids: string[]): Promise<unknown[]> {
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
    case 'replay':
      return replayJobs(context, bulk, ids);
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
function narrowed({ verb, filter, createdAt }: Bulk): JobFilter {
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
