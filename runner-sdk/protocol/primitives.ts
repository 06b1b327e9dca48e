import { z } from 'zod';

/** The longest time any setting takes, in milliseconds: ten years. */
const MAX_DURATION_MS = 315_360_000_000;

/** `true` when PostgreSQL can store the text: no NUL, no lone surrogate. */
export function isStorableText(text: string): boolean {
  return text.isWellFormed() && !text.includes('\u0000');
}

/** Text that is stored as it was sent: 1 to `max` characters. */
export function text(max: number) {
  return z.string().min(1).max(max).refine(isStorableText, 'must not contain NUL or lone surrogates');
}

/** A name that also stands in URLs, logs and metrics: letters, digits and `_ . : / -`, at most 200 characters. */
export const name = z
  .string()
  .min(1)
  .max(200)
  .regex(
    /^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$/,
    'must start with a letter, a digit or _ and contain only letters, digits and _ . : / -',
  );

/**
 * Text in a report of a failure (error texts, log lines, progress): never refused, because a failure that cannot be
 * reported would leave its job stuck. Characters that cannot be stored become U+FFFD; text that is too long is cut, and
 * the cut is marked.
 */
export function cleanedText(max: number) {
  return z.unknown().transform((value) => cleanText(value, max));
}

export function cleanText(value: unknown, max: number): string {
  const raw = typeof value === 'string' ? value : describe(value);
  const clean = raw.toWellFormed().replaceAll('\u0000', '\ufffd');
  return clean.length <= max ? clean : `${clean.slice(0, max - CUT_MARK.length).toWellFormed()}${CUT_MARK}`;
}

const CUT_MARK = '… (cut)';

function describe(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return '';
  try {
    return JSON.stringify(value);
  } catch {
    return '(unreadable)';
  }
}

const FIRST_TIME = Date.parse('0001-01-01T00:00:00Z');
const LAST_TIME = Date.parse('9999-12-31T23:59:59.999Z');

/** A duration in integer milliseconds. */
export function durationMs(min = 0, max = MAX_DURATION_MS) {
  return z.int().min(min).max(max);
}

/** A point in time: ISO-8601 with an offset or `Z`; stored and returned in UTC with milliseconds. */
export const timestamp = z.iso
  .datetime({ offset: true, error: 'must be an ISO-8601 time such as 2026-01-31T12:00:00Z' })
  .overwrite(toMicroseconds)
  .refine(isStorableTime, 'must be a time of the years 1 to 9999 in UTC, with an offset below 16 hours');

/**
 * Cuts fractions to the microseconds that PostgreSQL stores: it does not accept text of any length, and would round up
 * the last moment of the year 9999.
 */
function toMicroseconds(time: string): string {
  return time.replace(/(\.\d{6})\d+/, '$1');
}

/** `true` when PostgreSQL accepts the time, and ISO-8601 writes it with a four-digit year in UTC. */
function isStorableTime(time: string): boolean {
  const at = Date.parse(time);
  const offsetHours = Number(/[+-](\d\d):?\d\d$/.exec(time)?.[1] ?? 0);
  return at >= FIRST_TIME && at <= LAST_TIME && !time.startsWith('0000') && offsetHours < 16;
}

/** A job's, workflow's or batch's id: a UUIDv7. */
export const id = z.uuid('must be a UUID').toLowerCase();

/**
 * Labels of a runner: name to text, number or boolean. `__proto__` is refused, because zod would drop it silently, and
 * a job that requires it would run on any runner.
 */
export const labels: z.ZodType<Labels, Labels> = z.preprocess(
  (sent, context) => {
    if (typeof sent === 'object' && sent !== null && Object.hasOwn(sent, '__proto__'))
      context.addIssue({ code: 'custom', message: 'must not have a label named __proto__' });
    return sent;
  },
  z
    .record(name, z.union([text(200), z.number(), z.boolean()]))
    .refine((all) => Object.keys(all).length <= 50, 'must be at most 50 labels'),
);
export type Labels = Record<string, string | number | boolean>;

/** One value or a list of them: a repeatable query parameter. */
export function repeatable<T extends z.ZodType>(item: T) {
  return z.union([z.array(item).min(1).max(100), item.transform((one) => [one])]);
}

/** The page of a list: at most `limit` items, starting at `cursor` (the `nextCursor` of a previous answer). */
export const page = {
  limit: z.coerce.number().int().min(1).max(500).default(50).describe('The largest number of items to return.'),
  cursor: text(500).optional().describe('`nextCursor` of the previous page; default: the first page.'),
};

export function listOf<T extends z.ZodType>(item: T) {
  return z.object({
    items: z.array(item).describe('The items of this page.'),
    nextCursor: z
      .string()
      .nullable()
      .describe('Pass it as `cursor` to read the next page; null: this is the last one.'),
  });
}

/** W3C Trace Context, version 00: trace id, span id and flags. */
export const traceparent = z
  .string()
  .regex(
    /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/,
    'must be a W3C traceparent of version 00, such as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  );
/** Vendor-specific trace data. */
export const tracestate = z
  .string()
  .max(512)
  .regex(/^[\x20-\x7e]*$/, 'must be at most 512 visible ASCII characters');
