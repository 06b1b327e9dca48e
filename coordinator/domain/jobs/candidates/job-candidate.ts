import { type NewJob, objectReference } from '@baton/runner-sdk/protocol';
import { BatonError } from '../../../errors';
import type { Caller } from '../../auth/caller';
import { covers } from '../../auth/scope';
import type { Executor } from '../../../store/db';
import * as store from '../../../store/jobs';
import * as keys from '../../../store/keys';
import * as objects from '../../../store/objects/uses';
import { isReference } from '../../objects/references';
import { isSameRequest, keyConflict } from './request-hash';

/** A job that passed validation and is about to be stored. */
export interface JobCandidate {
  job: NewJob;
  row: store.InsertJob;
  /** Size of its payloads as JSON, in bytes. */
  bytes: number;
  onConflict: NewJob['onConflict'];
  caller: Caller;
  /** Parents that had already ended, but not as this job requires, when it was stored. */
  endedParents?: string[];
}

export interface Created {
  job: store.JobRow;
  /** `repeated`: the idempotency key was used before; `deduplicated`: another job holds the unique key. */
  as: 'created' | 'repeated' | 'deduplicated';
}

/** `replaced`: a waiting job took over the fields of this candidate. */
export type Outcome = { created: Created; inserted: store.InsertedJob | null; replaced?: boolean } | BatonError;

/**
 * Outcomes of candidates whose idempotency key was used before: the same request gets the first job, a different one is
 * refused.
 */
export async function findRepeated(db: Executor, candidates: JobCandidate[]): Promise<Map<JobCandidate, Outcome>> {
  const outcomes = new Map<JobCandidate, Outcome>();
  if (candidates.length === 0) return outcomes;
  const used = await keys.findIdempotent(db, candidates.flatMap(idempotencyOf));
  for (const candidate of candidates) {
    const { idempotencyScope, idempotencyKey, requestHash } = candidate.row;
    const first = used.find((one) => one.scope === idempotencyScope && one.key === idempotencyKey);
    if (first === undefined) {
      outcomes.set(
        candidate,
        new BatonError('unavailable', 'The first request with this idempotency key is still under way.', {
          retryAfterMs: 1000,
        }),
      );
    } else if (!isSameRequest(first.requestHash, requestHash ?? '')) {
      outcomes.set(candidate, keyConflict(idempotencyKey ?? ''));
    } else if (!covers(candidate.caller, first)) {
      outcomes.set(candidate, notToBeSeen('idempotency key was used for'));
    } else {
      outcomes.set(candidate, { created: { job: first, as: 'repeated' }, inserted: null });
    }
  }
  return outcomes;
}

/** Candidates that create a job of their own, because their idempotency key was not used before. */
export async function findFresh(transaction: Executor, candidates: JobCandidate[]): Promise<JobCandidate[]> {
  const used = await keys.findIdempotent(transaction, candidates.flatMap(idempotencyOf));
  return candidates.filter(
    ({ row }) => !used.some((one) => one.scope === row.idempotencyScope && one.key === row.idempotencyKey),
  );
}

/** For each candidate whose unique key is held: the job, or the earlier candidate of this batch, that holds it. */
export async function findHolders(
  transaction: Executor,
  candidates: JobCandidate[],
): Promise<Map<JobCandidate, JobCandidate | store.JobRow>> {
  const wanting = candidates.filter((candidate) => candidate.row.uniqueKey !== undefined);
  if (wanting.length === 0) return new Map();
  const repeated = await keys.findIdempotent(transaction, wanting.flatMap(idempotencyOf));
  const held = await keys.findUniqueHolders(
    transaction,
    wanting.map(({ row }) => uniqueOf(row)),
  );
  const holders = new Map<JobCandidate, JobCandidate | store.JobRow>();
  const earlier = new Map<string, JobCandidate>();
  for (const candidate of wanting) {
    const { row } = candidate;
    // A repeated request gets its first job, whichever job holds the unique key now.
    if (repeated.some((one) => one.scope === row.idempotencyScope && one.key === row.idempotencyKey)) continue;
    const name = uniqueLock(row);
    const holder = held.find((job) => uniqueLock(job) === name) ?? earlier.get(name);
    if (holder === undefined) earlier.set(name, candidate);
    else holders.set(candidate, holder);
  }
  return holders;
}

/**
 * The outcome for a candidate whose unique key is held. With `onConflict: "replace"` a holder that still waits takes
 * over the fields of the candidate. The candidate's idempotency key is stored for the holder, so that a repeated
 * request gets the same answer.
 */
export async function keepDeduplicated(
  transaction: Executor,
  candidate: JobCandidate,
  holder: Outcome,
): Promise<Outcome> {
  if (holder instanceof BatonError) return holder;
  // Unique keys span all queues, but this API key may neither see nor change jobs outside its scope.
  if (!covers(candidate.caller, holder.created.job)) return notToBeSeen('unique key is held by');
  const { idempotencyScope, idempotencyKey, requestHash } = candidate.row;
  if (idempotencyKey !== undefined) {
    const isKept = await keys.insertIdempotent(transaction, {
      scope: idempotencyScope ?? '',
      key: idempotencyKey,
      requestHash: requestHash ?? '',
      jobId: holder.created.job.id,
    });
    // An earlier candidate of this batch, or a concurrent request, used the key.
    if (!isKept) return (await findRepeated(transaction, [candidate])).get(candidate) ?? holder;
  }
  const [replaced] =
    candidate.onConflict === 'replace'
      ? await store.replaceWaiting(transaction, holder.created.job.id, candidate.row)
      : [];
  if (replaced !== undefined) await keepObjectOf(transaction, replaced);
  const job = replaced ?? holder.created.job;
  return { created: { job, as: 'deduplicated' }, inserted: null, replaced: replaced !== undefined };
}

/** The object was kept for the candidate, which is not stored. */
async function keepObjectOf(transaction: Executor, { id: jobId, arguments: value }: store.JobRow): Promise<void> {
  const read = isReference(value) ? objectReference.safeParse(value) : null;
  if (read?.success === true)
    await objects.keepUses(transaction, [{ objectId: read.data.$object.id, jobId, ownUser: null }]);
}

export function notToBeSeen(how: string): BatonError {
  return new BatonError('state_conflict', `The ${how} a job that this key may not see.`);
}

/** Name of the lock that serialises creates with the same unique key. */
export function uniqueLock(row: {
  type: string;
  uniqueKey?: string | null | undefined;
  userId?: string | null | undefined;
}): string {
  return JSON.stringify(['unique', row.type, row.uniqueKey, row.userId ?? '']);
}

function idempotencyOf({ row }: JobCandidate): { scope: string; key: string }[] {
  return row.idempotencyKey === undefined ? [] : [{ scope: row.idempotencyScope ?? '', key: row.idempotencyKey }];
}

function uniqueOf(row: store.InsertJob): keys.UniqueKey {
  return { type: row.type, uniqueKey: row.uniqueKey ?? '', userId: row.userId ?? '' };
}
