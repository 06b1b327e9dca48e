import { z } from 'zod';
import { name, durationMs, repeatable } from './primitives';

const endings = z.enum(['completed', 'failed', 'cancelled']);

/** How long finished jobs are kept, by how they ended; what is left out is kept as by default. */
export const retention = z.strictObject({
  completedMs: durationMs(60_000).optional(),
  failedMs: durationMs(60_000).optional(),
  cancelledMs: durationMs(60_000).optional(),
});

export const cleanupQuery = z.strictObject({});
/** Jobs that retention would delete by now, by how they ended. */
export const cleanupPreview = z.object({ completed: z.int(), failed: z.int(), cancelled: z.int() });

/** Without `olderThanMs`: what retention would delete by now. */
export const cleanup = z.strictObject({
  olderThanMs: durationMs().optional(),
  status: repeatable(endings).optional(),
  queue: repeatable(name).optional(),
});
