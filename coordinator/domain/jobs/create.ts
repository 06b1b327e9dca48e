import { createHash } from 'node:crypto';
import { DEFAULT_RETRY, type Json, type NewJob } from '@baton/runner-sdk/protocol';
import { v7 as uuidv7 } from 'uuid';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import { type Executor, isUniqueViolation } from '../../store/db';
import * as store from '../../store/jobs';
import * as keys from '../../store/keys';
import { type Caller, visibleUser } from '../auth/caller';
import { jobEvent } from '../events/events';
import { requireSize } from './payload-size';

export interface CreateItem {
  caller: Caller;
  job: NewJob;
  idempotencyKey?: string | undefined;
}

export interface Created {
  job: store.JobRow;
  /** `repeated`: the idempotency key was used before; `deduplicated`: another job holds the unique key. */
  as: 'created' | 'repeated' | 'deduplicated';
}

/**
 * (none) -> pending. Each job is judged alone; the refused ones come back as errors and store nothing.
 * All that are not refused are stored in one transaction.
 */
export async function create(context: Context, items: CreateItem[]): Promise<(Created | BatonError)[]> {
  const checked = items.map((item) => check(context, item));
  const accepted = checked.filter((draft): draft is Draft => !(draft instanceof BatonError));
  await route(context, accepted);
  const isPlain = accepted.every((draft) => draft.row.uniqueKey === undefined);
  const outcomes = isPlain
    ? await storePlain(context.db, accepted)
    : await withUnique(context, (transaction) => storeUnique(transaction, accepted));
  announce(context, outcomes);
  return checked.map((draft) => (draft instanceof BatonError ? draft : outcomeOf(outcomes, draft)));
}

/**
 * All or none.
 * @throws {BatonError} of the first job that is refused, its place in the list named in `errors`.
 */
export async function createAtomic(context: Context, items: CreateItem[]): Promise<Created[]> {
  const drafts = items.map((item, index) => orThrow(check(context, item), index));
  await route(context, drafts);
  const outcomes = await withUnique(context, async (transaction) => {
    const stored = await storeUnique(transaction, drafts);
    drafts.forEach((draft, index) => orThrow(stored.get(draft), index));
    return stored;
  });
  announce(context, outcomes);
  return drafts.map((draft, index) => orThrow(outcomeOf(outcomes, draft), index));
}

function orThrow<T>(outcome: T | BatonError, index: number): T {
  if (!(outcome instanceof BatonError)) return outcome;
  const errors = (outcome.errors ?? [{ path: '', message: outcome.message }]).map(({ path, message }) => ({
    path: ['jobs', index, path].filter((part) => part !== '').join('.'),
    message,
  }));
  throw new BatonError(outcome.code, `Nothing was created, because of jobs.${index}: ${outcome.message}`, { errors });
}

interface Draft {
  item: CreateItem;
  row: store.InsertJob;
}

type Outcome = { created: Created; inserted: store.InsertedJob | null } | BatonError;

function check(context: Context, item: CreateItem): Draft | BatonError {
  const { caller, job, idempotencyKey } = item;
  const own = visibleUser(caller);
  if (own !== null && job.userId !== undefined && job.userId !== own) {
    return new BatonError('forbidden', `This key creates jobs for the user ${own} only; leave userId out.`);
  }
  const tooLarge = requireSize(job.arguments, 'arguments', context.maxPayloadBytes) ?? requireSize(job.metadata, 'metadata', context.maxPayloadBytes);
  if (tooLarge !== null) return tooLarge;
  const { runAt, delayMs, uniqueKey, uniqueForMs, expiresAt, requires, metadata, retry, ...rest } = job;
  return {
    item,
    row: {
      ...rest,
      id: uuidv7(),
      laneId: 0,
      arguments: job.arguments ?? {},
      userId: own ?? job.userId,
      runAt,
      delayMs,
      uniqueKey,
      uniqueForMs,
      expiresAt,
      requires: requires as Json | undefined,
      metadata,
      retry: retry as Json | undefined,
      ...(idempotencyKey === undefined
        ? {}
        : { idempotencyScope: own ?? '', idempotencyKey, requestHash: createHash('sha256').update(JSON.stringify(job)).digest('base64url') }),
    },
  };
}

