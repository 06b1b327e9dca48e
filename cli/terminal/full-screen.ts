import { emitKeypressEvents } from 'node:readline';
import type { ReadStream } from 'node:tty';
import { Failure } from '../exit-codes';
import type { Streams } from './terminal';

/** A pressed key: its name such as `up` or `return`, or the character. */
export type OnKey = (key: string) => void;

/** A second screen without history, and without a cursor. */
const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const REST_OF_LINE = '\u001b[K';
const REST_OF_SCREEN = '\u001b[J';

/**
 * The whole terminal, until `close`. However the process ends, short of SIGKILL, the terminal is left as it was:
 * its former content, its cursor, and keys that are shown as they are typed.
 */
export class FullScreen {
  private readonly stdin: ReadStream;
  private readonly restore = (): void => this.close();
  private isOpen = true;

  /** @throws {Failure} where there is no terminal */
  constructor(
    private readonly streams: Streams,
    private readonly onKey: OnKey,
    private readonly onResize: () => void,
  ) {
    const { stdin, stdout } = streams;
    if (stdin.isTTY !== true || stdout.isTTY !== true)
      throw new Failure('usage', 'this needs a terminal', 'For a program or a file there is baton stats.');
    this.stdin = stdin as ReadStream;
    process.once('exit', this.restore);
    stdout.write(ENTER);
    emitKeypressEvents(this.stdin);
    this.stdin.setRawMode(true);
    this.stdin.on('keypress', this.pressed);
    this.stdin.resume();
    stdout.on('resize', this.onResize);
  }

  get size(): { columns: number; rows: number } {
    const { columns = 80, rows = 24 } = this.streams.stdout;
    return { columns, rows };
  }

  /** Replaces the content; lines that are missing are empty. No line may be wider than the screen. */
  draw(lines: readonly string[]): void {
    if (!this.isOpen) return;
    const shown = lines.slice(0, this.size.rows).map((line) => line + REST_OF_LINE);
    this.streams.stdout.write(HOME + shown.join('\r\n') + REST_OF_SCREEN);
  }

  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    process.off('exit', this.restore);
    this.stdin.off('keypress', this.pressed);
    this.streams.stdout.off('resize', this.onResize);
    this.stdin.setRawMode(false);
    this.stdin.pause();
    this.streams.stdout.write(LEAVE);
  }

  private readonly pressed = (text: string | undefined, key: { name?: string; ctrl?: boolean }): void => {
    // Raw mode makes no signal of it.
    if (key.ctrl === true && key.name === 'c') process.kill(process.pid, 'SIGINT');
    else if (key.ctrl !== true) this.onKey(NAMED.has(key.name ?? '') ? (key.name ?? '') : (text ?? ''));
  };
}

const NAMED: ReadonlySet<string> = new Set([
  ...['up', 'down', 'left', 'right', 'return', 'escape', 'tab', 'backspace', 'pageup', 'pagedown', 'home', 'end'],
]);
