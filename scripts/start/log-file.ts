import { closeSync, fstatSync, openSync, readSync, renameSync, statSync } from 'node:fs';

const LIMIT_BYTES = 10 * 1024 * 1024;
const POLL_MS = 250;

/**
 * A log file that a process writes and that is followed here. Not a pipe: a process that outlives its reader must still
 * be able to log.
 */
export class LogFile {
  private offset: number;
  private rest = '';
  private readonly timer: NodeJS.Timeout;

  /** @param onLine called for each line written from now on */
  constructor(
    readonly path: string,
    private readonly onLine: (line: string) => void,
  ) {
    if (sizeOf(path) > LIMIT_BYTES) renameSync(path, `${path}.1`);
    this.offset = sizeOf(path);
    this.timer = setInterval(() => this.read(), POLL_MS).unref();
  }

  /**
   * A descriptor for a process; the caller closes it. Only the owner can read the file, because it may contain keys.
   */
  open(): number {
    return openSync(this.path, 'a', 0o600);
  }

  /** Reads new content. */
  read(): void {
    const file = openSync(this.path, 'a+', 0o600);
    const buffer = Buffer.alloc(Math.max(0, fstatSync(file).size - this.offset));
    this.offset += readSync(file, buffer, 0, buffer.length, this.offset);
    closeSync(file);
    const lines = (this.rest + buffer.toString()).split('\n');
    this.rest = lines.pop() ?? '';
    for (const line of lines) this.onLine(line);
  }

  close(): void {
    clearInterval(this.timer);
    this.read();
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
