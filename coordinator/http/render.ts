import {
  type ApiKey,
  type BulkOperation as BulkOperationView,
  type Attempt,
  DEFAULT_RETRY,
  type Job,
  type ListedJob,
  type Queue,
  type RunnerView,
} from '@baton/runner-sdk/protocol';
import type { Estimate } from '../domain/jobs/estimate';
import type { ApiKeyRow } from '../store/api-keys';
import type { BulkOperationRow } from '../store/bulk';
import type { JobRow, ListedJobRow } from '../store/jobs';
import type { QueueRow } from '../store/queues';
import type { AttemptRow, LogRow } from '../store/views/jobs';
import type { QueueStatistics } from '../store/views/queues';
import type { RunnerRow } from '../store/views/runners';

// From rows to what the contract says. The lease token is in a claim's answer and nowhere else.

export function renderJob(row: JobRow, estimate: Estimate | null = null): Job {
  const isRunning = row.status === 'running';
  return {
    id: row.id,
    type: row.type,
    queue: row.queue,
    status: row.status,
    reason: row.reason,
    priority: row.priority,
    arguments: row.arguments,
    result: row.result,
    error: row.error as Job['error'],
    attempt: row.attempt,
    failures: row.failures,
    maxAttempts: row.maxAttempts,
    retry: (row.retry as Job['retry'] | null) ?? DEFAULT_RETRY,
    timeoutMs: row.timeoutMs,
    runAt: row.runAt.toISOString(),
    expiresAt: time(row.expiresAt),
    progress: renderProgress(row.progress),
    estimate: estimate === null ? null : { startAt: time(estimate.startAt), finishAt: time(estimate.finishAt) },
    userId: row.userId,
    tags: row.tags,
    metadata: row.metadata as Job['metadata'],
    requires: row.requires as Job['requires'],
    prefers: row.prefers as Job['prefers'],
    uniqueKey: row.uniqueKey,
    concurrencyKey: row.concurrencyKey,
    orderKey: row.orderKey,
    dependsOn: [],
    workflowId: null,
    batchId: null,
    scheduleId: null,
    runnerId: row.runnerId,
    leaseExpiresAt: isRunning ? time(row.leaseExpiresAt) : null,
    deadlineAt: isRunning ? time(row.deadlineAt) : null,
    checkpoint: row.checkpoint,
    metrics: row.metrics as Job['metrics'],
    callbackUrl: (row.callback as { url: string } | null)?.url ?? null,
    createdAt: row.createdAt.toISOString(),
    startedAt: time(row.startedAt),
    finishedAt: time(row.finishedAt),
    updatedAt: row.updatedAt.toISOString(),
  };
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
