import { type FileHandle, mkdir, open } from 'node:fs/promises';
import path from 'node:path';

/**
 * An NDJSON file that survives a kill. Everything is written at a known position, never appended: if a runner that lost
 * its job wakes up late, it writes the same bytes again instead of adding them.
 */
export class NdjsonOutput {
  private constructor(
    private readonly handle: FileHandle,
    private position: number,
  ) {}

  /** Creates a new file, replacing an existing one; missing directories are created. */
  static async create(file: string): Promise<NdjsonOutput> {
    await mkdir(path.dirname(file), { recursive: true });
    return new NdjsonOutput(await open(file, 'w'), 0);
  }

  /**
   * Continues after the first `bytes` of a file and truncates the rest. Null when the file is missing, shorter, or has
   * no line end there, for example on another host than the one that wrote it.
   */
  static async resume(file: string, bytes: number): Promise<NdjsonOutput | null> {
    const handle = await open(file, 'r+').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    });
    if (handle === null) return null;
    try {
      const { bytesRead, buffer } = await handle.read({ buffer: Buffer.alloc(1), position: bytes - 1 });
      if (bytesRead === 1 && buffer[0] === END_OF_LINE) {
        await handle.truncate(bytes);
        return new NdjsonOutput(handle, bytes);
      }
    } catch (error) {
      await handle.close();
      throw error;
    }
    await handle.close();
    return null;
  }

  /** Bytes written, from the start of the file. */
  get bytes(): number {
    return this.position;
  }

  async write(line: object): Promise<void> {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await this.handle.write(bytes, done, bytes.length - done, this.position + done);
      done += bytesWritten;
    }
    this.position += bytes.length;
  }

  /** Resolves when everything written is on disk. */
  async sync(): Promise<void> {
    await this.handle.sync();
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}

const END_OF_LINE = 0x0a;
