import { defineJob } from '@baton/runner-sdk';
import { z } from 'zod';

const identifier = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_$]{0,62}$/, 'must be a name of letters, digits and _, without quotes');
const tableName = z
  .string()
  .regex(
    /^[A-Za-z_][A-Za-z0-9_$]{0,62}(\.[A-Za-z_][A-Za-z0-9_$]{0,62})?$/,
    'must be a table, or schema.table, of letters, digits and _, without quotes',
  );
const format = z.enum(['csv', 'ndjson', 'json', 'xlsx']);
const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const row = z.record(z.string(), z.unknown());

const file = z.strictObject({
  /** A URL of the storage. `.gz` at its end: compressed with gzip. */
  url: z.string().min(1),
  /** Default: by the file extension: `.csv`, `.tsv`, `.ndjson`, `.jsonl`, `.json`, `.xlsx`. */
  format: format.optional(),
  /** Of CSV; default a comma, in `.tsv` a tab. */
  delimiter: z.string().length(1).optional(),
  /** Of XLSX: the name of the sheet; default the first. */
  sheet: z.string().max(31).optional(),
});

const database = z.string().regex(/^[A-Z0-9_]{1,60}$/, 'must be the end of a setting DATA_DATABASE_…');

const tableSource = z.strictObject({
  database,
  table: tableName,
  columns: z.array(identifier).min(1).max(1600).optional(),
  /** Only rows in which these columns have these values. */
  where: z.record(identifier, scalar).optional(),
});

const tableSink = z.strictObject({
  database,
  table: tableName,
  /** The columns of a unique key, for `onConflict`. */
  key: z.array(identifier).min(1).max(32).optional(),
  /** What happens to a row whose key exists: it replaces the old one, is skipped, or is rejected. */
  onConflict: z.enum(['update', 'skip', 'reject']).default('reject'),
});

const column = z.strictObject({
  /** The column of the source; default the same name. */
  from: z.string().optional(),
  /** Checked and converted; default as it is. */
  type: z.enum(['text', 'integer', 'number', 'boolean', 'date', 'timestamp', 'json']).optional(),
  /** Rows without a value are rejected. */
  required: z.boolean().default(false),
  /** For rows without a value. */
  default: z.unknown().optional(),
  trim: z.boolean().default(false),
  lowerCase: z.boolean().default(false),
  mostLength: z.int().min(1).optional(),
  oneOf: z
    .array(z.union([z.string(), z.number(), z.boolean()]))
    .min(1)
    .max(1000)
    .optional(),
});

const condition = z.strictObject({
  column: z.string(),
  is: z.enum(['equal', 'unequal', 'above', 'below', 'empty', 'present']),
  value: scalar.optional(),
});

/** Fields of all jobs that move rows. */
const moving = {
  /** The columns of the target, by name; others are left out. Default: all, unchanged. */
  columns: z
    .record(z.string(), column)
    .refine((all) => Object.keys(all).length > 0, 'must name a column')
    .optional(),
  /** Rows that do not match all of these are left out. */
  only: z.array(condition).max(50).optional(),
  /** Where rejected rows go, as NDJSON `{row, reason, values}`. Written when there are any. */
  rejects: z.string().optional(),
  /** More rejected rows than this fail the job. Default: no limit. */
  mostRejected: z.int().min(0).optional(),
};

const moved = z.object({
  /** Rows of the source. */
  rows: z.int(),
  /** Rows written to the target: new ones, and replacements. */
  written: z.int(),
  /** Rows that `only` or `onConflict: "skip"` left out. */
  skipped: z.int(),
  rejected: z.int(),
  /** Null: there were none, or no URL for them was given. */
  rejects: z.string().nullable(),
});

const HOURS_6 = 6 * 3_600_000;
const inline = z.array(row).max(10_000);

/** Reads rows and writes them into a table. A killed import continues without duplicates. */
export const dataImport = defineJob({
  type: 'data-import',
  arguments: z.strictObject({ from: z.union([file, tableSource]), to: tableSink, ...moving }),
  result: moved,
  timeoutMs: HOURS_6,
});

