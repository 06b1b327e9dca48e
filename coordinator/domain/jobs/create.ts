import { DEFAULT_RETRY, type FieldError, type NewJob } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import { describeError } from '../../logger';
import { type Executor, isUniqueViolation } from '../../store/db';
import * as store from '../../store/jobs';
import { lockNames } from '../../store/locks';
import { insertEdges } from '../../store/workflows/edges';
import { mapInTurns, MOST_STATEMENT_BYTES, slices } from '../../turns';
import { type Caller, visibleUser } from '../auth/caller';
import { scopeFault } from '../auth/scope';
import { receiverFault } from '../webhooks/settings';
import { isRated, checkRates, rateLock } from '../limits/user-rate';
import { refuseUnfit } from '../job-types/fit';
import { jobEvent } from '../events/events';
import { bulkKeyOf, saveBulkResult, loadBulkResult, reserveBulkKey, isBulkKeyUsed } from './candidates/bulk-key';
import {
  type Created,
  type JobCandidate,
  findFresh,
  findHolders,
  findRepeated,
  keepDeduplicated,
  type Outcome,
  uniqueLock,
} from './candidates/job-candidate';
import { endedParents, hasParents, checkParents } from './candidates/parents';
import { keepObjects, type NamedBy } from '../objects/references';
import { payloadBytes, requireBytes } from './payload-size';
import { requestHash } from './candidates/request-hash';
import { laneMaker, presentLanes, tooManyLanes } from './lanes';
import { withQuota, releaseQuota, reserveQuota } from './candidates/waiting-quota';
import { claimedRows, NOTHING_RESERVED, type Reservation, type Reserve, reserveFor } from './candidates/reservation';
import { enqueue, orderLock, readyLanesOf, liftHolds } from './promotion';
import { settleParents } from './settle';

export interface CreateItem {
  caller: Caller;
  job: NewJob;
  idempotencyKey?: string | undefined;
  /** The W3C trace context of the create: a traceparent, and after a space a tracestate. */
  trace?: string | undefined;
  /** The schedule that creates it. */
  scheduleId?: string | undefined;
  /** The batch that it belongs to. */
  batchId?: string | undefined;
  /**
   * Whose secret signs its callback, if the caller creates for any user; null: that of admins and producers. A replayed
   * job keeps that of the original: otherwise a user's URL would receive messages signed by the application.
   */
  callbackOf?: string | null | undefined;
}

/**
 * (none) -> pending, or running where a waiting claim is reserved. Each job is accepted or refused on its own; refused
 * ones are returned as errors and are not stored. The accepted ones are stored in one transaction.
 */
export async function create(
  context: Context,
  items: CreateItem[],
  reserve: Reserve,
): Promise<(Created | BatonError)[]> {
  const checked = await mapInTurns(items, (item) => check(context, item));
  const candidates = checked.filter((candidate): candidate is JobCandidate => !(candidate instanceof BatonError));
  const refused = await route(context, candidates);
  const quota = await reserveQuota(
    context,
    candidates.filter((candidate) => !refused.has(candidate)),
  );
  for (const [candidate, error] of quota.refused) refused.set(candidate, error);
  const accepted = refused.size === 0 ? candidates : candidates.filter((candidate) => !refused.has(candidate));
  const outcomes = await withQuota(context, quota, () =>
    accepted.every((candidate) => isPlain(context, candidate)) && isOneStatement(accepted)
      ? storeReserved(context, accepted, reserve)
      : withKeys(context, reserve, (transaction, open) => storeKeyed(context, transaction, accepted, open)),
  );
  await announce(context, outcomes);
  return checked.map((candidate) =>
    candidate instanceof BatonError ? candidate : (refused.get(candidate) ?? outcomeOf(outcomes, candidate)),
  );
}

/**
 * Creates all jobs or none.
 * @param key idempotency key of the whole call: a repeated call returns the jobs of the first. The jobs then have no
 * keys of their own.
 * @throws {BatonError} of the first job that is refused; `errors` names its index in the list
 */
