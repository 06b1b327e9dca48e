import type { Queue } from '@baton/runner-sdk/protocol';
import type { QueueRow } from '../../store/queues';
import type { QueueStatistics } from '../../store/views/queues';
import { time } from './time';

export function renderQueue(statistics: QueueStatistics, row: QueueRow | undefined): Queue {
  return {
    ...statistics,
    ...renderLimits(row),
    oldestAgeMs: statistics.oldestAgeMs === null ? null : Math.max(0, Math.round(statistics.oldestAgeMs)),
    paused: row === undefined ? null : renderPause(row),
    defaults: row?.defaults ?? null,
    ...renderSwitches(row),
    cost: row === undefined ? null : renderCost(row),
    retention: row === undefined ? null : renderRetention(row),
  };
}

function renderLimits(row: QueueRow | undefined) {
  return {
    concurrency: row?.concurrency ?? null,
    concurrencyPerKey: row?.concurrencyPerKey ?? null,
    rateLimit: renderRate(row?.rateMax, row?.ratePerMs),
    keyRateLimit: renderRate(row?.keyRateMax, row?.keyRatePerMs),
    userRateLimit: renderRate(row?.userRateMax, row?.userRatePerMs),
    maxWaiting: row?.maxWaiting ?? null,
  };
}

function renderSwitches(row: QueueRow | undefined): Pick<Queue, 'fair' | 'checkArguments'> {
  return { fair: row?.isFair ?? true, checkArguments: row?.checkArguments ?? false };
}

function renderPause({ pausedBy, pausedReason, pausedAt, pausedUntil }: QueueRow): Queue['paused'] {
  if (pausedAt === null) return null;
  return { by: pausedBy ?? '', reason: pausedReason, at: pausedAt.toISOString(), untilAt: time(pausedUntil) };
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
