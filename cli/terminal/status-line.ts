import type { Cli } from '../cli';
import { cut } from './text';

const REDRAW_MS = 100;

/** One line on standard error that is redrawn in place; nothing where nobody sees it. */
export class StatusLine {
  readonly isShown: boolean;
  private drawnAt = -Infinity;
  private isDrawn = false;

  constructor(private readonly cli: Cli) {
    this.isShown = cli.terminal.streams.stderr.isTTY === true && !cli.isJson && cli.options.quiet !== true;
  }

  /** At most ten times a second, because a terminal far away is slow. `text` has no colours. */
  draw(text: () => string): void {
    const now = performance.now();
    if (!this.isShown || now - this.drawnAt < REDRAW_MS) return;
    this.drawnAt = now;
    this.isDrawn = true;
    const { streams } = this.cli.terminal;
    streams.stderr.write(`\r\u001b[K${cut(text(), (streams.stdout.columns ?? 80) - 1)}`);
  }

  clear(): void {
    if (this.isDrawn) this.cli.terminal.streams.stderr.write('\r\u001b[K');
    this.isDrawn = false;
  }
}
