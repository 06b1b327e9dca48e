import { z } from 'zod';
import { text, timestamp } from './primitives';

export const rateLimitsQuery = z.strictObject({
  /** Whose; a key of role `user` may leave it out, and then means its own. */
  userId: text(200).optional(),
});

/** By queue, for queues that limit how many jobs one user creates. */
export const rateLimits = z.record(
  z.string(),
  z.object({
    limit: z.int(),
    /** Jobs that count at present. */
    count: z.int(),
    remaining: z.int(),
    /** When the oldest of them counts no longer; null: none counts. */
    resetAt: timestamp.nullable(),
  }),
);
export type RateLimits = z.infer<typeof rateLimits>;