export async function createAtomic(
  context: Context,
  items: CreateItem[],
  reserve: Reserve,
  key?: string,
): Promise<Created[]> {
  const candidates = await mapInTurns(items, (item, index) => orThrow(check(context, item), index));
  const [first] = items;
  const keyed =
    key === undefined || first === undefined
      ? undefined
      : { call: await bulkKeyOf(context, first.caller, candidates, key), caller: first.caller };
  const unrouted = await route(context, candidates);
  if (unrouted.size > 0 && keyed !== undefined && (await isBulkKeyUsed(context.db, keyed.call)))
    return loadBulkResult(context.db, keyed);
  candidates.forEach((candidate, index) => orThrow(unrouted.get(candidate) ?? candidate, index));
  const quota = await reserveQuota(context, candidates);
  const [refused] = quota.refused.values();
  if (refused !== undefined) {
    releaseQuota(context, quota);
    if (keyed !== undefined && (await isBulkKeyUsed(context.db, keyed.call))) return loadBulkResult(context.db, keyed);
    throw refused;
  }
  const outcomes = await withQuota(context, quota, () => storeAll(context, candidates, reserve, keyed?.call));
  if (keyed !== undefined && outcomes.size === 0) return loadBulkResult(context.db, keyed);
  await announce(context, outcomes);
  return candidates.map((candidate, index) => orThrow(outcomeOf(outcomes, candidate), index));
}

/** Jobs that a single statement can store need no transaction. Stores nothing when the call's key was used before. */
function storeAll(
  context: Context,
  candidates: JobCandidate[],
  reserve: Reserve,
  call: store.BulkKey | undefined,
): Promise<Map<JobCandidate, Outcome>> {
  const arePlain = candidates.every(
    (candidate) => isPlain(context, candidate) && candidate.row.idempotencyKey === undefined,
  );
  if (arePlain && isOneStatement(candidates))
    return context.db.gate.run(() => storeReserved(context, candidates, reserve, call));
  return withKeys(context, reserve, async (transaction, open) => {
    if (call !== undefined && !(await reserveBulkKey(transaction, call))) return new Map<JobCandidate, Outcome>();
    const stored = await storeKeyed(context, transaction, candidates, open);
    const outcomes = candidates.map((candidate, index) => orThrow(outcomeOf(stored, candidate), index));
    if (call !== undefined) await saveBulkResult(transaction, call, outcomes);
    return stored;
  });
}

/** Large payloads are stored a few at a time, and so need a transaction. */
function isOneStatement(candidates: JobCandidate[]): boolean {
  return candidates.reduce((sum, { bytes }) => sum + bytes, 0) <= MOST_STATEMENT_BYTES;
}

function isPlain(context: Context, { job, row }: JobCandidate): boolean {
  return !hasParents(job) && row.uniqueKey === undefined && row.orderKey === undefined && !isRated(context, row);
}

export function orThrow<T>(outcome: T | BatonError, index: number): T {
  if (!(outcome instanceof BatonError)) return outcome;
  const errors = (outcome.errors ?? [{ path: '', message: outcome.message }]).map(
    ({ path, message, pointer }: FieldError) => ({
      path: ['jobs', index, path].filter((part) => part !== '').join('.'),
      message,
      ...(pointer === undefined ? {} : { pointer: `/jobs/${index}${pointer}` }),
    }),
  );
  throw new BatonError(outcome.code, `Nothing was created, because of jobs.${index}: ${outcome.message}`, {
    errors,
    ...(outcome.retryAfterMs === undefined ? {} : { retryAfterMs: outcome.retryAfterMs }),
  });
}

/** Validates a create before anything is stored. */
export function check(context: Context, item: CreateItem): JobCandidate | BatonError {
  const { caller, job, idempotencyKey } = item;
  const own = visibleUser(caller);
  const fault = callerFault(caller, own, job) ?? callbackFault(context, job);
  if (fault !== null) return fault;
  const [argumentBytes, metadataBytes] = [payloadBytes(job.arguments), payloadBytes(job.metadata)];
  const tooLarge =
    requireBytes(argumentBytes, 'arguments', context.maxPayloadBytes) ??
    requireBytes(metadataBytes, 'metadata', context.maxPayloadBytes);
  if (tooLarge !== null) return tooLarge;
  const isKeyed = idempotencyKey !== undefined;
  const defaults = context.queueSettings.defaultsOf(job.queue);
  const row = store.insertJob(job, {
    id: context.jobIds.next(),
    priority: job.priority ?? defaults.priority,
    laneId: 0,
    laneFrom: undefined,
    arguments: job.arguments === undefined ? {} : job.arguments,
    timeoutMs: job.timeoutMs ?? defaults.timeoutMs,
    maxAttempts: job.maxAttempts ?? defaults.maxAttempts,
    // Null stands for the default policy.
    retry: job.retry ?? (defaults.retry === DEFAULT_RETRY ? undefined : defaults.retry),
    userId: own ?? job.userId,
    orderBlocks: job.orderKey !== undefined && job.orderOnFailure === 'block',
    callback: callbackOf(item, own),
    trace: item.trace,
    scheduleId: item.scheduleId,
    relations: item.batchId === undefined ? undefined : { batchId: item.batchId, isBlocked: false },
    idempotencyScope: isKeyed ? (own ?? '') : undefined,
    idempotencyKey,
    requestHash: isKeyed ? requestHash({ job, defaults, userId: own ?? job.userId }) : undefined,
  });
  return { job, row, bytes: argumentBytes + metadataBytes, onConflict: job.onConflict, caller };
}

