import { bar } from '../../../terminal/bar';
import { countText } from '../../../terminal/numbers';
import { plain } from '../../../terminal/style';
import { durationText } from '../../../terminal/time';

const BAR_WIDTH = 20;
/** The rate is that of so many milliseconds at the end. */
const WINDOW_MS = 10_000;

export interface Progress {
  rows: number;
  refused: number;
  bytes: number;
}

/** How fast an import goes, and how long it will take. */
export class Meter {
  private readonly samples: { atMs: number; rows: number; bytes: number }[];

  /** @param totalBytes null: not known */
  constructor(
    private readonly totalBytes: number | null,
    start: Progress,
    startedAtMs: number,
  ) {
    this.samples = [{ atMs: startedAtMs, rows: start.rows, bytes: start.bytes }];
  }

  /** Bar, share, rows, rate and time left, in one line. */
  text({ rows, refused, bytes }: Progress, atMs: number): string {
    this.samples.push({ atMs, rows, bytes });
    while (this.samples.length > 2 && atMs - (this.samples[0]?.atMs ?? atMs) > WINDOW_MS) this.samples.shift();
    const [oldest = { atMs, rows, bytes }] = this.samples;
    const seconds = (atMs - oldest.atMs) / 1000;
    const rate = seconds > 0 ? (rows - oldest.rows) / seconds : 0;
    const share = this.totalBytes === null || this.totalBytes === 0 ? null : Math.min(1, bytes / this.totalBytes);
    const speed = seconds > 0 ? (bytes - oldest.bytes) / seconds : 0;
    const leftMs = this.totalBytes === null || speed <= 0 ? null : ((this.totalBytes - bytes) / speed) * 1000;
    return [
      ...(share === null ? [] : [`${bar(share, BAR_WIDTH, plain)} ${Math.floor(share * 100)} %`]),
      `${countText(rows)} rows`,
      ...(refused === 0 ? [] : [`${countText(refused)} refused`]),
      ...(rate > 0 ? [`${countText(Math.round(rate))}/s`] : []),
      ...(leftMs === null || leftMs < 1000 ? [] : [`${durationText(leftMs)} left`]),
    ].join('  ');
  }
}
