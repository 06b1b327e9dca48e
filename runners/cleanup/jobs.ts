import { defineJob } from '@baton/runner-sdk';
import { z } from 'zod';

const name = z.string().regex(/^[\w-]{1,100}$/, 'must be a name of the configuration');
const olderThanMs = z.int().min(0);

const files = z
  .strictObject({
    kind: z.literal('files'),
    /** A folder of `file:`, or a prefix of `s3:`. */
    below: z.string(),
    olderThanMs: olderThanMs.optional(),
    largerThanBytes: z.int().min(0).optional(),
    /** Names below the folder: `*` stands for what has no `/`, `**` for anything. */
    match: z.string().max(1000).default('**'),
    /** This many of the newest matching files are kept, whatever their age. */
    keepNewest: z.int().min(0).max(10_000).default(0),
    /** Where each file is archived, compressed with gzip, before it is deleted. */
    archiveTo: z.string().optional(),
  })
  .refine(
    ({ olderThanMs: age, largerThanBytes, keepNewest, match }) =>
      age !== undefined || largerThanBytes !== undefined || keepNewest > 0 || match !== '**',
    'must say which: olderThanMs, largerThanBytes, keepNewest or match',
  );

const log = z.strictObject({
  kind: z.literal('log'),
  /** A `file:` URL; its program may keep it open and continue to write. */
  file: z.string(),
  /** Rotated when it is larger than this. */
  largerThanBytes: z.int().min(0).default(10_485_760),
  /** How many of its archives are kept. */
  keep: z.int().min(0).max(1000).default(7),
});

const rows = z.strictObject({
  kind: z.literal('rows'),
  statement: name,
  parameters: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).default({}),
});

const cache = z.strictObject({
  kind: z.literal('cache'),
  cache: name,
  /** Keys, or paths that start with `/`, as the cache's URL requires. */
  keys: z.array(z.string().min(1).max(2000)).min(1).max(1000),
});

/** Deletes what is no longer needed. */
export const cleanup = defineJob({
  type: 'cleanup',
  arguments: z.strictObject({
    /** Counts what it would do, and does nothing. */
    dryRun: z.boolean().default(false),
    tasks: z
      .array(z.discriminatedUnion('kind', [files, log, rows, cache]))
      .min(1)
      .max(50),
  }),
  result: z.object({
    dryRun: z.boolean(),
    tasks: z.array(
      z.object({
        kind: z.string(),
        /** Number of files, archives, rows or keys that were deleted, rotated or purged, or would be. */
        count: z.int(),
        bytes: z.int(),
        /** The first names. */
        examples: z.array(z.string()),
      }),
    ),
  }),
  timeoutMs: 3_600_000,
});
export type CleanupArguments = z.output<NonNullable<(typeof cleanup)['arguments']>>;
export type CleanupResult = z.output<NonNullable<(typeof cleanup)['result']>>;
export type FilesTask = z.output<typeof files>;
export type LogTask = z.output<typeof log>;
export type RowsTask = z.output<typeof rows>;
export type CacheTask = z.output<typeof cache>;
