import { BIN_GROWTH } from '../../store/rollups/facts';

/** Durations in milliseconds, or memory in bytes, by bin, as in rollups. */
export interface Histogram {
  bins: number[];
  counts: number[];
}

/**
 * The nearest-rank percentile; null for an empty histogram. The error is at most 4.77 %, and below 1 at most one half:
 * the result is the point of the bin that is in proportion equally far from its two bounds.
 */
export function percentile({ bins, counts }: Histogram, percent: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  const rank = Math.max(1, Math.ceil((total * percent) / 100));
  let passed = 0;
  for (const [index, bin] of bins.entries()) {
    passed += counts[index] ?? 0;
    if (passed >= rank) return middleOf(bin);
  }
  return null;
}

/** The largest relative error of a percentile above 1. */
export const MOST_ERROR = (BIN_GROWTH - 1) / (BIN_GROWTH + 1);

function middleOf(bin: number): number {
  if (bin === 0) return 0.5;
  return Math.round((2 * BIN_GROWTH ** bin * 1000) / (BIN_GROWTH + 1)) / 1000;
}
