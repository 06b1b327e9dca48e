import { z } from 'zod';
import { labels, listOf, page, timestamp } from './primitives';

/** The version of the protocol that the SDK sends with every call, as `Baton-Protocol`. */
export const PROTOCOL_VERSION = 1;

/**
 * The versions that the coordinator speaks: its own and the two before. A runner that sends none speaks the first one.
 */
export const SPOKEN_PROTOCOLS = { oldest: Math.max(1, PROTOCOL_VERSION - 2), newest: PROTOCOL_VERSION } as const;

export const runner = z.object({
  id: z.string().describe('The `runnerId` that the runner claims with.'),
  types: z.array(z.string()).describe('Job types that the runner can handle.'),
  queues: z.array(z.string()).nullable().describe('Queues that the runner claims from; null: all.'),
  labels: labels.describe('Labels of the runner.'),
  version: z.string().nullable().describe("The runner's own version; null: not given."),
  protocol: z.int().describe('The version of the protocol that the runner speaks; one that names none speaks 1.'),
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
