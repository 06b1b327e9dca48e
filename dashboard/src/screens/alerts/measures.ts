import type { AlertMeasure } from '@baton/runner-sdk/protocol';
import { count, duration, percent } from '../../parts/format';

export const MEASURES: Record<AlertMeasure, string> = {
  failureRate: 'share of jobs that failed',
  depth: 'waiting jobs',
  oldestAgeMs: 'age of the oldest due job',
  deadLetters: 'jobs that failed for good',
  runnersLost: 'runners lost',
  monitorLagMs: 'lag of the timeout monitor',
};

/** A measurement in its unit. */
export function measured(measure: AlertMeasure, value: number | null): string {
  if (value === null) return 'nothing to measure';
  if (measure === 'failureRate') return percent(value);
  return measure.endsWith('Ms') ? duration(value) : count(value);
}
