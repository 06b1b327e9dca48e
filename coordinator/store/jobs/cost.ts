import { type Sql, sql } from '../db';

/**
 * Metrics of the attempt of job `j` that ends now: as its runner reported them, with its cost if the queue has prices.
 * While no queue has prices these are the reported metrics themselves, which costs nothing. An attempt that ends before
 * it began, because the ending transaction began earlier, has a duration of 0.
 */
export function metricsWithCost(isPriced: boolean, metrics: Sql): Sql {
  if (!isPriced) return metrics;
  return sql`COALESCE((
    SELECT json_build_object('durationMs', ${metrics} -> 'durationMs', 'cpuMs', ${metrics} -> 'cpuMs',
      'memoryPeakBytes', ${metrics} -> 'memoryPeakBytes',
      'custom', ${metrics} -> 'custom', 'cost',
      round((q.cost_base + p.seconds * (q.cost_per_second + q.cost_per_gb_second * COALESCE((${metrics} ->> 'memoryPeakBytes')::float8, 0) / 1e9))::numeric, 9)::float8)
    FROM queues q, (SELECT GREATEST(0, extract(epoch FROM now() - j.started_at)::float8) AS seconds) p
    WHERE q.name = j.queue AND q.cost_base IS NOT NULL), ${metrics})`;
}
