import { z } from 'zod';
import { jobStatus } from './jobs';
import { text, timestamp } from './primitives';

/** In milliseconds, at most 4.77 % off; null: nothing to measure. */
const percentiles = z.object({ p50: z.number().nullable(), p95: z.number().nullable(), p99: z.number().nullable() });

/** What jobs and their attempts came to, all by when they ended. */
export const figures = z.object({
  /** Jobs by how they ended; one that was started again by hand ends again. */
  jobs: z.object({ completed: z.int(), failed: z.int(), cancelled: z.int() }),
  attempts: z.object({ completed: z.int(), failed: z.int(), timedOut: z.int(), released: z.int(), cancelled: z.int() }),
  /** Attempts that failed or timed out, and were followed by another. */
  retries: z.int(),
  /** Of the jobs that completed or failed, which share did; null: none did. */
  successRate: z.number().nullable(),
  failureRate: z.number().nullable(),
  /** From when it was due to its claim. */
  waitMs: percentiles,
  /** From the claim to the end of the attempt, by the database's clock. */
  runMs: percentiles.extend({ mean: z.number().nullable() }),
  /** As runners reported them: the sum, and the largest. */
  cpuMs: z.number(),
  memoryPeakBytes: z.number().nullable(),
  cost: z.number(),
});
export type Figures = z.infer<typeof figures>;

export const analyticsQuery = z.strictObject({
  by: z.enum(['queue', 'type', 'user', 'runner']).default('queue'),
  range: z.enum(['1h', '24h', '7d', '30d']).default('24h'),
  /** Only this queue, type, user or runner; the series is then its own. */
  key: text(200).optional(),
  /** The most items; those of which most ended come first. */
  limit: z.coerce.number().int().min(1).max(500).default(50),
});
export type AnalyticsQuery = z.infer<typeof analyticsQuery>;

export const analytics = z.object({
  by: analyticsQuery.shape.by,
  range: analyticsQuery.shape.range,
  /** The range as it was read: from the start of a minute (1h), an hour (24h, 7d) or a day in UTC (30d). */
  from: timestamp,
  /** What ended before is counted; a minute or two ago while more than 50,000 jobs end in that time. */
  until: timestamp,
  items: z.array(z.object({ key: z.string(), ...figures.shape })),
  /** How many keys are not among the items because of the limit. */
  omitted: z.int(),
  stepMs: z.int(),
  /** All keys together, those left out included, in steps of `stepMs`. */
  series: z.array(z.object({ at: timestamp, ...figures.shape })),
});
export type Analytics = z.infer<typeof analytics>;

const load = {
  /** Pending or blocked, due or not. */
  waiting: z.int(),
  running: z.int(),
  /** How long the longest due of those that wait has been due. */
  oldestAgeMs: z.number().nullable(),
};

export const stats = z.object({
  at: timestamp,
  /** By status, each counted up to 100,000. */
  jobs: z.record(jobStatus, z.int()),
  ...load,
  /** Jobs created, and jobs finished, in the last minute. */
  inPerMinute: z.int(),
  outPerMinute: z.int(),
  /** Failed jobs, up to 100,000. */
  deadLetters: z.int(),
  /** The busiest, at most 200 each. */
  queues: z.array(z.object({ name: z.string(), ...load, inPerMinute: z.int(), outPerMinute: z.int() })),
  types: z.array(z.object({ type: z.string(), ...load })),
  /** Heard within a minute: with a job in hand, or without. Null for a key of role `user`. */
  runners: z.object({ total: z.int(), active: z.int(), idle: z.int() }).nullable(),
  lastHour: figures,
});
export type Stats = z.infer<typeof stats>;
