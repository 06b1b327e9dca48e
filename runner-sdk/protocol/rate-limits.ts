import { z } from 'zod';
import { text, timestamp } from './primitives';

export const rateLimitsQuery = z.strictObject({
  userId: text(200)
    .optional()
    .describe('The user to read; default for a key of role `user`: its own user. Required for other roles.'),
});

/** Limits on how many jobs one user creates, by queue, for queues that have one. */
export const rateLimits = z.record(
  z.string(),
  z.object({
    limit: z.int().describe("How many jobs the user may create within the queue's period."),
    count: z.int().describe('How many jobs count at present.'),
    remaining: z.int().describe('How many more the user may create now.'),
    resetAt: timestamp.nullable().describe('When the oldest counted job stops counting; null: none counts.'),
  }),
);
export type RateLimits = z.infer<typeof rateLimits>;
