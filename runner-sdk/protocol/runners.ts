import { z } from 'zod';
import { labels, listOf, page, timestamp } from './primitives';

export const runner = z.object({
  id: z.string().describe('The `runnerId` that the runner claims with.'),
  types: z.array(z.string()).describe('Job types that the runner can handle.'),
  queues: z.array(z.string()).nullable().describe('Queues that the runner claims from; null: all.'),
  labels: labels.describe('Labels of the runner.'),
  version: z.string().nullable().describe("The runner's own version; null: not given."),
  running: z.int().describe('Number of jobs that the runner is running.'),
  status: z
    .enum(['active', 'draining', 'lost', 'stopped'])
    .describe(
      '`active`: seen within the last minute. `lost`: not seen. `draining`: it takes no more work. `stopped`: it has said goodbye.',
    ),
  firstSeenAt: timestamp.describe('When the runner was first seen.'),
  lastSeenAt: timestamp.describe('When the runner was last seen.'),
  drainingSince: timestamp.nullable().describe('When the runner was told to drain; null: it was not.'),
});
export type RunnerView = z.infer<typeof runner>;
export const runnerList = listOf(runner);
export const listRunnersQuery = z.strictObject({ ...page });
