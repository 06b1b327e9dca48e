import type { Job } from '../../generated/prisma/client';

// The fields of a job, in one place: statements, rows and JSON are derived from this table when the process starts. A
// new field takes a line here, one in the contract (`runner-sdk/protocol/jobs.ts`) if it is shown, and one in
// `prisma/schema.prisma` with its migration.

export type JobRow = Job;

/**
 * Who sets it first.
 * - `client`: stored as the create sent it; null if it was left out
 * - `create`: the create decides, from the request, the caller and the queue's defaults
 * - `relation`: the create, for jobs that depend on others or belong to a group; only their statement has these columns
 * - `insert`: the statement that stores the job
 * - `claim`, `beat`, `move`: a claim, a heartbeat, or another transition; until then it has the `fresh` value
 */
export type Setter = 'client' | 'create' | 'insert' | Later;
type Later = 'relation' | 'claim' | 'beat' | 'move';

/**
 * Who reads it, besides readers of whole rows.
 * - `job`: clients, under this name
 * - `claimed`: the runner that claims the job; JSON and times as text
 * - `dispatch`: the coordinator itself, for a claimed job
 * - `moved`: events and replies, for a moved job
 */
export type Reader = 'job' | 'claimed' | 'dispatch' | 'moved';

export type ColumnType =
  | ('uuid' | 'uuid[]' | 'text' | 'text[]' | 'smallint' | 'int' | 'bigint' | 'boolean' | 'timestamptz' | 'json')
  | ('job_status' | 'job_hold');

// prettier-ignore
export const JOB_FIELDS = {
  //                    column              type           set by    read by
  id:             field('id',               'uuid',        'create', ['job', 'claimed', 'moved']),
  type:           field('type',             'text',        'client', ['job', 'claimed', 'moved']),
  queue:          field('queue',            'text',        'client', ['job', 'claimed', 'moved']),
  priority:       field('priority',         'smallint',    'create', ['job']),
  laneId:         field('lane_id',          'int',         'create', ['dispatch']),
  status:         field('status',           'job_status',  'insert', ['job', 'moved'], 'pending'),
  reason:         field('reason',           'text',        'move',   ['job']),
  runAt:          field('run_at',           'timestamptz', 'insert', ['job', 'moved']),
  position:       field('position',         'timestamptz', 'insert', ['dispatch']),
  hold:           field('hold',             'job_hold',    'insert', []),
  arguments:      field('arguments',        'json',        'create', ['job', 'claimed']),
  result:         field('result',           'json',        'move',   ['job']),
  error:          field('error',            'json',        'move',   ['job']),
  fingerprint:    field('fingerprint',      'text',        'move',   []),
  metadata:       field('metadata',         'json',        'client', ['job', 'claimed']),
  requires:       field('requires',         'json',        'client', ['job']),
  prefers:        field('prefers',          'json',        'client', ['job']),
  tags:           field('tags',             'text[]',      'client', ['job', 'claimed']),
  userId:         field('user_id',          'text',        'create', ['job', 'claimed', 'moved']),
  concurrencyKey: field('concurrency_key',  'text',        'client', ['job', 'dispatch', 'moved']),
  orderKey:       field('order_key',        'text',        'client', ['job', 'moved']),
  orderSeq:       field('order_seq',        'bigint',      'insert', []),
  orderBlocks:    field('order_blocks',     'boolean',     'create', []),
  uniqueKey:      field('unique_key',       'text',        'client', ['job']),
  uniqueUntil:    field('unique_until',     'timestamptz', 'insert', []),
  expiresAt:      field('expires_at',       'timestamptz', 'client', ['job']),
  dependsOn:      field('depends_on',       'uuid[]',      'relation', ['job', 'dispatch']),
  awaited:        field('awaited',          'boolean',     'relation', ['moved'], false),
  workflowId:     field('workflow_id',      'uuid',        'relation', ['job', 'claimed', 'moved']),
  workflowKey:    field('workflow_key',     'text',        'relation', []),
  batchId:        field('batch_id',         'uuid',        'relation', ['job', 'moved']),
  attempt:        field('attempt',          'int',         'claim',  ['job', 'claimed', 'moved'], 0),
  failures:       field('failures',         'int',         'move',   ['job'], 0),
  maxAttempts:    field('max_attempts',     'int',         'create', ['job', 'claimed']),
  retry:          field('retry',            'json',        'create', ['job']),
  timeoutMs:      field('timeout_ms',       'int',         'create', ['job', 'claimed']),
  runnerId:       field('runner_id',        'text',        'claim',  ['job', 'dispatch', 'moved']),
  claimHash:      field('claim_hash',       'bigint',      'claim',  []),
  leaseToken:     field('lease_token',      'uuid',        'claim',  ['claimed']),
  leaseMs:        field('lease_ms',         'int',         'claim',  ['claimed']),
  leaseExpiresAt: field('lease_expires_at', 'timestamptz', 'claim',  ['job', 'claimed']),
  deadlineAt:     field('deadline_at',      'timestamptz', 'claim',  ['job', 'claimed']),
  progress:       field('progress',         'json',        'beat',   ['job']),
  checkpoint:     field('checkpoint',       'json',        'beat',   ['job', 'claimed']),
  metrics:        field('metrics',          'json',        'move',   ['job']),
  scheduleId:     field('schedule_id',      'uuid',        'create', ['job']),
  callback:       field('callback',         'json',        'create', []),
  trace:          field('trace',            'text',        'create', ['dispatch']),
  createdAt:      field('created_at',       'timestamptz', 'insert', ['job']),
  startedAt:      field('started_at',       'timestamptz', 'claim',  ['job']),
  finishedAt:     field('finished_at',      'timestamptz', 'move',   ['job']),
  updatedAt:      field('updated_at',       'timestamptz', 'insert', ['job']),
} satisfies Record<keyof JobRow, Field>;

