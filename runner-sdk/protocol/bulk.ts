import { z } from 'zod';
import { jobArguments, jobFilter, priority } from './jobs';
import { errorCode } from './problem';
import { id, name, text, timestamp } from './primitives';

export const bulkChoice = {
  filter: jobFilter
    .optional()
    .describe('Selects the jobs, as the filters of the job list do. Either this, not empty, or `all`.'),
  all: z.literal(true, 'must be true, or left out').optional().describe('Selects every job. Either this or `filter`.'),
  dryRun: z.boolean().default(false).describe('If true, the matching jobs are only counted and nothing is changed.'),
  background: z
    .boolean()
    .default(false)
    .describe(
      'If true, the call answers at once with an operation to poll, and the jobs are changed in the background.',
    ),
};

/** Selecting every job must be explicit: an empty filter is a mistake of the caller. */
export function requireChoice(
  sent: { filter?: object | undefined; all?: true | undefined },
  context: z.RefinementCtx<object>,
): void {
  if (sent.filter !== undefined && sent.all !== undefined) {
    context.addIssue({ code: 'custom', path: ['all'], message: 'cannot stand beside a filter; send one of the two' });
  } else if (sent.filter === undefined && sent.all === undefined) {
    const message =
      'must be a filter of the jobs that are meant, or left out beside "all": true, which means every job';
    context.addIssue({ code: 'custom', path: ['filter'], message });
  } else if (sent.filter !== undefined && matchesAll(sent.filter)) {
    const message = 'is empty, which would mean every job; send "all": true instead of it if that is meant';
    context.addIssue({ code: 'custom', path: ['filter'], message });
  }
}

/** The arguments of every job contain the empty object. */
function matchesAll(filter: object): boolean {
  return Object.entries(filter).every(
    ([field, value]) => field === 'arguments' && Object.keys(value as object).length === 0,
  );
}

export const bulkCancel = z
  .strictObject({
    ...bulkChoice,
    reason: text(500).optional().describe('Why the jobs are cancelled; kept with each of them.'),
  })
  .superRefine(requireChoice);
export const bulkRetry = z.strictObject(bulkChoice).superRefine(requireChoice);
export const bulkPurge = z.strictObject(bulkChoice).superRefine(requireChoice);
export const bulkPrioritise = z
  .strictObject({ ...bulkChoice, priority: priority.describe('The new priority.') })
  .superRefine(requireChoice);
export const bulkReplay = z
  .strictObject({
    filter: bulkChoice.filter,
    all: bulkChoice.all,
    dryRun: bulkChoice.dryRun,
    arguments: jobArguments
      .optional()
      .describe('Arguments of the new jobs; default: those of the jobs they are made from.'),
    queue: name.optional().describe('Queue of the new jobs; default: that of the jobs they are made from.'),
    priority: priority.optional().describe('Priority of the new jobs; default: that of the jobs they are made from.'),
  })
  .superRefine(requireChoice);
export const bulkCount = z.object({
  count: z.int().describe('Number of jobs that were changed, or with `dryRun` would be.'),
});

export const bulkOperation = z.object({
  id: id.describe('Id of the operation (UUIDv7).'),
  verb: z.enum(['cancel', 'retry', 'purge', 'prioritise', 'replay']).describe('What is done to each job.'),
  status: z
    .enum(['running', 'finished', 'cancelled', 'failed'])
    .describe(
      'Whether the operation is still running, and how it ended. One that has not come on for ten minutes fails.',
    ),
  matched: z.int().describe('Number of jobs that matched when the operation started.'),
  changed: z.int().describe('Number of jobs changed so far; of a replay, jobs created.'),
  error: z
    .object({
      code: errorCode.describe('A stable code for the fault.'),
      message: z.string().describe('The fault in words.'),
    })
    .nullable()
    .describe(
      'Why the operation failed; while it is running, what it waits for, such as room in a full queue (`queue_full`). null: nothing.',
    ),
  createdAt: timestamp.describe('When the operation started.'),
  finishedAt: timestamp.nullable().describe('When the operation ended; null: it is running.'),
});
export type BulkOperation = z.infer<typeof bulkOperation>;
