import fc from 'fast-check';
import { Cron } from '../../coordinator/domain/schedules/cron';
import { zoneOf } from '../../coordinator/domain/schedules/zone';
import { expressions, ticksBetween } from './cron-oracle';

const MINUTE_MS = 60_000;
const DAY_MINUTES = 1440;

/** Windows in which clocks change, by zone; where none is given, some days without. */
const WINDOWS: [zone: string, from: string, days: number][] = [
  ['America/New_York', '2026-03-06T00:00:00Z', 5],
  ['America/New_York', '2026-10-30T00:00:00Z', 5],
  ['Europe/London', '2027-03-26T00:00:00Z', 5],
  ['Europe/London', '2027-10-29T00:00:00Z', 5],
  // Half an hour.
  ['Australia/Lord_Howe', '2026-04-03T00:00:00Z', 5],
  ['Australia/Lord_Howe', '2026-10-02T00:00:00Z', 5],
  // At midnight, so that a day begins at one, and one ends twice.
  ['America/Havana', '2026-03-06T00:00:00Z', 5],
  ['America/Havana', '2026-10-30T00:00:00Z', 5],
  ['America/Asuncion', '2023-10-20T00:00:00Z', 14],
  ['Africa/Cairo', '2026-04-22T00:00:00Z', 5],
  // Rules that changed: daylight saving given up, another offset from then on, a pause for a month.
  ['America/Sao_Paulo', '2018-11-02T00:00:00Z', 5],
  ['America/Sao_Paulo', '2019-02-15T00:00:00Z', 4],
  ['Asia/Pyongyang', '2018-05-03T00:00:00Z', 4],
  ['America/Caracas', '2016-04-29T00:00:00Z', 4],
  ['Africa/Casablanca', '2024-03-08T00:00:00Z', 5],
  ['Africa/Casablanca', '2024-04-12T00:00:00Z', 5],
  ['Europe/Istanbul', '2016-09-05T00:00:00Z', 4],
  // A day that never was.
  ['Pacific/Kiritimati', '1994-12-29T00:00:00Z', 5],
  ['Pacific/Apia', '2011-12-28T00:00:00Z', 5],
  // No changes.
  ['Asia/Kolkata', '2026-02-27T00:00:00Z', 4],
  ['Pacific/Kiritimati', '2027-12-30T00:00:00Z', 4],
  ['UTC', '2028-02-27T00:00:00Z', 4],
];

describe('cron in time zones', () => {
  it.each(WINDOWS)('ticks as the minutes of %s from %s say', (zone, from, days) => {
    const first = Date.parse(from) / MINUTE_MS;
    const last = first + days * DAY_MINUTES;
    const shown = shownIn(zone);
    fc.assert(
      fc.property(expressions, (expression) => {
        const expected = ticksBetween(expression, shown, first, last);
        expect({ expression: expression.text, ticks: walk(expression.text, zone, first, last) }).toEqual({
          expression: expression.text,
          ticks: expected.map(iso),
        });
      }),
      { numRuns: 10 },
    );
  });
});

function walk(expression: string, zone: string, first: number, last: number): string[] {
  const cron = new Cron(expression);
  const ticks: string[] = [];
  let at = cron.next(first * MINUTE_MS - 1, zoneOf(zone));
  while (at !== null && at < last * MINUTE_MS) {
    ticks.push(iso(at));
    at = cron.next(at, zoneOf(zone));
  }
  return ticks;
}

/** What clocks show, by quarters of an hour, which no zone divides when its clocks change. */
function shownIn(zone: string): (minute: number) => number {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  });
  const known = new Map<number, number>();
  return (minute) => {
    const quarter = Math.floor(minute / 15) * 15;
    let shown = known.get(quarter);
    if (shown === undefined) {
      const part = new Map(format.formatToParts(quarter * MINUTE_MS).map(({ type, value }) => [type, Number(value)]));
      const [year = 0, month = 0, day = 0, hour = 0, minutes = 0] = ['year', 'month', 'day', 'hour', 'minute'].map(
        (name) => part.get(name as Intl.DateTimeFormatPartTypes),
      );
      shown = Date.UTC(year, month - 1, day, hour, minutes) / MINUTE_MS;
      known.set(quarter, shown);
    }
    return shown + minute - quarter;
  };
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
