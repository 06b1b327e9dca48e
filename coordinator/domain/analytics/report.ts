import type { Analytics, AnalyticsQuery, Statistics } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import * as views from '../../store/views/statistics';
import { type Histogram, percentile } from './percentiles';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** The length of each range, and its steps. */
const RANGES: Record<AnalyticsQuery['range'], { rangeMs: number; grain: views.Grain }> = {
  '1h': { rangeMs: HOUR_MS, grain: 'minute' },
  '24h': { rangeMs: DAY_MS, grain: 'hour' },
  '7d': { rangeMs: 7 * DAY_MS, grain: 'hour' },
  '30d': { rangeMs: 30 * DAY_MS, grain: 'day' },
};
const STEPS_MS: Record<views.Grain, number> = { minute: MINUTE_MS, hour: HOUR_MS, day: DAY_MS };

/** What ended within a range, by key and over time. For a user, only the user's own jobs. */
export async function analyse(
  context: Context,
  userId: string | null,
  { by, range, key, limit }: AnalyticsQuery,
): Promise<Analytics> {
  const { rangeMs, grain } = RANGES[range];
  const { from, until, rows, keys } = await views.statistics(context.db, userId, {
    by,
    key: key ?? null,
    grain,
    rangeMs,
    limit,
  });
  const items = rows.flatMap((row) => (row.key === null ? [] : [{ key: row.key, ...statisticsOf(row) }]));
  return {
    by,
    range,
    from: from.toISOString(),
    until: until.toISOString(),
    items,
    omitted: keys - items.length,
    stepMs: STEPS_MS[grain],
    series: seriesOf(rows, from, until, STEPS_MS[grain]),
  };
}

/** What ended within the last hour, in total, to the minute. */
export async function lastHour(context: Context, userId: string | null): Promise<Statistics> {
  const { rows } = await views.statistics(context.db, userId, {
    by: 'queue',
    key: null,
    grain: 'minute',
    rangeMs: HOUR_MS,
    limit: 0,
  });
  return statisticsOf(merged(rows));
}

export function statisticsOf(row: views.Sums): Statistics {
  const { jobsCompleted: completed, jobsFailed: failed, jobsCancelled: cancelled } = row;
  const ended = completed + failed;
  return {
    jobs: { completed, failed, cancelled },
    attempts: {
      completed,
      failed: row.attemptsFailed,
      timedOut: row.attemptsTimedOut,
      released: row.attemptsReleased,
      cancelled: row.attemptsCancelled,
    },
    retries: row.retries,
    successRate: ended === 0 ? null : completed / ended,
    failureRate: ended === 0 ? null : failed / ended,
    waitMs: spreadOf({ bins: row.waitBins, counts: row.waitCounts }, row.waitMs),
    runMs: spreadOf({ bins: row.runBins, counts: row.runCounts }, row.runMs),
    cpuMs: rounded(row.cpuMs),
    memoryBytes: memoryOf(row),
    memoryPeakBytes: row.memoryPeakBytes,
    cost: Math.round(row.cost * 1e9) / 1e9,
  };
}

/** A step for every minute, hour or day of the range, including those in which nothing ended. */
function seriesOf(rows: views.StatisticsRow[], from: Date, until: Date, stepMs: number): Analytics['series'] {
  const known = new Map(rows.flatMap((row) => (row.at === null ? [] : [[row.at.getTime(), row]])));
  const steps = Math.max(1, Math.ceil((until.getTime() - from.getTime()) / stepMs));
  return Array.from({ length: steps }, (_none, index) => {
    const at = from.getTime() + index * stepMs;
    return { at: new Date(at).toISOString(), ...statisticsOf(known.get(at) ?? NOTHING) };
  });
}

const NOTHING: views.Sums = {
  jobsCompleted: 0,
  jobsFailed: 0,
  jobsCancelled: 0,
  attemptsFailed: 0,
  attemptsTimedOut: 0,
  attemptsReleased: 0,
  attemptsCancelled: 0,
  retries: 0,
  waitMs: 0,
  runMs: 0,
  memoryBytes: 0,
  cpuMs: 0,
  memoryPeakBytes: null,
  cost: 0,
  waitBins: [],
  waitCounts: [],
  runBins: [],
  runCounts: [],
  memoryBins: [],
  memoryCounts: [],
};

function merged(rows: views.Sums[]): views.Sums {
  const sum = (value: (row: views.Sums) => number) => rows.reduce((total, row) => total + value(row), 0);
  const wait = mergedHistogram(rows.map(({ waitBins: bins, waitCounts: counts }) => ({ bins, counts })));
  const run = mergedHistogram(rows.map(({ runBins: bins, runCounts: counts }) => ({ bins, counts })));
  const memory = mergedHistogram(rows.map(({ memoryBins: bins, memoryCounts: counts }) => ({ bins, counts })));
  return {
    jobsCompleted: sum((row) => row.jobsCompleted),
    jobsFailed: sum((row) => row.jobsFailed),
    jobsCancelled: sum((row) => row.jobsCancelled),
    attemptsFailed: sum((row) => row.attemptsFailed),
    attemptsTimedOut: sum((row) => row.attemptsTimedOut),
    attemptsReleased: sum((row) => row.attemptsReleased),
    attemptsCancelled: sum((row) => row.attemptsCancelled),
    retries: sum((row) => row.retries),
    waitMs: sum((row) => row.waitMs),
    runMs: sum((row) => row.runMs),
    memoryBytes: sum((row) => row.memoryBytes),
    cpuMs: sum((row) => row.cpuMs),
    memoryPeakBytes: rows.reduce<number | null>(
      (most, { memoryPeakBytes }) => (memoryPeakBytes === null ? most : Math.max(most ?? 0, memoryPeakBytes)),
      null,
    ),
    cost: sum((row) => row.cost),
    waitBins: wait.bins,
    waitCounts: wait.counts,
    runBins: run.bins,
    runCounts: run.counts,
    memoryBins: memory.bins,
    memoryCounts: memory.counts,
  };
}

function mergedHistogram(histograms: Histogram[]): Histogram {
  const counts = new Map<number, number>();
  for (const one of histograms)
    for (const [index, bin] of one.bins.entries()) counts.set(bin, (counts.get(bin) ?? 0) + (one.counts[index] ?? 0));
  const sorted = [...counts].sort(([a], [b]) => a - b);
  return { bins: sorted.map(([bin]) => bin), counts: sorted.map(([, count]) => count) };
}

type Spread = Statistics['waitMs'];

function spreadOf(histogram: Histogram, sum: number): Spread {
  const attempts = histogram.counts.reduce((all, count) => all + count, 0);
  return {
    p50: percentile(histogram, 50),
    p95: percentile(histogram, 95),
    p99: percentile(histogram, 99),
    // Each time is in whole microseconds, and so is their sum, in whatever order it was added up.
    mean: attempts === 0 ? null : rounded(rounded(sum) / attempts),
  };
}

/** In whole bytes. A percentile is an estimate, but never exceeds the largest peak. */
function memoryOf({ memoryBins: bins, memoryCounts: counts, memoryBytes, memoryPeakBytes }: views.Sums): Spread {
  const { p50, p95, p99, mean } = spreadOf({ bins, counts }, memoryBytes);
  const whole = (bytes: number | null) => bytes && Math.min(Math.round(bytes), Math.round(memoryPeakBytes ?? Infinity));
  return { p50: whole(p50), p95: whole(p95), p99: whole(p99), mean: whole(mean) };
}

function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
