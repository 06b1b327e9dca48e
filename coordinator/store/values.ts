import { types } from 'pg';

/** What PostgreSQL calls the types whose values are read here. */
const TIMESTAMPTZ = 1184;
const TEXT_LIST = 1009;

const readAnyTime = types.getTypeParser(TIMESTAMPTZ) as (text: string) => Date;
const readAnyTexts = types.getTypeParser(TEXT_LIST as number) as (text: string) => string[];

/**
 * How the values of a row are read. Times, four to six in each row of a job, took as long as the rest of the row: here
 * what PostgreSQL prints of usual ones is read digit by digit, and rows of one statement, which share its `now()`, share
 * the date. Nobody changes a date in place.
 */
export const VALUES = {
  getTypeParser(oid: number, format?: 'text' | 'binary'): (text: string) => unknown {
    if (format !== 'binary' && oid === TIMESTAMPTZ) return readTime;
    if (format !== 'binary' && oid === TEXT_LIST) return readTexts;
    return types.getTypeParser(oid, format) as (text: string) => unknown;
  },
};

let lastText = '';
let lastTime = new Date(NaN);

/** As `2026-01-31 12:00:00.123456+00`, whose microseconds a date does not hold; anything else is left to the driver. */
export function readTime(text: string): Date {
  if (text === lastText) return lastTime;
  const time = isUsual(text)
    ? new Date(
        Date.UTC(
          number(text, 0, 4),
          number(text, 5, 7) - 1,
          number(text, 8, 10),
          number(text, 11, 13),
          number(text, 14, 16),
          number(text, 17, 19),
          milliseconds(text),
        ),
      )
    : readAnyTime(text);
  lastText = text;
  lastTime = time;
  return time;
}

/** The same text as ISO-8601 with milliseconds in UTC, as the contract writes times. */
export function isoTime(text: string): string {
  // From three digits of a fraction on, it stands there but for two letters.
  return isUsual(text) && text.length >= 26
    ? `${text.slice(0, 10)}T${text.slice(11, 23)}Z`
    : readTime(text).toISOString();
}

/** A list of UUIDs as PostgreSQL reads it. The driver looks for quotes in each element, and there are none. */
export function uuidList(ids: readonly string[]): string {
  return `{${ids.join(',')}}`;
}

/** A year of four digits, from 1000 on because the first hundred mean others to `Date.UTC`, and no offset. */
function isUsual(text: string): boolean {
  const { length } = text;
  return (
    length >= 22 &&
    length <= 29 &&
    text.charCodeAt(4) === HYPHEN &&
    text.charCodeAt(0) !== ZERO &&
    text.endsWith('+00') &&
    text.charCodeAt(10) === SPACE
  );
}

const HYPHEN = 45;
const SPACE = 32;
const ZERO = 48;

function number(text: string, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at += 1) value = value * 10 + text.charCodeAt(at) - ZERO;
  return value;
}

/** PostgreSQL leaves trailing noughts of a fraction out. */
function milliseconds(text: string): number {
  const end = text.length - 3;
  if (end <= 20) return 0;
  return number(text, 20, Math.min(end, 23)) * (end === 21 ? 100 : end === 22 ? 10 : 1);
}

function readTexts(text: string): string[] {
  return text === '{}' ? [] : readAnyTexts(text);
}
