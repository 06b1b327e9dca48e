import type { NextTicks, Schedule, ScheduleTick } from '@baton/runner-sdk/protocol';
import type { ScheduleRow } from '../../store/schedules/rows';
import type { TickRow } from '../../store/schedules/ticks';
import { time } from './time';

export function renderSchedule(row: ScheduleRow): Schedule {
  const { id, name, userId, cron, everyMs, timezone, job, overlap, catchUp, catchUpWindowMs, jitterMs } = row;
  const { startsAt, endsAt, maxRuns, runs, pausedAt, pausedBy, pausedReason, nextAt, lastTickAt, bufferedAt } = row;
  return {
    id,
    name,
    userId,
    status: pausedAt !== null ? 'paused' : nextAt === null ? 'ended' : 'active',
    cron,
    everyMs,
    timezone,
    job,
    overlap,
    catchUp,
    catchUpWindowMs,
    jitterMs,
    startsAt: time(startsAt),
    endsAt: time(endsAt),
    maxRuns,
    runs,
    enabled: pausedAt === null,
    paused: pausedAt === null ? null : { by: pausedBy ?? '', reason: pausedReason, at: pausedAt.toISOString() },
    nextAt: time(nextAt),
    lastTickAt: time(lastTickAt),
    bufferedAt: time(bufferedAt),
    keyId: row.keyId,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}

export function renderTick({ at, outcome, jobId, reason, message, trigger, recordedAt }: TickRow): ScheduleTick {
  return { at: at.toISOString(), outcome, jobId, reason, message, trigger, recordedAt: recordedAt.toISOString() };
}

export function renderTimes(times: Date[]): NextTicks {
  return { items: times.map((one) => one.toISOString()) };
}
