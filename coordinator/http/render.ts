import {
  type ApiKey,
  type BulkOperation as BulkOperationView,
  type Attempt,
  DEFAULT_RETRY,
  type Job,
  job,
  type ListedJob,
  type Queue,
  type RunnerView,
} from '@baton/runner-sdk/protocol';
import { compileObject, type Origin } from '../compile';
import type { Estimate } from '../domain/jobs/estimate';
import type { ApiKeyRow } from '../store/api-keys';
import type { BulkOperationRow } from '../store/bulk';
import type { JobRow, ListedJobRow } from '../store/jobs';
import { type FieldsReadBy, JOB_FIELDS } from '../store/jobs/fields';
import type { QueueRow } from '../store/queues';
import type { AttemptRow, LogRow } from '../store/views/jobs';
import type { QueueStatistics } from '../store/views/queues';
import type { RunnerRow } from '../store/views/runners';

// From rows to what the contract says. The lease token is in a claim's answer and nowhere else.

type JobView<Name extends keyof Job> = (row: JobRow, estimate: Estimate | null) => Job[Name];

/** What a job is shown with that no column holds as it is shown. */
export const JOB_VIEWS: { [Name in Exclude<keyof Job, FieldsReadBy<'job'>>]: JobView<Name> } & {
  [Name in keyof Job]?: JobView<Name>;
} = {
  retry: (row) => (row.retry as Job['retry'] | null) ?? DEFAULT_RETRY,
  progress: (row) => renderProgress(row.progress),
  estimate: (_row, estimate) =>
    estimate === null ? null : { startAt: time(estimate.startAt), finishAt: time(estimate.finishAt) },
  leaseExpiresAt: (row) => (row.status === 'running' ? time(row.leaseExpiresAt) : null),
  deadlineAt: (row) => (row.status === 'running' ? time(row.deadlineAt) : null),
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

/** A job as lists show it: large values left out and named, and only the fields that were asked for. */
export function renderListedJob(row: ListedJobRow, fields?: readonly string[]): Partial<ListedJob> {
  const job = { ...renderJob(row), ...(row.omitted.length === 0 ? {} : { omitted: row.omitted }) };
  if (fields === undefined) return job;
  return Object.fromEntries(Object.entries(job).filter(([name]) => ALWAYS_LISTED.has(name) || fields.includes(name)));
}

const ALWAYS_LISTED = new Set(['id', 'omitted']);

export function renderAttempt(row: AttemptRow): Attempt {
  return {
    attempt: row.attempt,
    runnerId: row.runnerId,
    startedAt: row.startedAt.toISOString(),
    finishedAt: time(row.finishedAt),
    outcome: row.outcome,
    error: row.error as Attempt['error'],
    metrics: row.metrics as Attempt['metrics'],
    lateResult: row.lateResult,
  };
}

export function renderLog(row: LogRow) {
  const { level, message, fields, attempt } = row;
  return { seq: Number(row.seq), at: row.at.toISOString(), level, message, fields, attempt };
}

export function renderRunner(row: RunnerRow): RunnerView {
  return {
    id: row.id,
    types: row.types,
    queues: row.queues.length === 0 ? null : row.queues,
    labels: row.labels,
    version: row.version,
    running: row.running,
    status: row.isStopped ? 'stopped' : row.isLost ? 'lost' : row.drainingSince === null ? 'active' : 'draining',
    firstSeenAt: row.firstSeenAt.toISOString(),
    lastSeenAt: row.lastSeenAt.toISOString(),
    drainingSince: time(row.drainingSince),
  };
}

export function renderQueue(statistics: QueueStatistics, row: QueueRow | undefined): Queue {
  return {
    ...statistics,
    oldestAgeMs: statistics.oldestAgeMs === null ? null : Math.max(0, Math.round(statistics.oldestAgeMs)),
    paused:
      row === undefined || row.pausedAt === null
        ? null
        : {
            by: row.pausedBy ?? '',
            reason: row.pausedReason,
            at: row.pausedAt.toISOString(),
            untilAt: time(row.pausedUntil),
          },
    concurrency: row?.concurrency ?? null,
    concurrencyPerKey: row?.concurrencyPerKey ?? null,
    rateLimit: renderRate(row?.rateMax, row?.ratePerMs),
    userRateLimit: renderRate(row?.userRateMax, row?.userRatePerMs),
    maxWaiting: row?.maxWaiting ?? null,
    defaults: row?.defaults ?? null,
    fair: row?.isFair ?? true,
    cost: row === undefined ? null : renderCost(row),
    retention: row === undefined ? null : renderRetention(row),
  };
}

function renderRetention({ keepCompletedMs, keepFailedMs, keepCancelledMs }: QueueRow): Queue['retention'] {
  if (keepCompletedMs === null && keepFailedMs === null && keepCancelledMs === null) return null;
  return {
    ...(keepCompletedMs === null ? {} : { completedMs: keepCompletedMs }),
    ...(keepFailedMs === null ? {} : { failedMs: keepFailedMs }),
    ...(keepCancelledMs === null ? {} : { cancelledMs: keepCancelledMs }),
  };
}

function renderCost({ costBase, costPerSecond, costPerGbSecond }: QueueRow): Queue['cost'] {
  if (costBase === null || costPerSecond === null || costPerGbSecond === null) return null;
  return { base: costBase, perSecond: costPerSecond, perGbSecond: costPerGbSecond };
}

function renderRate(max: number | null | undefined, perMs: number | null | undefined): Queue['rateLimit'] {
  return typeof max === 'number' && typeof perMs === 'number' ? { max, perMs } : null;
}

export function renderBulkOperation(row: BulkOperationRow): BulkOperationView {
  return {
    id: row.id,
    verb: row.verb,
    status: row.finishedAt === null ? 'running' : 'finished',
    matched: row.matched,
    changed: row.changed,
    createdAt: row.createdAt.toISOString(),
    finishedAt: time(row.finishedAt),
  };
}

export function renderApiKey(row: ApiKeyRow): ApiKey {
  return {
    id: row.id,
    name: row.name,
    role: row.role,
    userId: row.userId,
    queues: row.queues,
    types: row.types,
    createdAt: row.createdAt.toISOString(),
    expiresAt: time(row.expiresAt),
    lastUsedAt: time(row.lastUsedAt),
    revokedAt: time(row.revokedAt),
    rotatedFrom: row.rotatedFrom,
  };
}

function renderProgress(stored: unknown): Job['progress'] {
  if (stored === null) return null;
  const { percent, message, at } = stored as { percent: number; message: string | null; at: string };
  return { percent, message, at: new Date(at).toISOString() };
}

function time(date: Date | null): string | null {
  return date === null ? null : date.toISOString();
}
