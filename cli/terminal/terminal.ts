import type { Readable } from 'node:stream';
import type { WriteStream } from 'node:tty';
import type { Environment } from '../config';
import { coloured, plain, type Style } from './style';
import { type Column, tableLines } from './table';
import { jsonText } from './text';

export interface Streams {
  stdin: Readable & { isTTY?: boolean };
  stdout: NodeJS.WritableStream & Partial<Pick<WriteStream, 'isTTY' | 'columns' | 'rows'>>;
  stderr: NodeJS.WritableStream & Partial<Pick<WriteStream, 'isTTY'>>;
}

/** Writes the output of commands: results to standard output, everything else to standard error. */
export class Terminal {
  style: Style;
  errorStyle: Style;

  constructor(
    readonly streams: Streams,
    private readonly environment: Pick<Environment, 'colour' | 'columns'>,
  ) {
    this.style = this.wantsColour(streams.stdout.isTTY) ? coloured : plain;
    this.errorStyle = this.wantsColour(streams.stderr.isTTY) ? coloured : plain;
  }

  /** Whether the output is a terminal. */
  get isLive(): boolean {
    return this.streams.stdout.isTTY === true;
  }

  /** Most columns of a line; null: no limit, because no terminal would wrap it. */
  get width(): number | null {
    return this.isLive ? (this.streams.stdout.columns ?? 80) : (this.environment.columns ?? null);
  }

  withoutColour(): void {
    this.style = plain;
    this.errorStyle = plain;
  }

  line(text = ''): void {
    this.streams.stdout.write(`${text}\n`);
  }

  /** One document, for programs. */
  json(value: unknown): void {
    this.line(jsonText(value, 2));
  }

  /** One of many values, each on its own line. */
  jsonLine(value: unknown): void {
    this.line(jsonText(value));
  }

  table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): void {
    for (const line of tableLines(columns, rows, this.width, this.style)) this.line(line);
  }

  /** Writes to standard error: progress, warnings and questions, which must not be in results. */
  note(text: string): void {
    this.streams.stderr.write(`${text}\n`);
  }

  private wantsColour(isTerminal: boolean | undefined): boolean {
    if (this.environment.colour !== 'auto') return this.environment.colour === 'always';
    return isTerminal === true;
  }
}
