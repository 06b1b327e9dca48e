/** The results of a run, as written by `--json`. */
export interface Results {
  machine: { cpu: string; cores: number; memoryGiB: number; system: string };
  versions: Record<string, string>;
  settings: Record<string, string>;
  /** ISO-8601. */
  at: string;
  scale: string;
  rounds: number;
  lines: LineResult[];
}

export interface LineResult {
  line: string;
  /** Name of the measure within the line; empty if it has only one. */
  measure: string;
  unit: string;
  /** The median of the rounds; null: the line was skipped. */
  value: number | null;
  /** All rounds, in order. */
  runs: number[];
  peers: Record<string, number>;
  /**
   * Compared with the best peer, or with itself under the easier condition, inverted where needed so that more is
   * better. Null: not compared.
   */
  ratio: number | null;
  /** The target: a ratio of at least this, or a value of at most this. */
  aim: Aim | null;
  isMet: boolean | null;
  note: string | null;
}

export type Aim = { ratio: number } | { most: number };

/** What one line measures. */
export interface Measure {
  name: string;
  unit: string;
  better: 'more' | 'less';
  aim: Aim | null;
  /** The measure of the same run for the easier condition. */
  against?: string;
}

/** The values of one run, by name of the measure. */
export type Sample = Record<string, number>;

function figureOf(sample: Sample, name: string): number[] {
  const figure = Object.hasOwn(sample, name) ? sample[name] : undefined;
  return figure === undefined ? [] : [figure];
}

export function judge(line: string, measure: Measure, ours: Sample[], peers: Record<string, Sample[]>): LineResult {
  const runs = ours.flatMap((sample) => figureOf(sample, measure.name));
  const value = median(runs);
  const peerValues = Object.fromEntries(
    Object.entries(peers).flatMap(([name, samples]) => {
      const values = samples.flatMap((sample) => figureOf(sample, measure.name));
      return values.length === 0 ? [] : [[name, rounded(median(values))]];
    }),
  );
  const reference =
    measure.against === undefined
      ? best(Object.values(peerValues), measure.better)
      : median(ours.flatMap((sample) => figureOf(sample, measure.against ?? '')));
  const ratio =
    reference === undefined || Number.isNaN(reference)
      ? null
      : measure.better === 'more'
        ? value / reference
        : reference / value;
  return {
    line,
    measure: measure.name,
    unit: measure.unit,
    value: rounded(value),
    runs: runs.map(rounded),
    peers: peerValues,
    ratio: ratio === null ? null : Math.round(ratio * 100) / 100,
    aim: measure.aim,
    isMet: isMet(measure.aim, value, ratio),
    note: null,
  };
}

export function skipped(line: string, note: string): LineResult {
  return { line, measure: '', unit: '', value: null, runs: [], peers: {}, ratio: null, aim: null, isMet: null, note };
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

export function percentile(values: number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
}

function isMet(aim: Aim | null, value: number, ratio: number | null): boolean | null {
  if (aim === null) return null;
  if ('most' in aim) return value <= aim.most;
  return ratio === null ? null : ratio >= aim.ratio;
}

function best(values: number[], better: 'more' | 'less'): number | undefined {
  if (values.length === 0) return undefined;
  return better === 'more' ? Math.max(...values) : Math.min(...values);
}

/** Three significant digits are more than such a measurement supports. */
function rounded(value: number): number {
  return Number.isFinite(value) && value !== 0 ? Number(value.toPrecision(3)) : value;
}
