import { TICK_GRACE_MS } from '@baton/runner-sdk/protocol';
import type { LockedSchedule } from '../../store/schedules/rows';
import { jitterOf, lastTick, nextTick, ticksUntil } from './timing';

/** What a due tick does. */
export interface Decision {
  /** Milliseconds since 1970, like all times in this file. */
  at: number;
  does: 'create' | 'skip' | 'buffer';
  reason: 'overlap' | 'missed' | 'superseded' | null;
  message: string | null;
}

export interface Decided {
  decisions: Decision[];
  /** The next tick, which may be due as well; null: there is none. Does not take `maxRuns` into account. */
  next: number | null;
}

/**
 * Decides what the due ticks of a schedule do, at a time of the database's clock. After a tick that creates a job while
 * jobs must not overlap, the later ones are left to the next round, which knows whether the job was created.
 * @param isBusy whether a job of the schedule is unfinished
 * @param most most ticks at once; the rest are left to the next round
 */
export function decide(schedule: LockedSchedule, isBusy: boolean, most: number): Decided {
  const { nextAt, jitterMs, id } = schedule;
  const left = runsLeft(schedule);
  if (nextAt === null || left === 0) return { decisions: [], next: null };
  const due = schedule.now.getTime() - jitterOf(id, jitterMs);
  const { missed, ticks } = caughtUp(schedule, nextAt.getTime(), due, most);
  const decisions = overlapping(schedule, ticks, isBusy, left);
  const last = decisions.at(-1)?.at ?? missed?.until ?? nextAt.getTime() - 1;
  return {
    decisions: [...(missed === null ? [] : [missed.decision]), ...decisions],
    next: nextTick(schedule, last),
  };
}

/** Number of ticks whose jobs may still be created; a buffered one counts as created. */
function runsLeft({ maxRuns, runs, bufferedAt }: LockedSchedule): number {
  return maxRuns === null ? Infinity : Math.max(0, maxRuns - runs - (bufferedAt === null ? 0 : 1));
}

interface CaughtUp {
  /** Skipped ticks, as one entry; all are at or before `until`. */
  missed: { decision: Decision; until: number } | null;
  ticks: number[];
}

/** Which of the ticks from `first` up to `due` fire. */
function caughtUp(schedule: LockedSchedule, first: number, due: number, most: number): CaughtUp {
  const onTime = due - TICK_GRACE_MS;
  if (first >= onTime) return { missed: null, ticks: firstTicks(schedule, first, due, most) };
  const from = firstMadeUpFor(schedule, first, due, onTime);
  if (from === null) return { missed: missedUntil(schedule, first, onTime - 1), ticks: [] };
  const missed = from > first ? missedUntil(schedule, first, from - 1) : null;
  return { missed, ticks: from > due ? [] : firstTicks(schedule, from, due, most) };
}

/** The first tick that is on time or caught up; null: all due ticks are missed. */
function firstMadeUpFor(schedule: LockedSchedule, first: number, due: number, onTime: number): number | null {
  const { catchUp, catchUpWindowMs } = schedule;
  const punctual = nextTick(schedule, onTime - 1);
  const isPunctualDue = punctual !== null && punctual <= due;
  const oldest = due - catchUpWindowMs;
  if (catchUp === 'all') return first >= oldest ? first : nextDue(schedule, oldest - 1, due);
  if (catchUp === 'latest' && !isPunctualDue) {
    const latest = lastTick(schedule, first, onTime - 1) ?? first;
    if (latest >= oldest) return latest;
  }
  return isPunctualDue ? punctual : null;
}

function nextDue(schedule: LockedSchedule, after: number, due: number): number | null {
  const next = nextTick(schedule, after);
  return next === null || next > due ? null : next;
}

/** `first` is the stored tick, which counts even if the schedule has changed. */
function firstTicks(schedule: LockedSchedule, first: number, due: number, most: number): number[] {
  return [first, ...ticksUntil(schedule, first, due, most - 1)];
}

/** They are not counted, which would take as long as firing them. */
function missedUntil(schedule: LockedSchedule, first: number, until: number): CaughtUp['missed'] {
  const second = nextTick(schedule, first);
  const what =
    second === null || second > until ? 'The tick was' : `All ticks from ${iso(first)} to ${iso(until)} were`;
  const message = `${what} more than ${TICK_GRACE_MS / 1000} s late, and not to be made up for.`;
  return { decision: { at: first, does: 'skip', reason: 'missed', message }, until: Math.max(first, until) };
}

/** Decides what firing ticks do under the overlap policy, in the order of their times. */
function overlapping(
  { overlap, bufferedAt }: LockedSchedule,
  ticks: number[],
  isBusy: boolean,
  left: number,
): Decision[] {
  const decisions: Decision[] = [];
  if (overlap === 'allow') return ticks.slice(0, left).map(creating);
  if (overlap === 'cancel_previous') {
    const last = ticks.at(-1);
    const earlier = ticks
      .slice(0, -1)
      .map((at) => skipping(at, 'superseded', 'A later tick was due at the same time.'));
    return last === undefined ? earlier : [...earlier, creating(last)];
  }
  let hasBuffered = bufferedAt !== null;
  for (const at of ticks) {
    if (!isBusy && !hasBuffered) return [...decisions, creating(at)];
    if (overlap === 'buffer_one' && !hasBuffered) {
      hasBuffered = true;
      decisions.push({ at, does: 'buffer', reason: 'overlap', message: 'An earlier job has not finished.' });
    } else
      decisions.push(
        skipping(
          at,
          'overlap',
          hasBuffered ? 'An earlier tick waits for the end of a job already.' : 'An earlier job has not finished.',
        ),
      );
  }
  return decisions;
}

function creating(at: number): Decision {
  return { at, does: 'create', reason: null, message: null };
}

function skipping(at: number, reason: Decision['reason'], message: string): Decision {
  return { at, does: 'skip', reason, message };
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
