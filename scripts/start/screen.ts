/**
 * Writes to the terminal: permanent lines, and below them a block that is redrawn. Without a terminal the block is not
 * drawn, except for what `settle` leaves of it.
 */
export class Screen {
  readonly isLive = process.stdout.isTTY;
  private readonly hasColours = this.isLive && process.stdout.hasColors() && !process.env['NO_COLOR'];
  private block: string[] = [];

  /** A permanent line above the block. */
  line(text = ''): void {
    this.erase();
    process.stdout.write(`${text}\n`);
    this.write(this.block);
  }

  /** Redraws the block. */
  draw(lines: string[]): void {
    if (!this.isLive) return;
    this.erase();
    this.block = lines;
    this.write(lines);
  }

  /** Replaces the block with these permanent lines. */
  settle(lines: string[] = []): void {
    this.erase();
    this.block = [];
    for (const text of lines) process.stdout.write(`${text}\n`);
  }

  bold(text: string): string {
    return this.styled(text, 1, 22);
  }

  dim(text: string): string {
    return this.styled(text, 2, 22);
  }

  green(text: string): string {
    return this.styled(text, 32, 39);
  }

  red(text: string): string {
    return this.styled(text, 31, 39);
  }

  yellow(text: string): string {
    return this.styled(text, 33, 39);
  }

  bar(fraction: number, width = 24): string {
    const full = Math.round(Math.min(1, Math.max(0, fraction)) * width);
    const rest = this.hasColours ? '━' : '·';
    return `${this.green('━'.repeat(full))}${this.dim(rest.repeat(width - full))}`;
  }

  private styled(text: string, on: number, off: number): string {
    return this.hasColours ? `\u001b[${on}m${text}\u001b[${off}m` : text;
  }

  private write(lines: string[]): void {
    const width = process.stdout.columns || 80;
    for (const text of lines) process.stdout.write(`${cut(text, width - 1)}\n`);
  }

  private erase(): void {
    if (this.block.length > 0) process.stdout.write(`\u001b[${this.block.length}A\u001b[0J`);
  }
}

/** Cuts to this many visible characters, because `erase` would count a wrapped line as one. */
function cut(text: string, width: number): string {
  let visible = 0;
  return text.replace(/(\u001b\[\d+m)|./gu, (match, style?: string) => {
    if (style !== undefined) return style;
    visible += 1;
    return visible <= width ? match : '';
  });
}