export interface Field {
  column: string;
  type: ColumnType;
  setBy: Setter;
  readBy: readonly Reader[];
  /** The value of every new job; undefined: it differs. */
  fresh: string | number | boolean | null | undefined;
}

export type FieldName = keyof typeof JOB_FIELDS;
export type FieldsSetBy<Who extends Setter> = NamesWhere<'setBy', Who>;
export type FieldsReadBy<Who extends Reader> = {
  [Name in FieldName]: Who extends (typeof JOB_FIELDS)[Name]['readBy'][number] ? Name : never;
}[FieldName];

type NamesWhere<Property extends keyof Field, Value> = {
  [Name in FieldName]: (typeof JOB_FIELDS)[Name][Property] extends Value ? Name : never;
}[FieldName];

/** All fields, in the order of the table. */
export const FIELDS: ReadonlyMap<FieldName, Field> = new Map(Object.entries(JOB_FIELDS) as [FieldName, Field][]);

export function fieldsSetBy<Who extends Setter>(...setters: Who[]): [FieldsSetBy<Who>, Field][] {
  return [...FIELDS].filter(([, { setBy }]) => (setters as Setter[]).includes(setBy)) as [FieldsSetBy<Who>, Field][];
}

export function fieldsReadBy<Who extends Reader>(...readers: Who[]): [FieldsReadBy<Who>, Field][] {
  return [...FIELDS].filter(([, { readBy }]) => readBy.some((one) => (readers as Reader[]).includes(one))) as [
    FieldsReadBy<Who>,
    Field,
  ][];
}

function field<const Type extends ColumnType, const Who extends Setter, const By extends Reader = never>(
  column: string,
  type: Type,
  setBy: Who,
  readBy: readonly By[],
  fresh: string | number | boolean | null | undefined = ['relation', 'claim', 'beat', 'move'].includes(setBy)
    ? null
    : undefined,
) {
  return { column, type, setBy, readBy, fresh };
}
