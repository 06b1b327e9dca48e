import type { ScheduleRow } from '../../store/schedules/rows';
import { nextTick, type Timing } from './timing';

/** The ticks that a schedule has from `now` on; of one that is paused, those that it had if it were resumed now. */
export function nextTicksOf(schedule: ScheduleRow, now: Date, count: number): Date[] {
  const { maxRuns, runs, bufferedAt, nextAt } = schedule;
  const left = maxRuns === null ? Infinity : maxRuns - runs - (bufferedAt === null ? 0 : 1);
  const most = Math.max(0, Math.min(count, left));
  if (most === 0) return [];
  // What is stored is what fires, though the rules of the zone may be known better by now.
  if (nextAt !== null) return [nextAt, ...preview(schedule, nextAt, most - 1)];
  return schedule.pausedAt === null ? [] : preview(schedule, now, most);
}

/** The ticks after a time, at most so many. */
export function preview(timing: Timing, after: Date, count: number): Date[] {
  const ticks: Date[] = [];
  let at = count === 0 ? null : nextTick(timing, after.getTime());
  for (; at !== null; at = ticks.length < count ? nextTick(timing, at) : null) ticks.push(new Date(at));
  return ticks;
}