function callbackOf({ job: { callbackUrl: url }, callbackOf: owner = null }: CreateItem, own: string | null) {
  return url === undefined ? undefined : { url, userId: own ?? owner };
}

/** @param own the only user for whom the caller creates jobs; null: any user */
function callerFault(caller: Caller, own: string | null, { type, queue, userId }: NewJob): BatonError | null {
  const fault = scopeFault(caller, { type, queue });
  if (fault !== null) return fault;
  if (own !== null && userId !== undefined && userId !== own)
    return new BatonError('forbidden', `This key creates jobs for the user ${own} only; leave userId out.`);
  return null;
}

function callbackFault({ webhooks }: Context, { callbackUrl }: NewJob): BatonError | null {
  const fault = callbackUrl === undefined ? null : receiverFault(callbackUrl, webhooks.urlPolicy);
  return fault === null
    ? null
    : new BatonError('validation_failed', `The callbackUrl ${fault}.`, {
        errors: [{ path: 'callbackUrl', message: fault }],
      });
}

/**
 * Gives each candidate its lane, and keeps the objects that arguments name. Returns those whose creators have reached
 * their limit of lanes, those whose object is not there, and those whose arguments fit no schema, where the queue
 * checks that.
 */
export async function route(context: Context, candidates: JobCandidate[]): Promise<Map<JobCandidate, BatonError>> {
  if (!context.queueSettings.checksAny()) return routeFitting(context, candidates);
  const unfit = await findUnfit(context, candidates);
  if (unfit.size === 0) return routeFitting(context, candidates);
  const refused = await routeFitting(
    context,
    candidates.filter((candidate) => !unfit.has(candidate)),
  );
  return new Map([...refused, ...unfit]);
}

/** A repeated request gets its first job, whatever the schemas have become since. */
async function findUnfit(context: Context, candidates: JobCandidate[]): Promise<Map<JobCandidate, BatonError>> {
  const unfit = await refuseUnfit(context, candidates, ({ job }) => job);
  const keyed = [...unfit.keys()].filter(({ row }) => row.idempotencyKey !== undefined);
  if (keyed.length === 0) return unfit;
  const fresh = new Set(await findFresh(context.db, keyed));
  for (const candidate of keyed) if (!fresh.has(candidate)) unfit.delete(candidate);
  return unfit;
}

async function routeFitting(context: Context, candidates: JobCandidate[]): Promise<Map<JobCandidate, BatonError>> {
  const lanes = await context.lanes.of(
    candidates.map(({ job: { queue, type, requires = null, prefers = null }, row: { priority } }) => ({
      queue,
      type,
      priority,
      requires,
      prefers,
    })),
    candidates.map(({ caller }) => laneMaker(caller)),
  );
  const refused = await keepObjects(context, candidates, objectsOf);
  candidates.forEach((candidate, index) => {
    const lane = lanes[index] ?? null;
    if (lane === null) refused.set(candidate, tooManyLanes(laneMaker(candidate.caller)));
    else candidate.row.laneId = lane.id;
  });
  return refused;
}

function objectsOf({ caller, row }: JobCandidate): NamedBy {
  return { jobId: row.id, value: row.arguments, field: 'arguments', ownUser: visibleUser(caller) };
}

const NOTHING_STORED: ReadonlyMap<JobCandidate, Outcome> = new Map();

/** Reserves claims for these jobs, in place of those that a previous attempt reserved. */
type OpenReservation = (candidates: JobCandidate[]) => Reservation;

/**
 * A manual retry does not wait for the lock of a unique key, so it may take the key back between the lookup of the
 * holder and the insert. The second run then finds it as the holder.
 */
