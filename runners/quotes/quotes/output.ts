import { type FileHandle, mkdir, open } from 'node:fs/promises';
import path from 'node:path';

/**
 * An NDJSON file that survives a kill. Everything is written at a position it keeps count of, never appended: should a
 * runner that lost its job wake up late, it writes the bytes that are there already instead of adding them again.
 */
export class NdjsonOutput {
  private constructor(
    private readonly handle: FileHandle,
    private position: number,
  ) {}

  /** Begins a new file, in place of any there is; missing directories are made. */
  static async create(file: string): Promise<NdjsonOutput> {
    await mkdir(path.dirname(file), { recursive: true });
    return new NdjsonOutput(await open(file, 'w'), 0);
  }

  /**
   * Goes on after the first `bytes` of a file and cuts off what follows. Null when the file is missing, shorter, or has
   * no end of line there, as on another host than the one that wrote it.
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

  /** Bytes written, from the beginning of the file. */
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

  /** Resolves when all that was written is on the disk. */
  async sync(): Promise<void> {
    await this.handle.sync();
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}

const END_OF_LINE = 0x0a;
