import { z } from 'zod';
import { jobStatus } from './jobs';
import { text, timestamp } from './primitives';

/** Percentiles with an error of at most 4.77 %, and the exact mean; null: nothing was measured. */
const spread = (unit: string) => {
  const figure = (what: string) => z.number().nullable().describe(`${what}; null: nothing was measured.`);
  return z.object({
    p50: figure(`The median, in ${unit}, at most 4.77 % off`),
    p95: figure(`The 95th percentile, in ${unit}, at most 4.77 % off`),
    p99: figure(`The 99th percentile, in ${unit}, at most 4.77 % off`),
    mean: figure(`The mean, in ${unit}`),
  });
};

/** Outcomes of jobs and attempts, by the time of their end. */
export const statistics = z.object({
  jobs: z
    .object({
      completed: z.int().describe('Jobs that completed.'),
      failed: z.int().describe('Jobs that failed for good.'),
      cancelled: z.int().describe('Jobs that were cancelled or expired.'),
    })
    .describe(
      'Number of jobs that finished, by final status. A job that was retried by hand is counted each time it finishes.',
    ),
  attempts: z
    .object({
      completed: z.int().describe('Attempts that completed.'),
      failed: z.int().describe('Attempts that reported a failure.'),
      timedOut: z.int().describe('Attempts that lost their lease or passed their deadline.'),
      released: z.int().describe('Attempts whose runner gave the job back.'),
      cancelled: z.int().describe('Attempts that ended because their job was cancelled.'),
    })
    .describe('Number of attempts that ended, by outcome.'),
  retries: z.int().describe('Attempts that failed or timed out and were followed by another attempt.'),
  successRate: z
    .number()
    .nullable()
    .describe('Share of completed jobs among those that completed or failed, from 0 to 1; null: none did.'),
  failureRate: z
    .number()
    .nullable()
    .describe('Share of failed jobs among those that completed or failed, from 0 to 1; null: none did.'),
  waitMs: spread('milliseconds').describe('Time from when a job was due to its claim, in milliseconds.'),
  runMs: spread('milliseconds').describe(
    "Time from the claim to the end of the attempt by the database's clock, in milliseconds.",
  ),
  cpuMs: z.number().describe('Processor time reported by runners, in milliseconds, summed over all attempts.'),
  memoryBytes: spread('bytes').describe(
    'Memory peaks of the attempts whose runners reported one, in bytes; their largest is `memoryPeakBytes`.',
  ),
  memoryPeakBytes: z
    .number()
    .nullable()
    .describe('The largest memory peak reported by a runner, in bytes; null: none was reported.'),
  cost: z.number().describe("Cost of all attempts, in the unit of the queues' prices."),
});
export type Statistics = z.infer<typeof statistics>;

export const analyticsQuery = z.strictObject({
  by: z.enum(['queue', 'type', 'user', 'runner']).default('queue').describe('What to group by.'),
  range: z.enum(['1h', '24h', '7d', '30d']).default('24h').describe('How far back to look.'),
  key: text(200)
    .optional()
    .describe('Restricts items and series to this queue, type, user or runner (as chosen with `by`).'),
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(500)
    .default(50)
    .describe('Largest number of items; those with the most finished work come first.'),
});
export type AnalyticsQuery = z.infer<typeof analyticsQuery>;

export const analytics = z.object({
  by: analyticsQuery.shape.by.describe('What the items are grouped by.'),
  range: analyticsQuery.shape.range.describe('The requested range.'),
  from: timestamp.describe(
    'Start of the range, aligned to a minute (`1h`), an hour (`24h`, `7d`) or a day in UTC (`30d`).',
  ),
  until: timestamp.describe(
    'End of the range: work that finished before this time is counted. It lags by a minute or two while more than 50,000 jobs finish in that time.',
  ),
  items: z
    .array(z.object({ key: z.string().describe('The queue, type, user or runner.'), ...statistics.shape }))
    .describe('Statistics of each queue, type, user or runner.'),
  omitted: z.int().describe('Number of keys left out because of `limit`.'),
  stepMs: z.int().describe('Length of one step of `series`, in milliseconds.'),
  series: z
    .array(z.object({ at: timestamp.describe('Start of the step.'), ...statistics.shape }))
    .describe('Statistics over time, of all keys together (those left out included) or of `key`.'),
});
export type Analytics = z.infer<typeof analytics>;

const load = {
  waiting: z.int().describe('Jobs that are pending or blocked, due or not.'),
  running: z.int().describe('Jobs that are running.'),
  oldestAgeMs: z
    .number()
    .nullable()
    .describe('How long the oldest due job has been waiting, in milliseconds; null: no job is due.'),
};

export const stats = z.object({
  at: timestamp.describe('When these numbers were read.'),
  jobs: z.record(jobStatus, z.int()).describe('Number of jobs by status, each counted up to 100,000.'),
  ...load,
  inPerMinute: z.int().describe('Jobs created in the last minute.'),
  outPerMinute: z.int().describe('Jobs finished in the last minute.'),
  deadLetters: z.int().describe('Failed jobs, counted up to 100,000.'),
  queues: z
    .array(
      z.object({
        name: z.string().describe('Name of the queue.'),
        ...load,
        inPerMinute: z.int().describe('Jobs created in this queue in the last minute.'),
        outPerMinute: z.int().describe('Jobs of this queue that finished in the last minute.'),
      }),
    )
    .describe('The busiest queues, at most 200.'),
  types: z
    .array(z.object({ type: z.string().describe('The job type.'), ...load }))
    .describe('The busiest job types, at most 200.'),
  runners: z
    .object({
      total: z.int().describe('Runners seen within the last minute.'),
      active: z.int().describe('Those that are running at least one job.'),
      idle: z.int().describe('Those that are running none.'),
    })
    .nullable()
    .describe('Runners seen within the last minute; null for a key of role `user`.'),
  lastHour: statistics.describe('What finished within the last hour.'),
});
export type Stats = z.infer<typeof stats>;
