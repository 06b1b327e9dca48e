import { type Sql, sql } from '../db';

/**
 * What an attempt of job `j` that ends now is measured by: as its runner reported it, and with what it costs, if its queue has
 * prices. While no queue has any, the reported metrics themselves, so that it costs nothing. An attempt that ends before
 * it began, because the transaction that ends it did, lasted no time.
 */
export function metricsWithCost(isPriced: boolean, metrics: Sql): Sql {
  if (!isPriced) return metrics;
  return sql`COALESCE((
    SELECT json_build_object('durationMs', ${metrics} -> 'durationMs', 'cpuMs', ${metrics} -> 'cpuMs', 'memoryPeakBytes', ${metrics} -> 'memoryPeakBytes',
      'custom', ${metrics} -> 'custom', 'cost',
      round((q.cost_base + p.seconds * (q.cost_per_second + q.cost_per_gb_second * COALESCE((${metrics} ->> 'memoryPeakBytes')::float8, 0) / 1e9))::numeric, 9)::float8)
    FROM queues q, (SELECT GREATEST(0, extract(epoch FROM now() - j.started_at)::float8) AS seconds) p
    WHERE q.name = j.queue AND q.cost_base IS NOT NULL), ${metrics})`;
}
