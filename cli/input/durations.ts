import { InvalidArgumentError } from 'commander';

const UNITS = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['min', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
  ['w', 604_800_000],
]);

const PART = /(\d+(?:\.\d+)?)\s*(ms|min|[smhdw])/gy;

/** `90s`, `1h30m`, `7d` in milliseconds; undefined: not a duration. */
export function durationMsOf(text: string): number | undefined {
  const trimmed = text.trim();
  let total = 0;
  PART.lastIndex = 0;
  while (PART.lastIndex < trimmed.length) {
    const [, amount, unit] = PART.exec(trimmed) ?? [];
    if (amount === undefined || unit === undefined) return undefined;
    total += Number(amount) * (UNITS.get(unit) ?? 0);
  }
  return trimmed === '' ? undefined : Math.round(total);
}

/** An option's duration, in milliseconds. */
export function parseDuration(text: string): number {
  const ms = durationMsOf(text);
  if (ms === undefined)
    throw new InvalidArgumentError('Write a duration with its unit, such as 500ms, 90s, 5m, 2h or 7d.');
  return ms;
}

/** A time in the past: ISO-8601, or how long ago. Returns ISO-8601 in UTC. */
export function parsePastTime(text: string): string {
  return parseTime(text, -1, 'how long ago it was, such as 2h');
}

/** A time in the future: ISO-8601, or the time until then. Returns ISO-8601 in UTC. */
export function parseFutureTime(text: string): string {
  return parseTime(text, 1, 'how far away it is, such as 2h');
}

function parseTime(text: string, sign: 1 | -1, otherwise: string): string {
  const ms = durationMsOf(text);
  const at = ms === undefined ? isoTime(text) : Date.now() + sign * ms;
  const time = new Date(at ?? NaN);
  if (Number.isNaN(time.getTime()))
    throw new InvalidArgumentError(
      `Write a time such as 2026-01-31T12:00:00Z (a zone must be named), or ${otherwise}.`,
    );
  return time.toISOString();
}

/** A date, or a time with its zone: without one it would mean another time on another machine. */
function isoTime(text: string): number | undefined {
  return /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d))?$/.test(text) ? Date.parse(text) : undefined;
}
