import { z } from 'zod';
import { bulkChoice } from './bulk';
import { name, durationMs, repeatable } from './primitives';

const endings = z.enum(['completed', 'failed', 'cancelled']);

/** How long finished jobs are kept, by outcome; what is left out keeps the default. */
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
/** Number of jobs that retention would delete now, by outcome. */
export const cleanupPreview = z.object({
  completed: z.int().describe('Completed jobs.'),
  failed: z.int().describe('Failed jobs.'),
  cancelled: z.int().describe('Cancelled jobs.'),
});

/** Without `olderThanMs`: what retention would delete now. With it: jobs of the given status or queue, or all. */
export const cleanup = z
  .strictObject({
    olderThanMs: durationMs()
      .optional()
      .describe(
        'Deletes jobs that finished longer ago than this, in milliseconds; default: what retention would delete now.',
      ),
    status: repeatable(endings).optional().describe('Only jobs with this status. May be a list.'),
    queue: repeatable(name).optional().describe('Only jobs in this queue. May be a list.'),
    all: bulkChoice.all.describe('Beside `olderThanMs`, instead of `status` and `queue`: finished jobs of every one.'),
  })
  .superRefine(({ olderThanMs, status, queue, all }, context) => {
    const isNamed = status !== undefined || queue !== undefined;
    if (all !== undefined && (isNamed || olderThanMs === undefined)) {
      const message = 'stands beside olderThanMs alone: finished jobs of every status and queue';
      context.addIssue({ code: 'custom', path: ['all'], message });
    } else if (olderThanMs !== undefined && !isNamed && all === undefined) {
      const message = 'needs a status or a queue beside it, or "all": true for finished jobs of every status and queue';
      context.addIssue({ code: 'custom', path: ['olderThanMs'], message });
    }
  });
