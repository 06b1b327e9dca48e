import { DEADLINE_FACTOR } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import type { JobRow, Moved } from '../../store/jobs';
import { cancel } from '../../store/jobs';
import { lockExpiredJobs, lockExpiredLeases, type ExpiredLease } from '../../store/leases';
import { announceCancelled } from './cancel';
import { announceFailed, fail, type FailItem } from './fail';

const BATCH = 500;

/**
 * Fails jobs whose lease has expired or whose deadline has passed, on the same path as reported failures.
 * @param mostLeaseMs only jobs with leases of at most this length
 * @returns whether there may be more
 */
export async function expireLeases(context: Context, mostLeaseMs = Number.MAX_SAFE_INTEGER): Promise<boolean> {
  const moved = await context.db.transaction(async (transaction): Promise<Moved[]> => {
    const lost = await lockExpiredLeases(transaction, BATCH, mostLeaseMs);
    return lost.length === 0 ? [] : fail(context, transaction, lost.map(toFailure), lost);
  });
  await announceFailed(context, moved);
  return moved.length === BATCH;
}

/**
 * Cancels jobs that were not started before they expired.
 * @returns whether there may be more
 */
export async function expireJobs(context: Context): Promise<boolean> {
  const moved = await context.db.transaction(async (transaction): Promise<JobRow[]> => {
    const expired = await lockExpiredJobs(transaction, BATCH);
    if (expired.length === 0) return [];
    return cancel(
      transaction,
      expired.map(({ id }) => ({ jobId: id, userId: null, reason: 'expired' })),
      false,
    );
  });
  await announceCancelled(context, moved);
  return moved.length === BATCH;
}

function toFailure(job: ExpiredLease): FailItem {
  const message =
    job.cause === 'deadline'
      ? `The attempt was still running at its deadline, ${DEADLINE_FACTOR} times its timeout after it started.`
      : `The lease ran out: runner ${job.runnerId} sent no heartbeat in time.`;
  return {
    jobId: job.id,
    leaseToken: job.leaseToken,
    outcome: 'timed_out',
    error: { message, code: 'timed_out', retryable: true },
    metrics: null,
  };
}
