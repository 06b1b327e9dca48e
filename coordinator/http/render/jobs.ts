import { DEFAULT_RETRY, type Job, job, type ListedJob } from '@baton/runner-sdk/protocol';
import { compileObject, type Origin } from '../../compile';
import type { Estimate } from '../../domain/insight/estimate';
import type { JobRow, ListedJobRow } from '../../store/jobs';
import { type FieldsReadBy, JOB_FIELDS } from '../../store/jobs/fields';
import { time } from './time';

// Converts rows to the shapes of the contract. Only the answer of a claim contains the lease token.

type JobView<Name extends keyof Job> = (row: JobRow, estimate: Estimate | null) => Job[Name];

/** Members of a job that are not columns. */
export const JOB_VIEWS: { [Name in Exclude<keyof Job, FieldsReadBy<'job'>>]: JobView<Name> } & {
  [Name in keyof Job]?: JobView<Name>;
} = {
  retry: (row) => (row.retry as Job['retry'] | null) ?? DEFAULT_RETRY,
  progress: (row) => renderProgress(row.progress),
  estimate: (_row, estimate) =>
    estimate === null ? null : { startAt: time(estimate.startAt), finishAt: time(estimate.finishAt) },
  leaseExpiresAt: (row) => (row.status === 'running' ? time(row.leaseExpiresAt) : null),
  deadlineAt: (row) => (row.status === 'running' ? time(row.deadlineAt) : null),
  // Jobs without parents have null in the table.
  dependsOn: (row) => row.dependsOn ?? [],
  callbackUrl: (row) => (row.callback as { url: string } | null)?.url ?? null,
};

/** A job in the order of the contract. */
const renderRow = compileObject<(row: JobRow, estimate: Estimate | null) => Job>(
  ['row', 'estimate'],
  (Object.keys(job.shape) as (keyof Job)[]).map((name) => [
    name,
    JOB_VIEWS[name] ? { by: JOB_VIEWS[name] } : shown(name as FieldsReadBy<'job'>),
  ]),
);

function shown(name: FieldsReadBy<'job'>): Origin {
  if (JOB_FIELDS[name].type !== 'timestamptz') return { of: 'row', name };
  return { by: (row: Record<string, Date | null>) => time(row[name] ?? null) };
}

export function renderJob(row: JobRow, estimate: Estimate | null = null): Job {
  return renderRow(row, estimate);
}

/** A job as shown in lists: large values are left out and named, and only requested fields are included. */
export function renderListedJob(row: ListedJobRow, fields?: readonly string[]): Partial<ListedJob> {
  const job = { ...renderJob(row), ...(row.omitted.length === 0 ? {} : { omitted: row.omitted }) };
  if (fields === undefined) return job;
  return Object.fromEntries(Object.entries(job).filter(([name]) => ALWAYS_LISTED.has(name) || fields.includes(name)));
}

const ALWAYS_LISTED = new Set(['id', 'omitted']);

function renderProgress(stored: unknown): Job['progress'] {
  if (stored === null) return null;
  const { percent, message, at } = stored as { percent: number; message: string | null; at: string };
  return { percent, message, at: new Date(at).toISOString() };
}
