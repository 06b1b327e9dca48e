import { z } from 'zod';
import { bulkChoice, requireChoice } from './bulk';
import { job, jobArguments, jobFilter, listJobsQuery, omitted } from './jobs';
import { durationMs, id, listOf, text, timestamp } from './primitives';

export const listDeadLettersQuery = listJobsQuery.omit({ status: true });
export const deadLetterGroupsQuery = listDeadLettersQuery.omit({ cursor: true });

/** A failed job, and what it has in common with jobs that failed alike. */
export const deadLetter = job.extend({
  fingerprint: z
    .string()
    .nullable()
    .describe(
      'Identifies the group of dead letters with the same type, code and message pattern; null: the failure has none.',
    ),
});
export type DeadLetter = z.infer<typeof deadLetter>;
export const listedDeadLetter = deadLetter.extend({ omitted });
export const deadLetterList = listOf(listedDeadLetter);

/** Dead letters of one type, code and message; words with digits in the message are not compared. */
export const deadLetterGroup = z.object({
  fingerprint: z.string().describe('Identifies the group.'),
  type: z.string().describe('The job type.'),
  code: z.string().nullable().describe('The error code; null: none was reported.'),
  pattern: z.string().describe('The error message, with `#` for every word that contains a digit.'),
  count: z.int().describe('Number of dead letters in the group.'),
  firstAt: timestamp.describe('When the first of them failed.'),
  lastAt: timestamp.describe('When the latest of them failed.'),
  latest: z
    .object({
      jobId: id.describe('Id of the job.'),
      queue: z.string().describe('Queue of the job.'),
      message: z.string().describe('Its error message.'),
    })
    .describe('The latest of them.'),
});
export type DeadLetterGroup = z.infer<typeof deadLetterGroup>;
export const deadLetterGroups = z.object({ items: z.array(deadLetterGroup).describe('The groups, largest first.') });

/** With `arguments`, the job is retried with these instead of its own. */
export const retryDeadLetter = z.strictObject({
  arguments: jobArguments.optional().describe('New arguments for the job; default: its own.'),
});

/** A filter, one group by its `fingerprint`, or all of them. */
export const retryDeadLetters = z
  .strictObject({
    ...bulkChoice,
    filter: jobFilter
      .omit({ status: true })
      .optional()
      .describe('Selects the dead letters, as the filters of the list do. Either this, `fingerprint` or `all`.'),
    all: bulkChoice.all.describe('Selects every dead letter. Either this, `filter` or `fingerprint`.'),
    fingerprint: text(64).optional().describe('Selects one group. Either this, `filter` or `all`.'),
  })
  .superRefine((sent, context) => {
    if (sent.fingerprint === undefined) return requireChoice(sent, context);
    for (const field of ['filter', 'all'] as const) {
      if (sent[field] === undefined) continue;
      context.addIssue({
        code: 'custom',
        path: [field],
        message: 'cannot stand beside a fingerprint; send one of the two',
      });
    }
  });

/** Those that failed at least this long ago, or all of them. */
export const cleanupDeadLetters = z
  .strictObject({
    olderThanMs: durationMs(1)
      .optional()
      .describe('Deletes dead letters that failed longer ago than this, in milliseconds. Either this or `all`.'),
    all: bulkChoice.all.describe('Deletes every dead letter. Either this or `olderThanMs`.'),
  })
  .superRefine((sent, context) => {
    if ((sent.olderThanMs === undefined) !== (sent.all === undefined)) return;
    const message = 'must be given, at least 1; or "all": true instead for every dead letter';
    context.addIssue({ code: 'custom', path: ['olderThanMs'], message });
  });
