import type { ColumnRule, Condition, MoveArguments } from './jobs';
import { cellOf, isRejected, type Item, type Row } from './tools';

/** The outcome for a row: accepted, left out, or rejected with a reason. */
export type Judged = { row: Row } | { reason: string; values: unknown } | 'left out';

/** Applies a job's rules for columns and rows. */
export function judge(item: Item, { columns, only }: MoveArguments): Judged {
  if (isRejected(item)) return item;
  const { row: given } = item;
  if (only?.every((condition) => isMet(cellOf(given, condition.column), condition)) === false) return 'left out';
  if (columns === undefined) return { row: given };
  const row: Row = {};
  for (const [name, rule] of Object.entries(columns)) {
    const value = valueOf(cellOf(given, rule.from ?? name), rule);
    if (value instanceof Fault) return { reason: `${name} ${value.text}`, values: given };
    Object.defineProperty(row, name, { value, enumerable: true, writable: true, configurable: true });
  }
  return { row };
}

class Fault {
  constructor(readonly text: string) {}
}

function valueOf(given: unknown, rule: ColumnRule): unknown {
  const value = tidied(given, rule);
  if (isEmpty(value)) {
    if (rule.default !== undefined) return rule.default;
    return rule.required ? new Fault('is missing') : null;
  }
  const converted = rule.type === undefined ? value : CONVERTERS[rule.type](value);
  if (converted instanceof Fault) return converted;
  if (rule.mostLength !== undefined && String(converted).length > rule.mostLength)
    return new Fault(`has more than ${rule.mostLength} characters`);
  if (rule.oneOf?.includes(converted as string) === false) return new Fault(`must be one of ${rule.oneOf.join(', ')}`);
  return converted;
}

function tidied(value: unknown, { trim, lowerCase }: ColumnRule): unknown {
  if (typeof value !== 'string') return value;
  const text = trim ? value.trim() : value;
  return lowerCase ? text.toLowerCase() : text;
}

const CONVERTERS: Record<NonNullable<ColumnRule['type']>, (value: unknown) => unknown> = {
  text: textOf,
  integer: (value) => {
    const text = textOf(value).trim();
    if (!/^[+-]?\d+$/.test(text)) return new Fault('is no whole number');
    // Larger numbers stay text, so that no digits are lost.
    return Number.isSafeInteger(Number(text)) ? Number(text) : text;
  },
  number: (value) => {
    const text = textOf(value).trim();
    if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return new Fault('is no number');
    const exact = text.replace(/^\+/, '');
    return String(Number(exact)) === exact || exact.length <= 15 ? Number(exact) : exact;
  },
  boolean: (value) => {
    const text = textOf(value).trim().toLowerCase();
    if (['true', 't', 'yes', 'y', '1'].includes(text)) return true;
    return ['false', 'f', 'no', 'n', '0'].includes(text) ? false : new Fault('is neither true nor false');
  },
  date: (value) => {
    const day = /^(\d{4}-\d{2}-\d{2})([T ].*)?$/.exec(textOf(value).trim())?.[1];
    return day !== undefined && isDay(day) ? day : new Fault('is no date such as 2026-12-31');
  },
  timestamp: (value) => {
    const text = textOf(value).trim();
    const day = /^(\d{4}-\d{2}-\d{2})([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$/.exec(text)?.[1];
    const isTime = day !== undefined && isDay(day) && !Number.isNaN(Date.parse(text));
    return isTime ? text : new Fault('is no time such as 2026-12-31T23:59:59Z');
  },
  json: (value) => {
    if (typeof value !== 'string') return value;
    try {
      return JSON.parse(value) as unknown;
    } catch {
      return new Fault('is no JSON');
    }
  },
};

function isDay(day: string): boolean {
  const at = new Date(`${day}T00:00:00Z`);
  // The 31st of a shorter month would become another date.
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(day);
}

function isMet(given: unknown, { is, value = null }: Condition): boolean {
  switch (is) {
    case 'empty':
      return isEmpty(given);
    case 'present':
      return !isEmpty(given);
    case 'equal':
      return isEqual(given, value);
    case 'unequal':
      return !isEqual(given, value);
    case 'above':
      return !isEmpty(given) && compare(given, value) > 0;
    case 'below':
      return !isEmpty(given) && compare(given, value) < 0;
  }
}

function isEqual(given: unknown, wanted: unknown): boolean {
  return isEmpty(given) ? isEmpty(wanted) : textOf(given) === String(wanted);
}

/** Compares as numbers if both are numbers, else as texts, in which ISO dates sort chronologically. */
function compare(given: unknown, wanted: unknown): number {
  const [a, b] = [Number(given), Number(wanted)];
  if (!Number.isNaN(a) && !Number.isNaN(b)) return a - b;
  const [left, right] = [textOf(given), String(wanted)];
  return left < right ? -1 : left > right ? 1 : 0;
}

function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || value === '';
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
