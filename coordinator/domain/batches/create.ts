import { hash } from 'node:crypto';
import { type BatchCallback, batchCallback, type Json, MOST_BATCH_JOBS, type NewJob } from '@baton/runner-sdk/protocol';
import { v7 as uuidv7 } from 'uuid';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/batches/batch';
import { type Caller, visibleUser } from '../auth/caller';
import { loadBulkResult, reserveBulkKey, saveBulkResult } from '../jobs/candidates/bulk-key';
import { check, type CreateItem, orThrow } from '../jobs/create';
import { requireFitting } from '../job-types/fit';
import { type CreateIn, createWithin } from '../jobs/create-within';
import type { Created } from '../jobs/candidates/job-candidate';
import { bulkRequestHash, canonicalText, isSameRequest, keyConflict } from '../jobs/candidates/request-hash';
import { callbackArguments } from './callbacks';
import { batchScope } from './scope';

export interface WantedBatch {
  name?: string | undefined;
  userId?: string | undefined;
  metadata?: { [key: string]: Json } | undefined;
  sealed: boolean;
  jobs: CreateItem[];
  callbacks: Partial<Record<BatchCallback, NewJob>>;
}

/** The jobs of a call that adds to a batch, in order, and whether its key was used before. */
export interface Added {
  id: string;
  jobIds: string[];
  isRepeated: boolean;
}

/**
 * Stores a batch with its first jobs, all or none.
 * @param key idempotency key of the call: a repeated call returns the same batch
 * @throws {BatonError} of the first job that is refused, with its index in `errors`; `idempotency_conflict`
 */
export async function createBatch(
  context: Context,
  caller: Caller,
  wanted: WantedBatch,
  key: string | undefined,
): Promise<Added> {
  const own = visibleUser(caller);
  if (own !== null && wanted.userId !== undefined && wanted.userId !== own)
    throw new BatonError('forbidden', `This key creates batches for the user ${own} only; leave userId out.`);
  const owner = own ?? wanted.userId ?? null;
  const jobs = ownedBy(owner, wanted.jobs);
  const callbacks = ownedCallbacks(caller, owner, wanted.callbacks);
  await requireCallbacks(context, caller, { ...wanted, callbacks });
  const id = uuidv7();
  const { keyId, name, role, userId, queues, types } = caller;
  const idempotency =
    key === undefined ? null : { scope: own ?? '', key, requestHash: await hashOf(context, caller, wanted) };
  const jobIds = await createWithin(context, async (transaction, create) => {
    const isNew = await store.insertBatch(transaction, {
      id,
      name: wanted.name ?? null,
      userId: owner,
      metadata: wanted.metadata ?? null,
      sealed: wanted.sealed,
      caller: { name, role, userId, queues, types },
      keyId,
      callbacks,
      idempotency,
    });
    if (!isNew) return null;
    const ids = idsOf(await createAll(create, jobs, id));
    if (idempotency !== null) await store.saveJobIds(transaction, id, ids);
    return ids;
  });
  if (jobIds !== null) {
    // An empty batch has ended; so may one whose jobs were fast.
    if (wanted.sealed) await context.followUps.batches.add([id]);
    return { id, jobIds, isRepeated: false };
  }
  const first = idempotency === null ? null : await store.findKeyed(context.db, idempotency);
  if (first === null || idempotency === null) throw new Error('a batch was neither stored nor found');
  if (!isSameRequest(first.requestHash, idempotency.requestHash)) throw keyConflict(idempotency.key);
  return { id: first.id, jobIds: first.jobIds, isRepeated: true };
}

/**
 * Adds jobs to an open batch, all or none.
 * @param key idempotency key of the call: a repeated call returns the same jobs, even if the batch was sealed meanwhile
 * @throws {BatonError} `not_found`; `state_conflict` when it is sealed or full; the error of the first job that is
 * refused
 */
export async function addToBatch(
  context: Context,
  caller: Caller,
  id: string,
  items: CreateItem[],
  key: string | undefined,
): Promise<Added> {
  const call =
    key === undefined
      ? undefined
      : {
          scope: visibleUser(caller) ?? '',
          key: `batch:${id}:${key}`,
          requestHash: await jobsHash(context, caller, items),
        };
  const jobIds = await createWithin(context, async (transaction, create) => {
    const batch = await store.lockForAdding(transaction, batchScope(caller), id);
    if (batch === null) throw noBatch(id);
    if (call !== undefined && !(await reserveBulkKey(transaction, call))) return null;
    requireRoom(id, batch, items.length);
    const created = await createAll(create, ownedBy(batch.userId, items), id);
    if (call !== undefined) await saveBulkResult(transaction, call, created);
    return idsOf(created);
  });
  if (jobIds !== null) return { id, jobIds, isRepeated: false };
  if (call === undefined) throw new Error('jobs of a batch were neither stored nor refused');
  return { id, jobIds: idsOf(await loadBulkResult(context.db, { call, caller })), isRepeated: true };
}

