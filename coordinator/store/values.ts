import { types } from 'pg';

/** Type ids of PostgreSQL that are parsed here. */
const TIMESTAMPTZ = 1184;
const TEXT_LIST = 1009;

const readAnyTime = types.getTypeParser(TIMESTAMPTZ) as (text: string) => Date;
const readAnyTexts = types.getTypeParser(TEXT_LIST as number) as (text: string) => string[];

/**
 * Parsers of column values. Parsing times, four to six per job, took as long as the rest of the row. Here the usual
 * format is parsed digit by digit, and rows of one statement, which share its `now()`, share the Date. So a Date must
 * never be changed in place.
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

/** Parses `2026-01-31 12:00:00.123456+00`; microseconds are dropped. Other formats are left to the driver. */
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

/** Converts it to ISO-8601 with milliseconds in UTC, as in the contract. */
export function isoTime(text: string): string {
  // With at least three fractional digits only two characters differ.
  return isUsual(text) && text.length >= 26
    ? `${text.slice(0, 10)}T${text.slice(11, 23)}Z`
    : readTime(text).toISOString();
}

/** A PostgreSQL array literal of UUIDs. The driver would search each element for quotes, and UUIDs have none. */
export function uuidList(ids: readonly string[]): string {
  return `{${ids.join(',')}}`;
}

/** A four-digit year from 1000 on, because `Date.UTC` treats years below 100 differently, and UTC. */
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

/** PostgreSQL omits trailing zeros of a fraction. */
function milliseconds(text: string): number {
  const end = text.length - 3;
  if (end <= 20) return 0;
  return number(text, 20, Math.min(end, 23)) * (end === 21 ? 100 : end === 22 ? 10 : 1);
}

function readTexts(text: string): string[] {
  return text === '{}' ? [] : readAnyTexts(text);
}
