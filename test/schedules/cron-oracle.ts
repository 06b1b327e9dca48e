import fc from 'fast-check';

// What a cron expression means, worked out minute by minute, without croner and without a look at transitions.

const MINUTE_MS = 60_000;
/** No clock is set back by more. */
const LONGEST_REPEAT_MINUTES = 25 * 60;

interface Field {
  text: string;
  values: ReadonlySet<number>;
  /** `*`, alone. */
  isEvery: boolean;
  hasStep: boolean;
}

export interface Expression {
  text: string;
  minute: Field;
  hour: Field;
  day: Field;
  month: Field;
  weekday: Field;
}

export const expressions: fc.Arbitrary<Expression> = fc
  .record({
    // Not every minute: that is the same walk for a day.
    minute: field(0, 59, 3).filter(({ values }) => values.size <= 6),
    hour: field(0, 23, 4),
    day: fc.oneof({ weight: 4, arbitrary: every(1, 31) }, { weight: 1, arbitrary: field(1, 31, 2) }),
    month: fc.oneof({ weight: 6, arbitrary: every(1, 12) }, { weight: 1, arbitrary: field(1, 12, 2) }),
    weekday: fc.oneof({ weight: 4, arbitrary: every(0, 6) }, { weight: 1, arbitrary: field(0, 6, 2) }),
  })
  .map((fields) => ({
    ...fields,
    text: [fields.minute, fields.hour, fields.day, fields.month, fields.weekday].map(({ text }) => text).join(' '),
  }));

/**
 * All ticks from the first minute on, and before the last.
 * @param shown what the zone's clocks show at an instant, in minutes as if they showed UTC
 */
export function ticksBetween(
  expression: Expression,
  shown: (minute: number) => number,
  first: number,
  last: number,
): number[] {
  const { hour } = expression;
  const ticks: number[] = [];
  const seen = new Map<number, number>();
  let before = shown(first - LONGEST_REPEAT_MINUTES - 1);
  for (let minute = first - LONGEST_REPEAT_MINUTES; minute < last; minute += 1) {
    const now = shown(minute);
    let isTick = matches(expression, now);
    if (isTick && !hour.isEvery && !hour.hasStep && seen.has(now)) isTick = false;
    for (let skipped = before + 1; skipped < now && !hour.isEvery; skipped += 1)
      if (matches(expression, skipped)) isTick = true;
    if (isTick && minute >= first) ticks.push(minute * MINUTE_MS);
    seen.set(now, minute);
    before = now;
  }
  return ticks;
}

function matches({ minute, hour, day, month, weekday }: Expression, shown: number): boolean {
  const date = new Date(shown * MINUTE_MS);
  const isDay = day.values.has(date.getUTCDate());
  const isWeekday = weekday.values.has(date.getUTCDay());
  return (
    minute.values.has(date.getUTCMinutes()) &&
    hour.values.has(date.getUTCHours()) &&
    month.values.has(date.getUTCMonth() + 1) &&
    // Where both are given, either will do.
    (day.isEvery || weekday.isEvery ? isDay && isWeekday : isDay || isWeekday)
  );
}

function every(low: number, high: number): fc.Arbitrary<Field> {
  return fc.constant({ text: '*', values: range(low, high, 1), isEvery: true, hasStep: false });
}

function field(low: number, high: number, most: number): fc.Arbitrary<Field> {
  const value = fc.integer({ min: low, max: high });
  const list = fc.uniqueArray(value, { minLength: 1, maxLength: most }).map((values) => ({
    text: values.join(','),
    values: new Set(values),
    isEvery: false,
    hasStep: false,
  }));
  const span = fc.tuple(value, value).map(([one, other]) => {
    const [from, to] = [Math.min(one, other), Math.max(one, other)];
    return { text: `${from}-${to}`, values: range(from, to, 1), isEvery: false, hasStep: false };
  });
  const step = fc.integer({ min: 2, max: high - low }).map((by) => ({
    text: `*/${by}`,
    values: range(low, high, by),
    isEvery: false,
    hasStep: true,
  }));
  return fc.oneof(list, list, span, step, every(low, high));
}

function range(low: number, high: number, by: number): Set<number> {
  const values = new Set<number>();
  for (let value = low; value <= high; value += by) values.add(value);
  return values;
}
