import type { Json, NewJob } from '@baton/runner-sdk/protocol';
import { compileObject, type Origin } from '../../compile';
import type { ClaimedRow } from './claim';
import {
  type Field,
  type FieldName,
  FIELDS,
  fieldsReadBy,
  fieldsSetBy,
  type FieldsSetBy,
  type JOB_FIELDS,
  type JobRow,
} from './fields';

// Conversions of a new job: from a create to the insert's input, and from the stored values to a row.

/** Fields that the create decides (see the table of fields), and what else the insert needs. */
export type Decided = { arguments: Json } & { [Name in NotNull]: Value<Name> } & {
  [Name in Exclude<FieldsSetBy<'create'>, NotNull | 'arguments'>]?: Value<Name> | undefined;
} & {
  /** The position in its lane before which, as far as is known, no job waits. */
  laneFrom?: Date | undefined;
  /** The user that the idempotency key belongs to; empty for callers without one. */
  idempotencyScope?: string | undefined;
  idempotencyKey?: string | undefined;
  requestHash?: string | undefined;
  relations?: Relations | undefined;
};

/** Fields of a job that depends on others or belongs to a group. */
export type Relations = { [Name in FieldsSetBy<'relation'>]?: NonNullable<JobRow[Name]> | undefined } & {
  /** Whether it waits for another job. */
  isBlocked: boolean;
};

type NotNull = {
  [Name in FieldsSetBy<'create'>]: null extends JobRow[Name] ? never : Name;
}[FieldsSetBy<'create'>];
type Value<Name extends FieldsSetBy<'create'>> = (typeof JOB_FIELDS)[Name]['type'] extends 'json'
  ? Json
  : NonNullable<JobRow[Name]>;

/** A job to be stored: what the create sent, and what it decided. */
export type InsertJob = Pick<NewJob, FieldsSetBy<'client'> | keyof typeof SENT_BESIDES> & Decided;

/** Inputs of the statement that are not stored as they are, with the types by which they are read. */
export const SENT_BESIDES = { runAt: 'timestamptz', delayMs: 'float8', uniqueForMs: 'float8' } as const;
export const DECIDED_BESIDES = {
  laneFrom: 'timestamptz',
  idempotencyScope: 'text',
  idempotencyKey: 'text',
  requestHash: 'text',
} as const;

/** Requires every field to be named, so that a literal cannot forget one. */
type Complete<T> = { [Name in keyof Required<T>]: T[Name] };

export interface InsertedJob {
  id: string;
  runAt: Date;
  createdAt: Date;
  uniqueUntil: Date | null;
  position: Date | null;
  hold: JobRow['hold'];
  orderSeq: bigint | null;
  /** How long until it is due, by the database's clock. */
  dueInMs: number;
  /** The lease of a job that went to the claim it was offered to; times in ISO-8601. Null: the job was not claimed. */
  lease: Lease | null;
}

export type Lease = Pick<ClaimedRow, 'leaseToken' | 'leaseExpiresAt' | 'deadlineAt' | 'runnerId'>;

/** A job to be stored. */
export const insertJob = compileObject<(job: NewJob, decided: Complete<Decided>) => InsertJob>(
  ['job', 'decided'],
  [
    ...from('decided', [...fieldsSetBy('create').map(([name]) => name), ...Object.keys(DECIDED_BESIDES), 'relations']),
    ...from('job', [...fieldsSetBy('client').map(([name]) => name), ...Object.keys(SENT_BESIDES)]),
  ],
);

function from(of: string, names: readonly string[]): [string, Origin][] {
  return names.map((name) => [name, { of, name }]);
}

/** The stored row of a pending job, from the create's input and the values that the database added. */
export const insertedRow = compileObject<(input: InsertJob, inserted: InsertedJob) => JobRow>(
  ['input', 'inserted'],
  [...FIELDS].map(([name, field]) => [name, insertedFrom(name, field)]),
);

/** The same for a job that depends on others or belongs to a group. */
export function relatedRow(input: InsertJob, inserted: InsertedJob, { isBlocked, ...relations }: Relations): JobRow {
  return { ...insertedRow(input, inserted), ...relations, status: isBlocked ? 'blocked' : 'pending' };
}

function insertedFrom(name: FieldName, { setBy, type, fresh }: Field): Origin {
  if (fresh !== undefined) return { constant: fresh };
  if (name === 'updatedAt') return { of: 'inserted', name: 'createdAt' };
  if (setBy === 'insert') return { of: 'inserted', name };
  if (type === 'timestamptz') return { by: (input: Partial<Record<string, string>>) => dateOf(input[name]) };
  return { of: 'input', name, orNull: true };
}

function dateOf(sent: string | undefined): Date | null {
  return sent === undefined ? null : new Date(sent);
}

/** The row of a new job that was handed over to a waiting claim, as that claim receives it. */
export const handedRow = compileObject<(job: JobRow, lease: Lease, leaseMs: number) => ClaimedRow>(
  ['job', 'lease', 'leaseMs'],
  [
    ...fieldsReadBy('claimed', 'dispatch').map(([name, field]): [string, Origin] => [name, handedFrom(name, field)]),
    ['waitMs', { constant: 0 }],
    ['slot', { constant: 0 }],
    ['repeated', { constant: false }],
  ],
);

function handedFrom(name: FieldName, { setBy, type }: Field): Origin {
  if (name === 'attempt') return { constant: 1 };
  if (name === 'leaseMs') return { by: (_job: JobRow, _lease: Lease, leaseMs: number) => leaseMs };
  if (name === 'position') return { by: (job: JobRow) => job.position ?? job.createdAt };
  if (setBy === 'claim') return { of: 'lease', name };
  if (type === 'json') return { by: (job: JobRow) => (job[name] === null ? null : JSON.stringify(job[name])) };
  return { of: 'job', name };
}
