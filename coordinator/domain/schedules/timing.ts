import { createHash } from 'node:crypto';
import { BatonError } from '../../errors';
import type { ScheduleRow } from '../../store/schedules/rows';
import { cronOf, nextOf } from './cron';

/** The fields that decide when a schedule ticks. All times in this file are milliseconds since 1970. */
export type Timing = Pick<ScheduleRow, 'cron' | 'everyMs' | 'timezone' | 'startsAt' | 'endsAt' | 'createdAt'>;

/** The first tick after `after`; null: there is none. */
export function nextTick(timing: Timing, after: number): number | null {
  const { cron, everyMs, timezone, startsAt, endsAt, createdAt } = timing;
  const from = Math.max(after, (startsAt?.getTime() ?? -Infinity) - 1);
  const next = cron === null ? nextMultiple(everyMs ?? 0, startsAt ?? createdAt, from) : nextOf(cron, timezone, from);
  return next === null || (endsAt !== null && next > endsAt.getTime()) ? null : next;
}

/** @throws {BatonError} `validation_failed` for a cron expression that cannot be read, or that matches no time */
export function requireTicks({ cron, timezone }: Pick<Timing, 'cron' | 'timezone'>): void {
  if (cron === null) return;
  const fault = cronFault(cron, timezone);
  if (fault !== null)
    throw new BatonError('validation_failed', `The body field cron ${fault}.`, {
      errors: [{ path: 'cron', message: fault }],
    });
}

function cronFault(cron: string, timezone: string): string | null {
  try {
    cronOf(cron);
  } catch (error) {
    const words =
      error instanceof Error ? error.message.replace(/^CronPattern: /, '').replace(/\.$/, '') : String(error);
    return `must be a cron expression of 5 or 6 fields such as "0 8 * * MON-FRI"; ${words}`;
  }
  return nextOf(cron, timezone, ANY_YEAR) === null ? 'must match a time that comes; this one never does' : null;
}

/** The first of a leap year. */
const ANY_YEAR = Date.UTC(2024, 0, 1);

/** At most `most` ticks after `after` up to `until`. */
export function ticksUntil(timing: Timing, after: number, until: number, most: number): number[] {
  const ticks: number[] = [];
  for (let at = nextTick(timing, after); at !== null && at <= until && ticks.length < most; at = nextTick(timing, at))
    ticks.push(at);
  return ticks;
}

/**
 * Time spans that are searched backwards, shortest first, so that a schedule with a tick a second is not walked for a
 * whole day.
 */
const LOOKS_BACK_MS = [60_000, 3_600_000, 86_400_000, 31 * 86_400_000, 366 * 86_400_000];
const MOST_OF_A_LOOK = 100_000;

/** The last tick from `from` up to `until`; null: there is none. */
export function lastTick(timing: Timing, from: number, until: number): number | null {
  for (const span of [...LOOKS_BACK_MS, Infinity]) {
    const after = Math.max(from, until - span) - 1;
    const last = ticksUntil(timing, after, until, MOST_OF_A_LOOK).at(-1);
    if (last !== undefined || after < from) return last ?? null;
  }
  return null;
}

/** The delay of all ticks of a schedule: constant per schedule, and spread over schedules. */
export function jitterOf(id: string, jitterMs: number): number {
  if (jitterMs === 0) return 0;
  return createHash('sha256').update(id).digest().readUIntBE(0, 6) % (jitterMs + 1);
}

/** The time of a tick, and when it fires. */
export function dueOf(id: string, jitterMs: number, next: number | null): { nextAt: Date | null; dueAt: Date | null } {
  if (next === null) return { nextAt: null, dueAt: null };
  return { nextAt: new Date(next), dueAt: new Date(next + jitterOf(id, jitterMs)) };
}

/** Without a start, the first tick is one full period after the creation. */
function nextMultiple(everyMs: number, from: Date, after: number): number {
  const anchor = from.getTime();
  return anchor + Math.max(0, Math.floor((after - anchor) / everyMs) + 1) * everyMs;
}