async function route(context: Context, drafts: Draft[]): Promise<void> {
  const lanes = await context.lanes.of(drafts.map((draft) => ({ ...draft.row, requires: draft.item.job.requires ?? null })));
  drafts.forEach((draft, index) => (draft.row.laneId = lanes[index]?.id ?? 0));
}

/**
 * A retry by hand may take a unique key back between the look for its holder and the insert, because it does not wait for
 * the key's lock; looked at again, it is the holder.
 */
async function withUnique<T>(context: Context, body: (transaction: Executor) => Promise<T>): Promise<T> {
  try {
    return await context.db.transaction(body);
  } catch (error) {
    if (!isUniqueViolation(error, 'jobs_unique_idx')) throw error;
    return context.db.transaction(body);
  }
}

/** Jobs with unique keys: the keys are locked and their holders looked up before the rest is stored. */
async function storeUnique(transaction: Executor, drafts: Draft[]): Promise<Map<Draft, Outcome>> {
  const holders = await findHolders(transaction, drafts);
  const outcomes = await storePlain(transaction, drafts.filter((draft) => !holders.has(draft)));
  for (const [draft, holder] of holders) {
    const first = 'item' in holder ? outcomes.get(holder) : { created: { job: holder, as: 'created' as const }, inserted: null };
    if (first !== undefined) outcomes.set(draft, await deduplicated(transaction, draft, first));
  }
  return outcomes;
}

/** Jobs without unique keys need one statement, or two when an idempotency key was used before. */
async function storePlain(db: Executor, drafts: Draft[]): Promise<Map<Draft, Outcome>> {
  if (drafts.length === 0) return new Map();
  const inserted = new Map((await store.insert(db, drafts.map((draft) => draft.row))).map((row) => [row.id, row]));
  const outcomes = new Map<Draft, Outcome>();
  const repeated: Draft[] = [];
  for (const draft of drafts) {
    const row = inserted.get(draft.row.id);
    if (row === undefined) repeated.push(draft);
    else outcomes.set(draft, { created: { job: toRow(draft, row), as: 'created' }, inserted: row });
  }
  for (const [draft, outcome] of await findRepeated(db, repeated)) outcomes.set(draft, outcome);
  return outcomes;
}

/** Drafts whose idempotency key was taken: the same request gets the first job, another one is refused. */
async function findRepeated(db: Executor, drafts: Draft[]): Promise<Map<Draft, Outcome>> {
  const outcomes = new Map<Draft, Outcome>();
  if (drafts.length === 0) return outcomes;
  const used = await keys.findIdempotent(db, drafts.map(({ row }) => ({ scope: row.idempotencyScope ?? '', key: row.idempotencyKey ?? '' })));
  for (const draft of drafts) {
    const { idempotencyScope, idempotencyKey, requestHash } = draft.row;
    const first = used.find((one) => one.scope === idempotencyScope && one.key === idempotencyKey);
    if (first === undefined) {
      outcomes.set(draft, new BatonError('unavailable', 'The first request with this idempotency key is still under way.', { retryAfterMs: 1000 }));
    } else if (first.requestHash !== requestHash) {
      outcomes.set(draft, new BatonError('idempotency_conflict', `The idempotency key ${idempotencyKey} was used for another request. Use a new key, or repeat the first request unchanged.`));
    } else {
      outcomes.set(draft, { created: { job: first, as: 'repeated' }, inserted: null });
    }
  }
  return outcomes;
}

