import { z } from 'zod';
import { labels, listOf, name, page, timestamp } from './primitives';

/** The version of the protocol that the SDK sends with every call, as `Baton-Protocol`. */
export const PROTOCOL_VERSION = 1;

/**
 * The versions that the coordinator speaks: its own and the two before. A runner that sends none speaks the first one.
 */
export const SPOKEN_PROTOCOLS = { oldest: Math.max(1, PROTOCOL_VERSION - 2), newest: PROTOCOL_VERSION } as const;

export const runner = z.object({
  id: z.string().describe('The `runnerId` that the runner claims with.'),
  types: z.array(z.string()).describe('Job types that the runner can handle.'),
  queues: z.array(z.string()).nullable().describe('Queues that the runner claims from; null: all.'),
  labels: labels.describe('Labels of the runner.'),
  version: z.string().nullable().describe("The runner's own version; null: not given."),
  protocol: z.int().describe('The version of the protocol that the runner speaks; one that names none speaks 1.'),
  running: z.int().describe('Number of jobs that the runner is running.'),
  status: z
    .enum(['active', 'draining', 'lost', 'stopped'])
    .describe(
      '`active`: seen within the last minute. `lost`: not seen. `draining`: it takes no more work. `stopped`: it has said goodbye.',
    ),
  firstSeenAt: timestamp.describe('When the runner was first seen.'),
  lastSeenAt: timestamp.describe('When the runner was last seen.'),
  drainingSince: timestamp.nullable().describe('When the runner was told to drain; null: it was not.'),
});
export type RunnerView = z.infer<typeof runner>;
export const runnerList = listOf(runner);
export const listRunnersQuery = z.strictObject({ ...page });

/** A JSON Schema, of draft 2020-12. */
export const jsonSchema = z.union([z.record(z.string(), z.unknown()), z.boolean()]);
export type JsonSchema = z.infer<typeof jsonSchema>;

export const MOST_PUBLISHED_TYPES = 200;

/** What runners publish of a type. Each is judged alone, so that one bad schema does not affect the others. */
export const publishTypes = z.object({
  types: z
    .record(z.string(), z.unknown())
    .refine(
      (types) => Object.keys(types).length <= MOST_PUBLISHED_TYPES,
      `must have at most ${MOST_PUBLISHED_TYPES} types`,
    )
    .describe(
      'For each type `{arguments?, result?}`: JSON Schemas (draft 2020-12), at most 32 KiB each, whose `$ref` stay within them.',
    ),
});
export const typeSchemas = z.object({
  arguments: jsonSchema.optional().describe('Schema of what jobs of the type are created with; absent: anything.'),
  result: jsonSchema.optional().describe('Schema of what they complete with; absent: anything.'),
});
export type TypeSchemas = z.infer<typeof typeSchemas>;
export const publishedTypes = z.object({
  typeSet: z.string().describe('Send it with every claim, as `typeSet`.'),
  refused: z
    .array(
      z.object({
        type: z.string().describe('A type whose schemas were not taken.'),
        detail: z.string().describe('Why, in words.'),
      }),
    )
    .describe('Types whose schemas were not taken; the others were.'),
});
export type PublishedTypes = z.infer<typeof publishedTypes>;

export const publishedSchema = z.object({
  hash: z.string().describe('Hash of both schemas.'),
  arguments: jsonSchema.nullable().describe('JSON Schema of the arguments; null: anything.'),
  result: jsonSchema.nullable().describe('JSON Schema of the result; null: anything.'),
  runners: z
    .int()
    .describe('How many runners serve the type with these schemas: not stopped, seen within ten minutes.'),
  inForce: z
    .boolean()
    .describe(
      'Whether creates are held against it, in queues with `checkArguments`: a runner serves it, or it is among the last that any did.',
    ),
  firstSeenAt: timestamp.describe('When it was first published.'),
});
/** A type that runners serve, and its schemas. */
export const jobType = z.object({
  type: z.string().describe('The job type.'),
  runners: z
    .int()
    .describe('How many runners serve the type, with schemas or without: not stopped, seen within ten minutes.'),
  schemas: z.array(publishedSchema).describe('What runners have published of it, the newest first; empty: nothing.'),
});
export type JobType = z.infer<typeof jobType>;
export const jobTypeList = listOf(jobType);
export const listTypesQuery = z.strictObject({ ...page });
export const jobTypeName = name;
