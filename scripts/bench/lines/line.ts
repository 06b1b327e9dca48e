import type { Measure, Sample } from '../result';
import type { Bench } from '../rig/bench';

/** One line of the table. */
export interface Line {
  name: string;
  /** What it measures, in one sentence. */
  what: string;
  measures: Measure[];
  /** One run of Baton; a text explains why the line cannot be run. */
  ours(bench: Bench): Promise<Sample | string>;
  peers: Record<string, (bench: Bench) => Promise<Sample>>;
  /** Also run without `--peers`, because they need nothing that must be installed. */
  bounds?: Record<string, (bench: Bench) => Promise<Sample>>;
}

/** Jobs per second, from a run's report. */
export function rate(count: number, { tookMs }: Record<string, unknown>): Sample {
  return { '': (count * 1000) / Number(tookMs) };
}
