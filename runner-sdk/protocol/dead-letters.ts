import { z } from 'zod';
import { bulkRetry } from './bulk';
import { job, jobArguments, jobFilter, listJobsQuery } from './jobs';
import { durationMs, id, listOf, text, timestamp } from './primitives';

export const listDeadLettersQuery = listJobsQuery.omit({ status: true });
export const deadLetterGroupsQuery = listDeadLettersQuery.omit({ cursor: true });

/** A job that was given up, and what it has in common with those that failed alike. */
export const deadLetter = job.extend({ fingerprint: z.string().nullable() });
export type DeadLetter = z.infer<typeof deadLetter>;
export const deadLetterList = listOf(deadLetter);

/** Dead letters of one type, code and message; words with digits in the message are not compared. */
export const deadLetterGroup = z.object({
  fingerprint: z.string(),
  type: z.string(),
  code: z.string().nullable(),
  /** The message, with a # for every word with a digit. */
  pattern: z.string(),
  count: z.int(),
  firstAt: timestamp,
  lastAt: timestamp,
  /** The latest of them, and its message. */
  latest: z.object({ jobId: id, queue: z.string(), message: z.string() }),
});
export type DeadLetterGroup = z.infer<typeof deadLetterGroup>;
export const deadLetterGroups = z.object({ items: z.array(deadLetterGroup) });

/** With `arguments`, the job is tried again with these instead of its own. */
export const retryDeadLetter = z.strictObject({ arguments: jobArguments.optional() });

export const retryDeadLetters = bulkRetry
  .extend({ filter: jobFilter.omit({ status: true }).optional(), fingerprint: text(64).optional() })
  .refine(
    (sent) => (sent.filter === undefined) !== (sent.fingerprint === undefined),
    'must name either a filter or a fingerprint',
  );

export const cleanupDeadLetters = z.strictObject({ olderThanMs: durationMs() });
