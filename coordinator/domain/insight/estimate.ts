import type { Context } from '../../context';
import type { JobRow } from '../../store/jobs';
import { history, type History } from '../../store/views/estimate';
import { countAhead } from '../../store/views/explain';

/** When a job is expected to start and to finish; null: unknown. */
export interface Estimate {
  startAt: Date | null;
  finishAt: Date | null;
}

/** Null for a job that has finished, or that waits for more than its turn. */
export async function estimate(context: Context, job: JobRow): Promise<Estimate | null> {
  if (job.status === 'running') return estimateRunning(job, await history(context.db, job.queue, job.type));
  if (job.status !== 'pending' || job.hold !== null) return null;
  const [past, ahead] = await Promise.all([
    history(context.db, job.queue, job.type),
    job.position === null ? 0 : countAhead(context.db, job),
  ]);
  return estimateWaiting(job, past, ahead);
}

/** From the job's own progress if it reported any, else from how long its type takes. Never before now. */
export function estimateRunning(
  job: Pick<JobRow, 'startedAt' | 'progress'>,
  { now, meanRunMs }: Pick<History, 'now' | 'meanRunMs'>,
): Estimate {
  const startAt = job.startedAt;
  if (startAt === null) return { startAt, finishAt: null };
  const wholeMs = ownPaceMs(startAt, job.progress as { percent: number; at: string } | null) ?? meanRunMs;
  return { startAt, finishAt: wholeMs === null ? null : later(now, new Date(startAt.getTime() + wholeMs)) };
}

/** From the number of jobs before it, and the rate at which similar jobs are done. */
export function estimateWaiting(
  { runAt }: Pick<JobRow, 'runAt'>,
  { now, meanRunMs, outPerMinute }: History,
  ahead: number,
): Estimate {
  if (ahead > 0 && outPerMinute === 0) return { startAt: null, finishAt: null };
  const waitMs = ahead === 0 ? 0 : (ahead / outPerMinute) * 60_000;
  const startAt = new Date(later(now, runAt).getTime() + waitMs);
  return { startAt, finishAt: meanRunMs === null ? null : new Date(startAt.getTime() + meanRunMs) };
}

function ownPaceMs(startedAt: Date, progress: { percent: number; at: string } | null): number | null {
  if (progress === null || progress.percent <= 0) return null;
  return ((new Date(progress.at).getTime() - startedAt.getTime()) / progress.percent) * 100;
}

function later(a: Date, b: Date): Date {
  return a > b ? a : b;
}
