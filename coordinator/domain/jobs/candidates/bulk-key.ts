import type { Context } from '../../../context';
import { BatonError } from '../../../errors';
import type { Executor } from '../../../store/db';
import type * as store from '../../../store/jobs';
import * as keys from '../../../store/keys';
import { type Caller, visibleUser } from '../../auth/caller';
import { covers } from '../../auth/scope';
import { type Created, type JobCandidate, notToBeSeen } from './job-candidate';
import { bulkRequestHash, isSameRequest, keyConflict } from './request-hash';

// One idempotency key for a call that creates many jobs, all or none. It takes one row; a key for each job would take a
// row each.

export const { reserveBulkKey } = keys;

/** The key with its scope and the hash of the request. */
export async function bulkKeyOf(
  { queueSettings }: Context,
  caller: Caller,
  candidates: JobCandidate[],
  key: string,
): Promise<store.BulkKey> {
  const requests = candidates.map(({ job, row }) => ({
    job,
    defaults: queueSettings.defaultsOf(job.queue),
    userId: row.userId,
  }));
  return { scope: visibleUser(caller) ?? '', key, requestHash: await bulkRequestHash(requests) };
}

/**
 * Stores the result of the call. The key is deleted together with the first job that the call created itself, if it
 * created one.
 */
export async function saveBulkResult(transaction: Executor, call: store.BulkKey, outcomes: Created[]): Promise<void> {
  const first = outcomes.find(({ as }) => as === 'created') ?? outcomes[0];
  const isNamed =
    first !== undefined &&
    (await keys.saveBulkResult(
      transaction,
      call,
      first.job.id,
      outcomes.map(({ job }) => job.id),
    ));
  if (!isNamed)
    throw new BatonError('unavailable', 'The job that holds the unique key was deleted at this moment.', {
      retryAfterMs: 0,
    });
}

/** Whether a call under this key was answered before. */
export async function isBulkKeyUsed(db: Executor, call: store.BulkKey): Promise<boolean> {
  return (await keys.findBulkResult(db, call)) !== undefined;
}

/**
 * The jobs of the first call under this key, as they are now.
 * @throws {BatonError} `idempotency_conflict` when the request differs, or when some of its jobs were deleted;
 * `state_conflict` when one of them is outside the caller's queues and types
 */
export async function loadBulkResult(
  db: Executor,
  { call, caller }: { call: store.BulkKey; caller: Caller },
): Promise<Created[]> {
  const used = await keys.findBulkResult(db, call);
  if (used === undefined)
    throw new BatonError('unavailable', 'The first request with this idempotency key is still under way.', {
      retryAfterMs: 1000,
    });
  if (used.jobIds === null || !isSameRequest(used.requestHash, call.requestHash)) throw keyConflict(call.key);
  const jobs = new Map((await keys.findJobs(db, used.jobIds)).map((job) => [job.id, job]));
  for (const job of jobs.values()) if (!covers(caller, job)) throw notToBeSeen('idempotency key was used for');
  const repeated = used.jobIds.flatMap((id): Created[] => {
    const job = jobs.get(id);
    return job === undefined ? [] : [{ job, as: 'repeated' }];
  });
  const gone = used.jobIds.length - repeated.length;
  if (gone === 0) return repeated;
  throw new BatonError(
    'idempotency_conflict',
    `The idempotency key ${call.key} was used for ${used.jobIds.length} jobs, of which ${gone} were deleted since. Use a new key to create them anew.`,
  );
}
