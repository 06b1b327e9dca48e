import type { Json, LogLevel, SentLogLine } from '../protocol';

/** A log line with the monotonic time at which it was written. */
export interface TimedLine {
  level: LogLevel;
  message: string;
  fields?: Json;
  atMs: number;
}

/** Most lines in one call. */
export const LINES_PER_CALL = 1000;
const LINE_LENGTH = 8000;

/**
 * The unsent log lines of one attempt, in order. When it is full the oldest lines are dropped, and a line in their
 * place says how many.
 */
export class LogBuffer {
  private lines: TimedLine[] = [];
  private dropped = 0;
  private droppedAtMs = 0;

  constructor(private readonly maxLines = LINES_PER_CALL - 1) {}

  get isEmpty(): boolean {
    return this.lines.length === 0 && this.dropped === 0;
  }

  add(line: TimedLine): void {
    this.lines.push(
      line.message.length <= LINE_LENGTH ? line : { ...line, message: `${line.message.slice(0, LINE_LENGTH)}… (cut)` },
    );
    if (this.lines.length > this.maxLines * 2) this.trim();
  }

  addAll(lines: readonly TimedLine[]): void {
    for (const line of lines) this.add(line);
  }

  /** Takes lines out: at most those of one call, the line about dropped ones first. */
  takeAll(): TimedLine[] {
    this.trim();
    const lines = this.dropped === 0 ? this.lines : [this.mark(), ...this.lines];
    this.lines = [];
    this.dropped = 0;
    return lines;
  }

  /** Puts lines back in front, after a call that did not arrive. */
  putBack(lines: readonly TimedLine[]): void {
    this.lines = [...lines, ...this.lines];
    this.trim();
  }

  private trim(): void {
    const over = this.lines.length - this.maxLines;
    if (over <= 0) return;
    this.droppedAtMs = this.lines[over - 1]?.atMs ?? this.droppedAtMs;
    this.lines = this.lines.slice(over);
    this.dropped += over;
  }

  private mark(): TimedLine {
    return {
      level: 'warn',
      message: `(${this.dropped} log lines dropped here: more than ${this.maxLines} were waiting to be sent)`,
      atMs: this.droppedAtMs,
    };
  }
}

/** Lines as they are sent: their age instead of a time, since two machines' clocks are never compared. */
export function sentLines(lines: readonly TimedLine[], nowMs: number): SentLogLine[] {
  return lines.map(({ atMs, ...line }) => ({
    ...line,
    ageMs: Math.min(86_400_000, Math.max(0, Math.round(nowMs - atMs))),
  }));
}