/** Writes the rows of a table, or of another file, into a file. */
export const bulkExport = defineJob({
  type: 'bulk-export',
  arguments: z.strictObject({ from: z.union([tableSource, file]), to: file, ...moving }),
  result: moved,
  timeoutMs: HOURS_6,
});

/** Imports, exports or transforms rows of the job itself, a file or a table. */
export const dataProcessing = defineJob({
  type: 'data-processing',
  arguments: z
    .strictObject({
      batchId: z.string().min(1).max(200),
      operation: z.enum(['import', 'export', 'transform']),
      data: inline.optional(),
      from: z.union([file, tableSource]).optional(),
      /** Without it a transform of `data` returns its rows. */
      to: z.union([file, tableSink]).optional(),
      ...moving,
    })
    .refine(({ data, from }) => (data === undefined) !== (from === undefined), {
      path: ['data'],
      message: 'must be given, or from, and not both',
    })
    .refine(({ operation, to }) => operation !== 'import' || (to !== undefined && 'table' in to), {
      path: ['to'],
      message: 'must be a table for an import',
    })
    .refine(({ operation, to }) => operation !== 'export' || (to !== undefined && 'url' in to), {
      path: ['to'],
      message: 'must be a file for an export',
    })
    .refine(({ data, to }) => data !== undefined || to !== undefined, {
      path: ['to'],
      message: 'must be given, unless data is',
    }),
  result: moved.extend({ batchId: z.string(), data: z.array(row).optional() }),
  timeoutMs: HOURS_6,
});

/** Deletes rows of a table by key, in batches that are committed separately. */
export const batchDelete = defineJob({
  type: 'batch-delete',
  arguments: z
    .strictObject({
      from: z.strictObject({ database, table: tableName, key: z.array(identifier).min(1).max(32) }),
      /** Rows with at least the columns of the key. */
      data: inline.optional(),
      keys: file.optional(),
      /** Counts, and deletes nothing. */
      dryRun: z.boolean().default(false),
      rejects: z.string().optional(),
      mostRejected: z.int().min(0).optional(),
    })
    .refine(({ data, keys }) => (data === undefined) !== (keys === undefined), {
      path: ['keys'],
      message: 'must be given, or data, and not both',
    }),
  result: z.object({
    dryRun: z.boolean(),
    rows: z.int(),
    /** Rows of the table that were deleted, or would be. */
    deleted: z.int(),
    rejected: z.int(),
    rejects: z.string().nullable(),
  }),
  timeoutMs: HOURS_6,
});

/** Copies many files from one storage to another. */
export const bulkUpload = defineJob({
  type: 'bulk-upload',
  arguments: z
    .strictObject({
      files: z
        .array(z.strictObject({ from: z.string(), to: z.string(), contentType: z.string().max(200).optional() }))
        .min(1)
        .max(1000)
        .optional(),
      /** A folder of `file:` or a prefix of `s3:`; all its files go below `to`. */
      below: z.string().optional(),
      to: z.string().optional(),
      /** Whether files whose target has the same size are skipped. */
      skipSameSize: z.boolean().default(false),
    })
    .refine(({ files, below, to }) => (files === undefined ? below !== undefined && to !== undefined : below === to), {
      path: ['files'],
      message: 'must be given, or below and to',
    }),
  result: z.object({ files: z.int(), skipped: z.int(), bytes: z.int() }),
  timeoutMs: HOURS_6,
});

export type FileTarget = z.output<typeof file>;
export type TableSource = z.output<typeof tableSource>;
export type TableSink = z.output<typeof tableSink>;
export type ColumnRule = z.output<typeof column>;
export type Condition = z.output<typeof condition>;
export type Format = z.output<typeof format>;
export type Moved = z.output<typeof moved>;
export type MoveArguments = z.output<z.ZodObject<typeof moving>>;
export type ProcessArguments = z.output<NonNullable<(typeof dataProcessing)['arguments']>>;
export type DeleteArguments = z.output<NonNullable<(typeof batchDelete)['arguments']>>;
export type DeleteResult = z.output<NonNullable<(typeof batchDelete)['result']>>;
export type UploadArguments = z.output<NonNullable<(typeof bulkUpload)['arguments']>>;
export type UploadResult = z.output<NonNullable<(typeof bulkUpload)['result']>>;
