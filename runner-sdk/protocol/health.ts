import { z } from 'zod';
import { jobStatus } from './jobs';
import { timestamp } from './primitives';

export const alive = z.object({ status: z.literal('ok') });

export const readiness = z.object({
  status: z.enum(['ready', 'not_ready']),
  /** Why not, in words; empty when ready. */
  reasons: z.array(z.string()),
});
export type Readiness = z.infer<typeof readiness>;

export const health = z.object({
  status: z.enum(['ok', 'degraded']),
  version: z.string(),
  at: timestamp,
  uptimeMs: z.int(),
  database: z.object({ latencyMs: z.number(), version: z.string() }),
  /** How late the timeout monitor is: the time since its last full round, in milliseconds. */
  monitor: z.object({ lagMs: z.number().nullable() }),
  jobs: z.record(jobStatus, z.int()),
  /** Jobs that completed or failed, as far as figures are kept (90 days). */
  processed: z.int(),
  /** How long attempts that ended within the last hour ran; null: none did. */
  averageRunMs: z.number().nullable(),
  /** Types that a job was ever created of, at most 500. */
  types: z.array(z.string()),
  runners: z.object({ total: z.int(), active: z.int(), idle: z.int() }),
});
export type Health = z.infer<typeof health>;
