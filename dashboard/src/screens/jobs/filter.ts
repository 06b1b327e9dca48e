import type { Query } from '../../api/call';

/** Fields of the filter that may have several values; the same names as in the API. */
export const FIELDS = [
  'status',
  'type',
  'queue',
  'userId',
  'tag',
  'runnerId',
  'priority',
  'fingerprint',
  'concurrencyKey',
  'orderKey',
  'uniqueKey',
  'workflowId',
  'batchId',
  'scheduleId',
] as const;
export const TIMES = ['createdAfter', 'createdBefore', 'finishedAfter', 'finishedBefore'] as const;

export type Field = (typeof FIELDS)[number];
export type TimeField = (typeof TIMES)[number];

/** What the address of the list says. */
export interface JobsFilter {
  values: Partial<Record<Field, readonly string[]>>;
  times: Partial<Record<TimeField, string>>;
  /** A JSON object, as text. */
  arguments: string | null;
}

export const FIELD_NAMES: Record<Field | TimeField, string> = {
  status: 'status',
  type: 'type',
  queue: 'queue',
  userId: 'user',
  tag: 'tag',
  runnerId: 'runner',
  priority: 'priority',
  fingerprint: 'failure',
  concurrencyKey: 'concurrency key',
  orderKey: 'order key',
  uniqueKey: 'unique key',
  workflowId: 'workflow',
  batchId: 'batch',
  scheduleId: 'schedule',
  createdAfter: 'created after',
  createdBefore: 'created before',
  finishedAfter: 'finished after',
  finishedBefore: 'finished before',
};

export function readFilter(search: URLSearchParams): JobsFilter {
  const filter: JobsFilter = { values: {}, times: {}, arguments: search.get('arguments') };
  for (const field of FIELDS) {
    const values = search.getAll(field);
    if (values.length > 0) filter.values[field] = values;
  }
  for (const field of TIMES) {
    const time = search.get(field);
    if (time !== null) filter.times[field] = time;
  }
  return filter;
}

export function writeFilter(filter: JobsFilter): URLSearchParams {
  const search = new URLSearchParams();
  for (const field of FIELDS) for (const value of filter.values[field] ?? []) search.append(field, value);
  for (const field of TIMES) if (filter.times[field] !== undefined) search.set(field, filter.times[field]);
  if (filter.arguments !== null) search.set('arguments', filter.arguments);
  return search;
}

export function toQuery({ values, times, arguments: args }: JobsFilter): Query {
  return { ...values, ...times, arguments: args };
}

/** As the calls take it that change many jobs. An empty one means all, which has to be said in so many words. */
export function toChoice({ values, times, arguments: args }: JobsFilter): { filter: object } | { all: true } {
  const { priority, ...rest } = values;
  const filter = {
    ...rest,
    ...times,
    ...(priority === undefined ? {} : { priority: priority.map(Number) }),
    ...(args === null ? {} : { arguments: JSON.parse(args) as object }),
  };
  return Object.keys(filter).length === 0 ? { all: true } : { filter };
}

export function withValue(filter: JobsFilter, field: Field, value: string): JobsFilter {
  const now = filter.values[field] ?? [];
  if (now.includes(value)) return filter;
  return { ...filter, values: { ...filter.values, [field]: [...now, value] } };
}

export function withoutValue(filter: JobsFilter, field: Field, value: string): JobsFilter {
  const { [field]: now = [], ...rest } = filter.values;
  const left = now.filter((each) => each !== value);
  return { ...filter, values: left.length === 0 ? rest : { ...rest, [field]: left } };
}

export function withTime(filter: JobsFilter, field: TimeField, time: string | null): JobsFilter {
  const { [field]: _now, ...rest } = filter.times;
  return { ...filter, times: time === null ? rest : { ...rest, [field]: time } };
}

/**
 * What somebody typed to search in arguments: a JSON object, or `name=value`, whose value is JSON or else text.
 * @returns a JSON object as text; null: it is neither
 */
export function readArguments(typed: string): string | null {
  const text = typed.trim();
  if (text.startsWith('{')) {
    try {
      return JSON.stringify(JSON.parse(text));
    } catch {
      return null;
    }
  }
  const [, path, value] = /^([\w.-]+)\s*[=:]\s*(.+)$/.exec(text) ?? [];
  if (path === undefined || value === undefined) return null;
  const leaf: unknown = jsonOrText(value);
  return JSON.stringify(path.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), leaf));
}

function jsonOrText(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
