import type { JobListPage } from '@baton/runner-sdk';
import type { Cli } from '../../cli';
import { lookOf } from '../../terminal/style';
import type { Column } from '../../terminal/table';

export type ListedJob = JobListPage['items'][number];

/** The columns of a list of jobs. */
export function jobColumns(cli: Cli): Column<ListedJob>[] {
  return [
    { title: 'ID', of: (job) => job.id },
    { title: 'TYPE', of: (job) => job.type, least: 10 },
    { title: 'QUEUE', of: (job) => job.queue, least: 7, drop: 4 },
    { title: 'STATUS', of: (job) => job.status, look: (job) => lookOf(job.status) },
    { title: 'PRIO', of: (job) => job.priority, align: 'right', drop: 6 },
    { title: 'FAILED', of: (job) => `${job.failures}/${job.maxAttempts}`, align: 'right', drop: 5 },
    { title: 'CREATED', of: (job) => cli.time(job.createdAt), drop: 2 },
    { title: 'CHANGED', of: (job) => cli.time(changedAt(job)), drop: 3 },
    { title: 'NOTE', of: noteOf, least: 12, drop: 1 },
  ];
}

/** For a job that waits for its time that time, for others their last change. */
function changedAt({ status, runAt, updatedAt }: ListedJob): string {
  return status === 'pending' && Date.parse(runAt) > Date.now() ? runAt : updatedAt;
}

/** The most useful information about a job, in a few words. */
function noteOf({ status, progress, error, reason }: ListedJob): string | null {
  if (status === 'running' && progress !== null) return `${progress.percent} % ${progress.message ?? ''}`;
  if (status === 'cancelled') return reason;
  return status === 'failed' || (status === 'pending' && error !== null) ? (error?.message ?? null) : null;
}
