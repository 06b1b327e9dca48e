import { BIN_GROWTH } from '../../store/rollups/facts';

/** Durations in milliseconds, or memory in bytes, by bin, as rollups hold them. */
export interface Histogram {
  bins: number[];
  counts: number[];
}

/**
 * The smallest value that so many of a hundred are not above (nearest rank); null of an empty histogram. Off by at
 * most 4.77 %, and below 1 by at most a half: told is the point of the bin that is as far, in proportion, from its one
 * bound as from the other.
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

/** The largest share by which a percentile is off, above 1. */
export const MOST_ERROR = (BIN_GROWTH - 1) / (BIN_GROWTH + 1);

function middleOf(bin: number): number {
  if (bin === 0) return 0.5;
  return Math.round((2 * BIN_GROWTH ** bin * 1000) / (BIN_GROWTH + 1)) / 1000;
}
