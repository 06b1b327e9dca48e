import type { z } from 'zod';
import { ConfigurationError } from '../transport/errors';
import type { QueryValue } from '../transport/transport';
import type { BulkOperation, jobFilter } from '../protocol';

/** The allowed values of a filter's fields; not `undefined`, which would match every job where one was meant. */
export type Strict<Fields> = { [Field in keyof Fields]?: Exclude<Fields[Field], undefined> };

/** Several values of one field mean any of them, several fields mean all. A field that is `undefined` is refused. */
export type Filter = Strict<z.input<typeof jobFilter>>;
export type Page = { limit?: number | undefined; cursor?: string | undefined };

/** Fields of a list beside its filter. */
export const PAGE_FIELDS = ['limit', 'cursor'] as const;

/** `dryRun`: only counts the jobs that would be changed. */
export interface Bulk {
  dryRun?: boolean | undefined;
  background?: false | undefined;
}

/** Runs in the background; follow it with `bulkOperation`. */
export interface BulkInBackground {
  background: true;
}

export type Counted<B extends Bulk | BulkInBackground> = Promise<B extends BulkInBackground ? BulkOperation : number>;

/** Instead of a filter: all of them. */
export interface All {
  all: true;
}

/**
 * Throws `ConfigurationError` for a field that is present and `undefined`, `null` or an empty list: usually a mistake
 * of the caller that would make the filter match everything.
 * @param lenient names of fields that are not filters, such as those of a page
 */
export function assertStrict(where: string, fields: object, lenient: readonly string[] = []): void {
  for (const [name, value] of Object.entries(fields)) {
    const fault = lenient.includes(name) ? null : faultOf(value);
    if (fault === null) continue;
    throw new ConfigurationError(
      `${where}: ${name}${fault}. It would match more than was meant: give a value, or leave the field out`,
    );
  }
}

/** A filter of jobs and a page as the query of a list. */
export function filterQuery(where: string, filter: Filter & Page): Record<string, QueryValue> {
  assertStrict(where, filter, PAGE_FIELDS);
  const { arguments: contained, ...rest } = filter;
  return { ...rest, ...(contained !== undefined && { arguments: JSON.stringify(contained) }) };
}

/** The part of a body that selects jobs. */
export function choiceOf(where: string, choice: object): { filter: object } | All {
  if ('all' in choice) {
    if (choice.all === true && Object.keys(choice).length === 1) return { all: true };
    throw new ConfigurationError(`${where}: all must be true and stand alone, without a filter beside it`);
  }
  assertStrict(where, choice);
  if (Object.keys(choice).length > 0) return { filter: choice };
  throw new ConfigurationError(
    `${where}: the filter is empty, which would mean every job; say { all: true } instead if that is meant`,
  );
}

/** A fault, with the path within the field. Checks lists and their items, and the JSON that arguments must contain. */
function faultOf(value: unknown): string | null {
  if (value === undefined || value === null) return ` is ${value}`;
  if (Array.isArray(value)) {
    if (value.length === 0) return ' is an empty list';
    for (const [index, item] of value.entries()) {
      if (item === undefined || item === null) return `.${index} is ${item}`;
    }
  }
  return typeof value === 'object' ? undefinedWithin(value) : null;
}

/** JSON keeps `null`, which arguments may contain, but drops `undefined`. */
function undefinedWithin(value: object): string | null {
  for (const [key, member] of Object.entries(value)) {
    if (member === undefined) return `.${key} is undefined`;
    const fault = typeof member === 'object' && member !== null ? undefinedWithin(member as object) : null;
    if (fault !== null) return `.${key}${fault}`;
  }
  return null;
}
