import type { JobError, JobMetrics, ReportedError } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import type { Executor } from '../../store/db';
import * as store from '../../store/jobs';
import { findLeased, type LeasedJob } from '../../store/leases';
import { fingerprintOf } from './fingerprint';
import { jobEvent } from '../events/events';
import { judgeFailure } from './retry';
import { settle } from './settle';

export interface FailItem {
  jobId: string;
  leaseToken: string;
  outcome: 'failed' | 'timed_out';
  error: ReportedError;
  metrics: JobMetrics | null;
}

/**
 * The one door for failure: what a runner reports and what the timeout monitor finds come in here alike.
 * running -> pending, tried again after its backoff, or -> failed. Returns the jobs that were moved; those whose token
 * is not the current one are left as they are.
 * @param db where to run: for jobs that the monitor locked, its transaction; it then announces them after the commit.
 */
export async function fail(
  context: Context,
  db: Executor,
  items: FailItem[],
  held?: LeasedJob[],
): Promise<store.Moved[]> {
  const jobs = new Map(
    (
      held ??
      (await findLeased(
        db,
        items.map((item) => item.jobId),
      ))
    ).map((job) => [job.id, job]),
  );
  const failures = items.flatMap((item) => {
    const job = jobs.get(item.jobId);
    return job === undefined || job.leaseToken !== item.leaseToken ? [] : [decide(item, job)];
  });
  if (failures.length === 0) return [];
  const moved = await store.fail(db, failures, context.queueSettings.hasPrices());
  if (held === undefined) await announceFailed(context, moved);
  return moved;
}

export async function announceFailed(context: Context, moved: store.Moved[]): Promise<void> {
  context.events.tell(
    moved.map((job) =>
      job.status === 'pending'
        ? jobEvent('job.retrying', job, { inMs: Math.round(job.dueInMs) }, { runMs: job.runMs })
        : jobEvent('job.failed', job, undefined, { runMs: job.runMs }),
    ),
  );
  await settle(context, moved);
}

/** What of a reported error every reader may see. */
export function publicError({ message, code, stack, retryable }: ReportedError): JobError {
  return { message, ...(code === undefined ? {} : { code }), ...(stack === undefined ? {} : { stack }), retryable };
}

function decide(item: FailItem, job: LeasedJob): store.Fail {
  const verdict = judgeFailure(item.error, job, Math.random());
  return {
    jobId: item.jobId,
    leaseToken: item.leaseToken,
    outcome: item.outcome,
    to: verdict.to,
    delayMs: verdict.to === 'pending' ? verdict.delayMs : 0,
    error: publicError(item.error),
    fingerprint: verdict.to === 'failed' ? fingerprintOf(job.type, item.error) : null,
    metrics: item.metrics,
  };
}
