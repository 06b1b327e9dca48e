import { z } from 'zod';
import { jobFilter, priority } from './jobs';
import { id, text, timestamp } from './primitives';

const choice = {
  filter: jobFilter,
  /** Only counts the jobs that would be changed. */
  dryRun: z.boolean().default(false),
  /** Answers at once with an operation to be watched, and works through the jobs in the background. */
  background: z.boolean().default(false),
};
export const bulkCancel = z.strictObject({ ...choice, reason: text(500).optional() });
export const bulkRetry = z.strictObject(choice);
export const bulkPurge = z.strictObject(choice);
export const bulkPrioritise = z.strictObject({ ...choice, priority });
export const bulkCount = z.object({ count: z.int() });

export const bulkOperation = z.object({
  id,
  verb: z.enum(['cancel', 'retry', 'purge', 'prioritise']),
  status: z.enum(['running', 'finished']),
  /** Jobs that matched when it began. */
  matched: z.int(),
  /** Jobs changed so far. */
  changed: z.int(),
  createdAt: timestamp,
  finishedAt: timestamp.nullable(),
});
export type BulkOperation = z.infer<typeof bulkOperation>;
