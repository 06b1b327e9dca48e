import { z } from 'zod';
import { jobFilter, priority } from './jobs';
import { id, text, timestamp } from './primitives';

const choice = {
  filter: jobFilter.describe('Selects the jobs, as the filters of the job list do.'),
  dryRun: z.boolean().default(false).describe('If true, the matching jobs are only counted and nothing is changed.'),
  background: z
    .boolean()
    .default(false)
    .describe(
      'If true, the call answers at once with an operation to poll, and the jobs are changed in the background.',
    ),
};
export const bulkCancel = z.strictObject({
  ...choice,
  reason: text(500).optional().describe('Why the jobs are cancelled; kept with each of them.'),
});
export const bulkRetry = z.strictObject(choice);
export const bulkPurge = z.strictObject(choice);
export const bulkPrioritise = z.strictObject({ ...choice, priority: priority.describe('The new priority.') });
export const bulkCount = z.object({
  count: z.int().describe('Number of jobs that were changed, or with `dryRun` would be.'),
});

export const bulkOperation = z.object({
  id: id.describe('Id of the operation (UUIDv7).'),
  verb: z.enum(['cancel', 'retry', 'purge', 'prioritise']).describe('What is done to each job.'),
  status: z.enum(['running', 'finished']).describe('Whether the operation is still running.'),
  matched: z.int().describe('Number of jobs that matched when the operation started.'),
  changed: z.int().describe('Number of jobs changed so far.'),
  createdAt: timestamp.describe('When the operation started.'),
  finishedAt: timestamp.nullable().describe('When the operation finished; null: it is running.'),
});
export type BulkOperation = z.infer<typeof bulkOperation>;
