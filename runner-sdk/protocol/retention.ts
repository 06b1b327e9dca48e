import { z } from 'zod';
import { name, durationMs, repeatable } from './primitives';

const endings = z.enum(['completed', 'failed', 'cancelled']);

/** How long finished jobs are kept, by how they ended; what is left out is kept as by default. */
export const retention = z.strictObject({
  completedMs: durationMs(60_000)
    .optional()
    .describe("How long completed jobs are kept, in milliseconds; default: the coordinator's setting."),
  failedMs: durationMs(60_000)
    .optional()
    .describe("How long failed jobs are kept, in milliseconds; default: the coordinator's setting."),
  cancelledMs: durationMs(60_000)
    .optional()
    .describe("How long cancelled jobs are kept, in milliseconds; default: the coordinator's setting."),
});

export const cleanupQuery = z.strictObject({});
/** Jobs that retention would delete by now, by how they ended. */
export const cleanupPreview = z.object({
  completed: z.int().describe('Completed jobs.'),
  failed: z.int().describe('Failed jobs.'),
  cancelled: z.int().describe('Cancelled jobs.'),
});

/** Without `olderThanMs`: what retention would delete by now. */
export const cleanup = z.strictObject({
  olderThanMs: durationMs()
    .optional()
    .describe(
      'Deletes jobs that finished longer ago than this, in milliseconds; default: what retention would delete now.',
    ),
  status: repeatable(endings).optional().describe('Only jobs with this status. May be a list.'),
  queue: repeatable(name).optional().describe('Only jobs in this queue. May be a list.'),
});
