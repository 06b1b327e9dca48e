import type { Cli } from '../../cli';
import { bar } from '../../terminal/bar';
import { cut, oneLine } from '../../terminal/text';

export interface ProgressLine {
  /** Whether the output is a terminal. */
  isShown: boolean;
  draw(percent: number, message: string | null): void;
  clear(): void;
}

/** One line on standard error that shows a job's progress, redrawn on every change. */
export function progressLine(cli: Cli): ProgressLine {
  const { streams } = cli.terminal;
  const isShown = streams.stderr.isTTY === true && !cli.isJson && cli.options.quiet !== true;
  let isDrawn = false;
  return {
    isShown,
    draw(percent, message) {
      if (!isShown) return;
      const text = `${bar(percent / 100, 24, cli.terminal.errorStyle)} ${percent} % `;
      const room = (streams.stdout.columns ?? 80) - 24 - ` ${percent} % `.length - 1;
      streams.stderr.write(`\r\u001b[K${text}${cut(oneLine(message ?? ''), Math.max(0, room))}`);
      isDrawn = true;
    },
    clear() {
      if (isDrawn) streams.stderr.write('\r\u001b[K');
      isDrawn = false;
    },
  };
}