function requireRoom(id: string, { isOpen, jobs }: { isOpen: boolean; jobs: number }, adding: number): void {
  if (!isOpen) throw new BatonError('state_conflict', `The batch ${id} is sealed: no jobs can be added to it.`);
  if (jobs + adding > MOST_BATCH_JOBS)
    throw new BatonError(
      'state_conflict',
      `The batch ${id} has ${jobs} jobs, and may have ${MOST_BATCH_JOBS}; create another batch for the rest.`,
    );
}

/**
 * Jobs of a user's batch belong to that user, because whoever sees the batch sees their results.
 * @throws {BatonError} `validation_failed` of the first job that names another user
 */
function ownedBy(owner: string | null, items: CreateItem[]): CreateItem[] {
  if (owner === null) return items;
  return items.map((item, index) => ({ ...item, job: ownJob(item.caller, owner, item.job, `jobs.${index}`) }));
}

function ownedCallbacks(caller: Caller, owner: string | null, callbacks: WantedBatch['callbacks']) {
  if (owner === null) return callbacks;
  return Object.fromEntries(Object.entries(callbacks).map(([kind, job]) => [kind, ownJob(caller, owner, job, kind)]));
}

function ownJob(caller: Caller, owner: string, job: NewJob, path: string): NewJob {
  // For a key of one user the check of the create reports other users.
  if (visibleUser(caller) !== null) return job;
  if (job.userId === undefined || job.userId === owner) return { ...job, userId: owner };
  const message = `must be ${owner}, the user of the batch, or be left out`;
  throw new BatonError('validation_failed', `Nothing was created, because of ${path}: userId ${message}.`, {
    errors: [{ path: `${path}.userId`, message }],
  });
}

export function noBatch(id: string): BatonError {
  return new BatonError('not_found', `There is no batch with id ${id}.`);
}

async function createAll(create: CreateIn, items: CreateItem[], batchId: string): Promise<Created[]> {
  if (items.length === 0) return [];
  const outcomes = await create(items.map((item) => ({ ...item, batchId })));
  return outcomes.map((outcome, index) => orThrow(outcome, index));
}

function idsOf(created: Created[]): string[] {
  return created.map(({ job }) => job.id);
}

/** Refuses callback jobs that could not be created now. */
async function requireCallbacks(context: Context, caller: Caller, { name, callbacks }: WantedBatch): Promise<void> {
  for (const kind of batchCallback.options) {
    const job = callbacks[kind];
    if (job === undefined) continue;
    const checked = check(context, { caller, job: { ...job, arguments: callbackArguments(job, SAMPLE(name)) } });
    if (!(checked instanceof BatonError)) {
      await requireFitting(context, checked.job, kind);
      continue;
    }
    const errors = (checked.errors ?? [{ path: '', message: checked.message }]).map(({ path, message }) => ({
      path: path === '' ? kind : `${kind}.${path}`,
      message,
    }));
    throw new BatonError(checked.code, `Nothing was created, because of ${kind}: ${checked.message}`, { errors });
  }
}

/** As large as the largest data that a callback job is given. */
const SAMPLE = (name: string | undefined) => {
  const most = MOST_BATCH_JOBS;
  const counts = {
    total: most,
    blocked: most,
    pending: most,
    running: most,
    completed: most,
    failed: most,
    cancelled: most,
  };
  return { id: '00000000-0000-0000-0000-000000000000', name: name ?? null, counts };
};

function jobsHash({ queueSettings }: Context, caller: Caller, items: CreateItem[]): Promise<string> {
  const requests = items.map(({ job }) => ({
    job,
    defaults: queueSettings.defaultsOf(job.queue),
    userId: visibleUser(caller) ?? job.userId,
  }));
  return bulkRequestHash(requests);
}

/** Hash of the jobs, whose configurable defaults may change in between, and of all else, which may not. */
async function hashOf(
  context: Context,
  caller: Caller,
  { jobs, name, userId, metadata, sealed, callbacks }: WantedBatch,
): Promise<string> {
  const [base = '', came = '', sent = ''] = (await jobsHash(context, caller, jobs)).split('.');
  const rest = canonicalText({ name, userId, metadata, sealed, callbacks });
  return `${hash('sha256', `${base} ${rest}`, 'base64url')}.${came}.${sent}`;
}
