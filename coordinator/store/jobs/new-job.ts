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

// A job on its way into the table, and back as a row.

/** What the create decides of a job, as the table of fields says, and what else the statement has to know. */
export type Decided = { arguments: Json } & { [Name in NotNull]: Value<Name> } & {
  [Name in Exclude<FieldsSetBy<'create'>, NotNull | 'arguments'>]?: Value<Name> | undefined;
} & {
  /** Nothing waits in its lane before, as far as is known. */
  laneFrom?: Date | undefined;
  /** The user an idempotency key belongs to; empty for callers bound to none. */
  idempotencyScope?: string | undefined;
  idempotencyKey?: string | undefined;
  requestHash?: string | undefined;
  relations?: Relations | undefined;
};

/** What a job has that depends on others, or belongs to a group. */
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

/** A job to be stored: what its create sent, and what it decided. */
export type InsertJob = Pick<NewJob, FieldsSetBy<'client'> | keyof typeof SENT_BESIDES> & Decided;

/** What the statement takes in that is no column as it is, by how it is read. */
export const SENT_BESIDES = { runAt: 'timestamptz', delayMs: 'float8', uniqueForMs: 'float8' } as const;
export const DECIDED_BESIDES = {
  laneFrom: 'timestamptz',
  idempotencyScope: 'text',
  idempotencyKey: 'text',
  requestHash: 'text',
} as const;

/** Every field named, so that none is forgotten in a literal. */
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
  /** Of a job that the claim it was offered to has got; its times in ISO-8601. */
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

/** The row as it was stored, pending: what the create brought, and what the database added. */
export const insertedRow = compileObject<(brought: InsertJob, inserted: InsertedJob) => JobRow>(
  ['brought', 'inserted'],
  [...FIELDS].map(([name, field]) => [name, insertedFrom(name, field)]),
);

/** The same of a job that depends on others, or belongs to a group. */
export function relatedRow(brought: InsertJob, inserted: InsertedJob, { isBlocked, ...relations }: Relations): JobRow {
  return { ...insertedRow(brought, inserted), ...relations, status: isBlocked ? 'blocked' : 'pending' };
}

function insertedFrom(name: FieldName, { setBy, type, fresh }: Field): Origin {
  if (fresh !== undefined) return { constant: fresh };
  if (name === 'updatedAt') return { of: 'inserted', name: 'createdAt' };
  if (setBy === 'insert') return { of: 'inserted', name };
  if (type === 'timestamptz') return { by: (brought: Partial<Record<string, string>>) => dateOf(brought[name]) };
  return { of: 'brought', name, orNull: true };
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
