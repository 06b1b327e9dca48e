import { Cron as Pattern } from 'croner';
import { type Zone, zoneOf } from './zone';

/** Every pattern with ticks has one within this time, except for oddities such as a fifth Monday that is a leap day. */
const HORIZON_MS = 50 * 366 * 86_400_000;
const MOST_PATTERNS = 1000;
const MOST_REMEMBERED = 2000;

const NICKNAMES = new Map([
  ['@yearly', '0 0 1 1 *'],
  ['@annually', '0 0 1 1 *'],
  ['@monthly', '0 0 1 * *'],
  ['@weekly', '0 0 * * 0'],
  ['@daily', '0 0 * * *'],
  ['@midnight', '0 0 * * *'],
  ['@hourly', '0 * * * *'],
]);

/**
 * A cron expression evaluated in a time zone. croner finds the local times; which instants these are is decided here,
 * so that the days on which clocks change follow one documented policy:
 * - A local time that the zone skips: the tick comes at the next existing instant. With `*` hours it is dropped,
 *   because every existing hour has its own tick.
 * - A local time that occurs twice: the tick comes at the first. With `*` or steps in the hours it comes at each.
 */
export class Cron {
  private readonly pattern: Pattern;
  private readonly everyHour: boolean;
  private readonly isFixed: boolean;

  /** @throws {Error} for anything but a cron expression of five or six fields, or a nickname such as `@daily` */
  constructor(expression: string) {
    const text = NICKNAMES.get(expression.trim().toLowerCase()) ?? expression;
    const fields = text.trim().split(/\s+/);
    if (fields.length !== 5 && fields.length !== 6)
      throw new Error(`has ${fields.length === 1 ? '1 field' : `${fields.length} fields`}, not 5 or 6`);
    // In UTC no time is skipped, and none occurs twice.
    this.pattern = new Pattern(text, { timezone: 'UTC', paused: true, mode: '5-or-6-parts' });
    const hours = fields.at(-4) ?? '';
    this.everyHour = hours === '*' || hours === '?';
    this.isFixed = !/[*?/]/.test(hours);
  }

  /** The first tick after `after`, both in milliseconds since 1970; null: there is none within fifty years. */
  next(after: number, zone: Zone): number | null {
    let from = after + 1;
    let offset = zone.offsetAt(from);
    for (;;) {
      const shown = this.shownFrom(from + offset);
      if (shown === null || shown - offset > after + HORIZON_MS) return null;
      const transition = zone.transitionAfter(from, shown - offset);
      if (transition === null) {
        const repeatedUntil = this.isFixed ? endOfRepeat(zone, shown - offset, offset) : null;
        if (repeatedUntil === null) return shown - offset;
        from = repeatedUntil;
      } else {
        const { at, before, after: later } = transition;
        if (!this.everyHour && this.isShownWithin(at + before, at + later)) return at;
        from = at;
        offset = later;
      }
    }
  }

  /** The first matching local time from this one on; local times are represented as if they were UTC. */
  private shownFrom(shown: number): number | null {
    return this.pattern.nextRun(new Date(shown - 1))?.getTime() ?? null;
  }

  private isShownWithin(from: number, until: number): boolean {
    if (until <= from) return false;
    const first = this.shownFrom(from);
    return first !== null && first < until;
  }
}

/** For an instant whose local time is a repetition: when the repetition ends. */
function endOfRepeat(zone: Zone, at: number, offset: number): number | null {
  const earlier = zone.offsetAt(at - LONGEST_REPEAT_MS);
  const repeat = earlier - offset;
  if (repeat <= 0 || zone.offsetAt(at - repeat) !== earlier) return null;
  const transition = zone.transitionAfter(at - LONGEST_REPEAT_MS, at);
  return transition === null ? null : transition.at + repeat;
}

const LONGEST_REPEAT_MS = 86_400_000;

const crons = new Map<string, Cron>();
const ticks = new Map<string, number | null>();

/** @throws {Error} as the constructor does, in words that continue "cron …" */
export function cronOf(expression: string): Cron {
  let cron = crons.get(expression);
  if (cron === undefined) {
    cron = new Cron(expression);
    if (crons.size >= MOST_PATTERNS) crons.clear();
    crons.set(expression, cron);
  }
  return cron;
}

/** Cached, because all schedules with this expression and zone ask for the same tick. */
export function nextOf(expression: string, timezone: string, after: number): number | null {
  const question = `${after} ${timezone} ${expression}`;
  let next = ticks.get(question);
  if (next === undefined) {
    next = cronOf(expression).next(after, zoneOf(timezone));
    if (ticks.size >= MOST_REMEMBERED) ticks.clear();
    ticks.set(question, next);
  }
  return next;
}