/** For each draft with a unique key: the job, or the earlier draft of this batch, that holds it. */
async function findHolders(transaction: Executor, drafts: Draft[]): Promise<Map<Draft, Draft | store.JobRow>> {
  const wanting = drafts.filter((draft) => draft.row.uniqueKey !== undefined);
  if (wanting.length === 0) return new Map();
  const wanted = wanting.map(({ row }) => ({ type: row.type, uniqueKey: row.uniqueKey ?? '', userId: row.userId ?? '' }));
  await keys.lockUnique(transaction, wanted);
  const repeated = await keys.findIdempotent(
    transaction,
    wanting.flatMap(({ row }) => (row.idempotencyKey === undefined ? [] : [{ scope: row.idempotencyScope ?? '', key: row.idempotencyKey }])),
  );
  const held = await keys.findUniqueHolders(transaction, wanted);
  const holders = new Map<Draft, Draft | store.JobRow>();
  const earlier = new Map<string, Draft>();
  for (const draft of wanting) {
    const { row } = draft;
    // A repeated request is answered with its first job, whoever holds the unique key by now.
    if (repeated.some((one) => one.scope === row.idempotencyScope && one.key === row.idempotencyKey)) continue;
    const name = JSON.stringify([row.type, row.uniqueKey, row.userId ?? '']);
    const holder = held.find((job) => job.type === row.type && job.uniqueKey === row.uniqueKey && (job.userId ?? '') === (row.userId ?? ''));
    const first = holder ?? earlier.get(name);
    if (first === undefined) earlier.set(name, draft);
    else holders.set(draft, first);
  }
  return holders;
}

/** A deduplicated job's idempotency key stands for the holder, so that a repeat of the request gets the same answer. */
async function deduplicated(transaction: Executor, draft: Draft, holder: Outcome): Promise<Outcome> {
  if (holder instanceof BatonError) return holder;
  const { job } = holder.created;
  const { idempotencyScope, idempotencyKey, requestHash } = draft.row;
  if (idempotencyKey !== undefined) {
    await keys.insertIdempotent(transaction, { scope: idempotencyScope ?? '', key: idempotencyKey, requestHash: requestHash ?? '', jobId: job.id });
  }
  return { created: { job, as: 'deduplicated' }, inserted: null };
}

function announce(context: Context, outcomes: Map<Draft, Outcome>): void {
  const stored = [...outcomes].flatMap(([draft, outcome]) =>
    outcome instanceof BatonError || outcome.inserted === null ? [] : [{ laneId: draft.row.laneId, inserted: outcome.inserted, job: outcome.created.job }],
  );
  context.hints.giveReady(
    stored.map(({ laneId, inserted }) => ({ laneId, dueInMs: inserted.dueInMs, runAtMs: inserted.runAt.getTime() })),
  );
  context.events.tell(stored.map(({ job }) => jobEvent('job.created', job)));
}

function outcomeOf(outcomes: Map<Draft, Outcome>, draft: Draft): Created | BatonError {
  const outcome = outcomes.get(draft);
  if (outcome === undefined) throw new Error(`job ${draft.row.id} was neither stored nor refused`);
  return outcome instanceof BatonError ? outcome : outcome.created;
}

/** The row as it was stored: what was sent, and what the database added. */
function toRow({ row, item }: Draft, inserted: store.InsertedJob): store.JobRow {
  return {
    id: row.id,
    type: row.type,
    queue: row.queue,
    priority: row.priority,
    status: 'pending',
    reason: null,
    laneId: row.laneId,
    runAt: inserted.runAt,
    arguments: row.arguments,
    result: null,
    error: null,
    metadata: row.metadata ?? null,
    requires: row.requires ?? null,
    tags: row.tags,
    userId: row.userId ?? null,
    uniqueKey: row.uniqueKey ?? null,
    uniqueUntil: inserted.uniqueUntil,
    expiresAt: item.job.expiresAt === undefined ? null : new Date(item.job.expiresAt),
    attempt: 0,
    failures: 0,
    maxAttempts: row.maxAttempts,
    retry: row.retry ?? DEFAULT_RETRY,
    timeoutMs: row.timeoutMs,
    runnerId: null,
    claimId: null,
    leaseToken: null,
    leaseMs: null,
    leaseExpiresAt: null,
    deadlineAt: null,
    progress: null,
    checkpoint: null,
    metrics: null,
    createdAt: inserted.createdAt,
    startedAt: null,
    finishedAt: null,
    updatedAt: inserted.createdAt,
  };
}

