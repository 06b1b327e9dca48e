import type { Measure, Sample } from '../result';
import type { Bench } from '../rig/bench';

/** One line of the table. */
export interface Line {
  name: string;
  /** What it measures, in a sentence. */
  what: string;
  measures: Measure[];
  /** One run of Baton; a text says why the line cannot be run. */
  ours(bench: Bench): Promise<Sample | string>;
  peers: Record<string, (bench: Bench) => Promise<Sample>>;
  /** Also run without `--peers`: they need nothing that is not here. */
  bounds?: Record<string, (bench: Bench) => Promise<Sample>>;
}

/** Jobs of a second, from a run's own words. */
export function rate(count: number, { tookMs }: Record<string, unknown>): Sample {
  return { '': (count * 1000) / Number(tookMs) };
}