async function withKeys(
  context: Context,
  reserve: Reserve,
  body: (transaction: Executor, open: OpenReservation) => Promise<Map<JobCandidate, Outcome>>,
): Promise<Map<JobCandidate, Outcome>> {
  let reservation = NOTHING_RESERVED;
  const run = (): Promise<Map<JobCandidate, Outcome>> =>
    context.db.keyed.transaction((transaction) => {
      // An earlier try was rolled back.
      settle(context, reservation);
      return body(transaction, (candidates) => (reservation = reserveFor(candidates, reserve)));
    });
  try {
    const outcomes = await run().catch((error: unknown) => {
      if (!isUniqueViolation(error, 'jobs_unique_idx')) throw error;
      return run();
    });
    settle(context, reservation, outcomes);
    return outcomes;
  } finally {
    settle(context, reservation);
  }
}

/** Never throws: jobs that are stored must not be reported as refused, or the caller would create them again. */
function settle({ log }: Context, reservation: Reservation, outcomes = NOTHING_STORED): void {
  try {
    reservation.settle(claimedRows(outcomes, reservation));
  } catch (error) {
    log.error('jobs that were handed over are stuck until their leases expire', describeError(error));
  }
}

/**
 * Stores jobs that have unique or order keys, that depend on others, or whose users are rate-limited. Takes the locks
 * of keys and users, finds the holders of unique keys, counts what users created and checks the parents before the
 * insert.
 */
export async function storeKeyed(
  context: Context,
  transaction: Executor,
  candidates: JobCandidate[],
  open: OpenReservation,
): Promise<Map<JobCandidate, Outcome>> {
  await lockNames(
    transaction,
    candidates.flatMap(({ row }) => [
      ...(row.uniqueKey === undefined ? [] : [uniqueLock(row)]),
      ...(row.orderKey === undefined ? [] : [orderLock({ queue: row.queue, key: row.orderKey })]),
      ...(isRated(context, row) ? [rateLock(row)] : []),
    ]),
  );
  const holders = await findHolders(transaction, candidates);
  const wanting = candidates.filter((candidate) => !holders.has(candidate));
  const over = await checkRates(
    transaction,
    await findFresh(
      transaction,
      wanting.filter(({ row }) => isRated(context, row)),
    ),
    ({ row }) => row,
  );
  const { orphans, edges } = await checkParents(
    transaction,
    wanting.filter((candidate) => !over.has(candidate)),
  );
  const wanted = wanting.filter((candidate) => !over.has(candidate) && !orphans.has(candidate));
  // Deduplicated jobs are handled one by one after the insert, which takes too long to keep claims reserved.
  const { offers } = holders.size === 0 ? open(wanted) : NOTHING_RESERVED;
  const { outcomes, repeated } = await insertAll(context, transaction, wanted, offers);
  for (const [candidate, outcome] of await findRepeated(transaction, repeated)) outcomes.set(candidate, outcome);
  await insertEdges(
    transaction,
    edges.filter(({ jobId }) => !repeated.some(({ row }) => row.id === jobId)),
  );
  for (const [candidate, refused] of [...over, ...orphans]) outcomes.set(candidate, refused);
  for (const [candidate, holder] of holders) {
    const first =
      'row' in holder ? outcomes.get(holder) : { created: { job: holder, as: 'created' as const }, inserted: null };
    if (first !== undefined) outcomes.set(candidate, await keepDeduplicated(transaction, candidate, first));
  }
  return outcomes;
}

/** Stores jobs without such keys in one statement, or two when an idempotency key was used before. */
async function storeReserved(
  context: Context,
  candidates: JobCandidate[],
  reserve: Reserve,
  call?: store.BulkKey,
): Promise<Map<JobCandidate, Outcome>> {
  const { hot } = context.db;
  const reservation = reserveFor(candidates, reserve);
  try {
    const { outcomes, repeated } = await insertAll(context, hot, candidates, reservation.offers, call);
    settle(context, reservation, outcomes);
    for (const [candidate, outcome] of await lookUpRepeated(context, hot, repeated)) outcomes.set(candidate, outcome);
    return outcomes;
  } finally {
    settle(context, reservation);
  }
}

/**
 * The other jobs are already stored: an error here must not report them as refused, or the caller would create them
 * again.
 */
async function lookUpRepeated(
  { log }: Context,
  db: Executor,
  candidates: JobCandidate[],
): Promise<Map<JobCandidate, Outcome>> {
  try {
    return await findRepeated(db, candidates);
  } catch (error) {
    log.warn('jobs whose idempotency keys were used before could not be looked up', describeError(error));
    const detail = 'The first request with this idempotency key cannot be looked up at the moment.';
    return new Map(
      candidates.map((candidate) => [candidate, new BatonError('unavailable', detail, { retryAfterMs: 1000 })]),
    );
  }
}

/**
 * @returns the stored jobs, and those whose idempotency key was used before. Stores nothing if the call's key was used
 * before.
 */
