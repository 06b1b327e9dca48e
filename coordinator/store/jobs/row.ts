import { largeField } from '@baton/runner-sdk/protocol';
import { Prisma } from '../../generated/prisma/client';
import { type Sql, sql } from '../db';
import { type Field, FIELDS, fieldsReadBy, type FieldsReadBy, type JobRow } from './fields';

/** Columns of a job under the names of the model; the table's alias is `j`. */
export const JOB_COLUMNS = columns(FIELDS);

export type LargeField = (typeof largeField.options)[number];
const LARGE: readonly LargeField[] = largeField.options;

/** All columns except the values that callers may make large. */
const LIGHT_COLUMNS = columns([...FIELDS].filter(([name]) => !(LARGE as readonly string[]).includes(name)));

/** The largest value that a list shows; a larger one is only named in `omitted`. */
const LISTED_VALUE_BYTES = 4096;

/** How a list shows the values that callers may make large. */
export interface ListedValues {
  /** Shown whatever their size, and never named in `omitted`. */
  whole: readonly LargeField[];
  /** Not read at all. */
  unwanted: readonly LargeField[];
}

/** A job as shown in lists. */
export type ListedJobRow = JobRow & { omitted: LargeField[] };

/** The same columns with large values left out and named in `omitted`, and the size of such a row in bytes. */
export function listedColumns({ whole, unwanted }: ListedValues = { whole: [], unwanted: [] }): Sql {
  const listed = LARGE.map((name) => {
    const value = Prisma.raw(`j.${name}`);
    const bytes = sql`octet_length(${value}::text)`;
    const as = Prisma.raw(`AS ${name}`);
    if (unwanted.includes(name)) return { shown: sql`NULL::json ${as}`, bytes: sql`0`, marked: sql`NULL` };
    if (whole.includes(name))
      return { shown: sql`${value} ${as}`, bytes: sql`COALESCE(${bytes}, 0)`, marked: sql`NULL` };
    const isSmall = sql`${bytes} <= ${LISTED_VALUE_BYTES}::int`;
    return {
      shown: sql`CASE WHEN ${isSmall} THEN ${value} END ${as}`,
      bytes: sql`CASE WHEN ${isSmall} THEN ${bytes} ELSE 0 END`,
      marked: sql`CASE WHEN ${bytes} > ${LISTED_VALUE_BYTES}::int THEN ${name}::text END`,
    };
  });
  return sql`${LIGHT_COLUMNS}, ${Prisma.join(listed.map(({ shown }) => shown))},
    array_remove(ARRAY[${Prisma.join(listed.map(({ marked }) => marked))}]::text[], NULL) AS omitted,
    ${ROW_BYTES}::int + COALESCE(octet_length(j.error::text), 0) + ${Prisma.join(
      listed.map(({ bytes }) => bytes),
      ' + ',
    )} AS bytes`;
}

/** Approximate size of a row without these values, in bytes. */
const ROW_BYTES = 1500;

/** Columns that a claim returns; the table's alias is `j`. JSON and times go to the runner as text. */
export const CLAIMED_COLUMNS = sql`${columns(fieldsReadBy('claimed'), 'as text')}, ${columns(fieldsReadBy('dispatch'))},
  extract(epoch FROM j.started_at - j.run_at)::float8 * 1000 AS "waitMs"`;

/**
 * For jobs that are found by id. Cast to text so that the planner cannot use the index of running jobs: from old
 * statistics it believes them to be few, and would read all of them for each id.
 */
export const STILL_RUNNING = sql`j.status::text = 'running'`;

/**
 * A gate is a job without a queue, so that nothing that works by queue finds it; its type is the one that it is shown
 * with.
 */
export const GATE = { queue: '', type: 'gate' };

/** The fields of a moved job that events and replies need. */
export interface Moved extends Pick<JobRow, FieldsReadBy<'moved'>> {
  /** The token that moved it. */
  leaseToken: string;
  dueInMs: number;
  /** How long its latest attempt ran. */
  runMs: number;
}

const RUN_MS = sql`extract(epoch FROM now() - j.started_at)::float8 * 1000 AS "runMs"`;
const ENDED = fieldsReadBy('moved').filter(([name]) => name !== 'runAt');

/** Columns that a move returns, beside the token that moved the job; the table's alias is `j`. */
export const MOVED_COLUMNS = sql`${columns(fieldsReadBy('moved'))}, ${RUN_MS},
    extract(epoch FROM j.run_at - now())::float8 * 1000 AS "dueInMs"`;
/** The same for moves after which no attempt follows, and the names of both. */
export const ENDED_COLUMNS = sql`${columns(ENDED)}, ${RUN_MS}`;
export const MOVED_NAMES = names([...fieldsReadBy('moved').map(([name]) => name), 'leaseToken', 'runMs', 'dueInMs']);
export const ENDED_NAMES = names([...ENDED.map(([name]) => name), 'leaseToken', 'runMs']);

function columns(fields: Iterable<readonly [string, Field]>, as?: 'as text'): Sql {
  const listed = [...fields].map(([name, { column, type }]) => {
    const isCast = as === 'as text' && (type === 'json' || type === 'timestamptz');
    return `j.${column}${isCast ? '::text' : ''} AS "${name}"`;
  });
  return Prisma.raw(listed.join(', '));
}

function names(listed: string[]): Sql {
  return Prisma.raw(listed.map((name) => `"${name}"`).join(', '));
}
