import { z } from 'zod';
import { labels, listOf, page, timestamp } from './primitives';

export const runner = z.object({
  id: z.string(),
  types: z.array(z.string()),
  queues: z.array(z.string()).nullable(),
  labels,
  version: z.string().nullable(),
  /** How many jobs it holds. */
  running: z.int(),
  /** `active`: heard within a minute; `lost`: not; `draining`: told to take no more work. */
  status: z.enum(['active', 'draining', 'lost']),
  firstSeenAt: timestamp,
  lastSeenAt: timestamp,
  drainingSince: timestamp.nullable(),
});
export type RunnerView = z.infer<typeof runner>;
export const runnerList = listOf(runner);
export const listRunnersQuery = z.strictObject({ ...page });
