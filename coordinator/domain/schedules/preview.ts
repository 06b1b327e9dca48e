import type { ScheduleRow } from '../../store/schedules/rows';
import { nextTick, type Timing } from './timing';

/** The ticks of a schedule from `now` on; for a paused one, those it would have if it were resumed now. */
export function nextTicksOf(schedule: ScheduleRow, now: Date, count: number): Date[] {
  const { maxRuns, runs, bufferedAt, nextAt } = schedule;
  const left = maxRuns === null ? Infinity : maxRuns - runs - (bufferedAt === null ? 0 : 1);
  const most = Math.max(0, Math.min(count, left));
  if (most === 0) return [];
  // The stored tick is the one that fires, even if the zone's rules have been updated since.
  if (nextAt !== null) return [nextAt, ...preview(schedule, nextAt, most - 1)];
  return schedule.pausedAt === null ? [] : preview(schedule, now, most);
}

/** The next `count` ticks after a time. */
export function preview(timing: Timing, after: Date, count: number): Date[] {
  const ticks: Date[] = [];
  let at = count === 0 ? null : nextTick(timing, after.getTime());
  for (; at !== null; at = ticks.length < count ? nextTick(timing, at) : null) ticks.push(new Date(at));
  return ticks;
}
