import type { JobError, JobMetrics, ReportedError } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import type { Executor } from '../../store/db';
import * as store from '../../store/jobs';
import { findLeased, type LeasedJob } from '../../store/leases';
import { fingerprintOf } from './fingerprint';
import { jobEvent } from '../events/events';
import { decideRetry } from './retry';
import { settle } from './settle';

export interface FailItem {
  jobId: string;
  leaseToken: string;
  outcome: 'failed' | 'timed_out';
  error: ReportedError;
  metrics: JobMetrics | null;
}

/**
 * running -> pending, retried after its backoff, or -> failed. All failures take this path, whether a runner reports
 * them or the timeout monitor finds them. Returns the jobs that were moved; jobs whose current token is another one are
 * left unchanged.
 * @param db where to run: the monitor's transaction for jobs that it locked; the monitor announces them after the
 * commit
 * @param held the jobs, when the caller has locked them
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

/** The part of a reported error that every reader may see. */
export function publicError({ message, code, stack, retryable }: ReportedError): JobError {
  return { message, ...(code === undefined ? {} : { code }), ...(stack === undefined ? {} : { stack }), retryable };
}

function decide(item: FailItem, job: LeasedJob): store.Fail {
  const verdict = decideRetry(item.error, job, Math.random());
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