async function insertAll(
  context: Context,
  db: Executor,
  candidates: JobCandidate[],
  offers: store.Offer[],
  call?: store.BulkKey,
): Promise<{ outcomes: Map<JobCandidate, Outcome>; repeated: JobCandidate[] }> {
  const outcomes = new Map<JobCandidate, Outcome>();
  const repeated: JobCandidate[] = [];
  const inserted = new Map<string, store.InsertedJob>();
  for (const slice of slices(candidates, ({ bytes }) => bytes)) {
    const rows = slice.map((candidate) => candidate.row);
    const own = slice.length === candidates.length ? offers : offersFor(rows, offers);
    const stored = await store.insert(db, rows, knownLaneStarts(context, rows), own, call);
    if (call !== undefined && stored.length === 0) return { outcomes, repeated };
    for (const row of stored) inserted.set(row.id, row);
  }
  for (const candidate of candidates) {
    const row = inserted.get(candidate.row.id);
    if (row === undefined) repeated.push(candidate);
    else
      outcomes.set(candidate, {
        created: { job: storedRow(candidate, row), as: 'created' },
        inserted: row,
      });
  }
  return { outcomes, repeated };
}

function offersFor(rows: store.InsertJob[], offers: store.Offer[]): store.Offer[] {
  const ids = new Set(rows.map(({ id }) => id));
  return offers.filter(({ jobId }) => ids.has(jobId));
}

function storedRow({ row }: JobCandidate, inserted: store.InsertedJob): store.JobRow {
  const { relations } = row;
  return relations === undefined ? store.insertedRow(row, inserted) : store.relatedRow(row, inserted, relations);
}

/** Known starts of the queues' lanes, needed for jobs that take turns. */
function knownLaneStarts(context: Context, rows: store.InsertJob[]): store.LaneFrom[] {
  const inTurns = rows.filter((row) => row.userId !== undefined || row.concurrencyKey !== undefined);
  for (const row of inTurns) row.laneFrom = context.readyLanes.from(row.laneId)?.position;
  return inTurns.length === 0 ? [] : presentLanes(context, new Set(inTurns.map((row) => row.queue)));
}

export async function announce(context: Context, outcomes: ReadonlyMap<JobCandidate, Outcome>): Promise<void> {
  const stored = [...outcomes].flatMap(([candidate, outcome]) =>
    outcome instanceof BatonError || outcome.inserted === null
      ? []
      : [{ laneId: candidate.row.laneId, inserted: outcome.inserted, job: outcome.created.job }],
  );
  const promoted = stored.flatMap(({ laneId, inserted }) =>
    inserted.position === null || inserted.lease !== null ? [] : [{ laneId, position: inserted.position }],
  );
  context.notifications.publishReady(readyLanesOf(promoted));
  context.notifications.publishDue(
    stored
      .filter(({ job, inserted }) => job.status === 'pending' && inserted.position === null && inserted.hold === null)
      .map(({ inserted }) => inserted.dueInMs),
  );
  context.events.tell(stored.map(({ job }) => jobEvent('job.created', job)));
  context.events.tell(
    stored.flatMap(({ job, inserted: { lease } }) =>
      lease === null
        ? []
        : [
            jobEvent('job.claimed', { ...job, status: 'running', attempt: 1, runnerId: lease.runnerId }, undefined, {
              waitMs: 0,
            }),
          ],
    ),
  );
  // The reason for these holds may have ended during the insert; no other call would lift them then.
  await liftHolds(
    context,
    stored.flatMap(({ job }) =>
      job.hold === 'key' && job.concurrencyKey !== null ? [{ queue: job.queue, key: job.concurrencyKey }] : [],
    ),
  );
  // Cancels jobs whose parents had already ended in a way that they do not accept.
  await settleParents(context, [...outcomes.keys()].flatMap(endedParents));
  const replaced = [...outcomes.values()].flatMap((outcome) =>
    outcome instanceof BatonError || outcome.replaced !== true ? [] : [outcome.created.job],
  );
  await enqueue(
    context,
    replaced.map((job) => ({ dueInMs: job.runAt.getTime() - job.updatedAt.getTime() })),
  );
}

export function outcomeOf(outcomes: ReadonlyMap<JobCandidate, Outcome>, candidate: JobCandidate): Created | BatonError {
  const outcome = outcomes.get(candidate);
  if (outcome === undefined) throw new Error(`job ${candidate.row.id} was neither stored nor refused`);
  return outcome instanceof BatonError ? outcome : outcome.created;
}
