import { StringDecoder } from 'node:string_decoder';

/** Splits bytes into UTF-8 lines. The rest of a line longer than `mostBytes` is dropped. */
export class LineSplitter {
  private readonly decoder = new StringDecoder('utf8');
  private line = '';

  constructor(
    private readonly onLine: (line: string) => void,
    private readonly mostLength: number,
  ) {}

  push(chunk: Buffer): void {
    const parts = this.decoder.write(chunk).split('\n');
    for (const [index, part] of parts.entries()) {
      if (index > 0) this.flush();
      this.line += part.slice(0, Math.max(0, this.mostLength - this.line.length));
    }
  }

  /** Text after the last line break is a line too. */
  end(): void {
    this.line += this.decoder.end();
    if (this.line !== '') this.flush();
  }

  private flush(): void {
    const line = this.line.endsWith('\r') ? this.line.slice(0, -1) : this.line;
    this.line = '';
    this.onLine(line);
  }
}

/** Keeps the last bytes of what is written to it. */
export class Tail {
  private chunks: Buffer[] = [];
  private bytes = 0;

  constructor(private readonly mostBytes: number) {}

  push(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.bytes += chunk.length;
    while (this.bytes - (this.chunks[0]?.length ?? 0) >= this.mostBytes && this.chunks.length > 1)
      this.bytes -= this.chunks.shift()?.length ?? 0;
  }

  toString(): string {
    const all = Buffer.concat(this.chunks);
    return all.subarray(Math.max(0, all.length - this.mostBytes)).toString('utf8');
  }
}
