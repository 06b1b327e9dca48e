import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { badFile } from './faults';

/** Small, because cells name texts in any order, and each that is not kept costs a read of a block. */
const BLOCK_BYTES = 16 * 1024;
const MOST_BLOCKS = 1024;
const FLUSH_BYTES = 64 * 1024;
const OFFSET_BYTES = 8;

/**
 * The texts of a workbook, stored on disk, so that a million of them cost no memory. Read only after all are written.
 */
export class SharedStrings {
  private readonly texts: SpillFile;
  private readonly offsets: SpillFile;
  private count = 0;

  constructor(folder: string, mostBytes: number) {
    this.texts = new SpillFile(join(folder, 'texts'), mostBytes);
    this.offsets = new SpillFile(join(folder, 'offsets'), mostBytes);
  }

  add(text: string): void {
    const offset = Buffer.alloc(OFFSET_BYTES);
    offset.writeDoubleLE(this.texts.bytes);
    this.offsets.append(offset);
    this.texts.append(Buffer.from(text));
    this.count += 1;
  }

  /** Undefined: there is no such text. */
  get(index: number): string | undefined {
    if (!Number.isInteger(index) || index < 0 || index >= this.count) return undefined;
    const start = this.offset(index);
    const end = index + 1 === this.count ? this.texts.bytes : this.offset(index + 1);
    return this.texts.read(start, end - start).toString('utf8');
  }

  close(): void {
    this.texts.close();
    this.offsets.close();
  }

  private offset(index: number): number {
    return this.offsets.read(index * OFFSET_BYTES, OFFSET_BYTES).readDoubleLE();
  }
}

/** A file that is appended to, then read randomly through a cache of the most recently used blocks. */
class SpillFile {
  bytes = 0;
  private readonly handle: number;
  private pending: Buffer[] = [];
  private pendingBytes = 0;
  private readonly blocks = new Map<number, Buffer>();

  constructor(
    path: string,
    private readonly mostBytes: number,
  ) {
    this.handle = openSync(path, 'wx+', 0o600);
  }

  append(data: Buffer): void {
    this.pending.push(data);
    this.pendingBytes += data.length;
    this.bytes += data.length;
    if (this.bytes > this.mostBytes)
      throw badFile(`its texts have more than ${this.mostBytes} bytes (DATA_MOST_SPILL_MB)`);
    if (this.pendingBytes >= FLUSH_BYTES) this.flush();
  }

  read(start: number, length: number): Buffer {
    this.flush();
    const parts: Buffer[] = [];
    for (let at = start; at < start + length;) {
      const block = this.block(Math.floor(at / BLOCK_BYTES));
      const from = at % BLOCK_BYTES;
      const part = block.subarray(from, Math.min(block.length, from + start + length - at));
      parts.push(part);
      at += part.length;
    }
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }

  close(): void {
    closeSync(this.handle);
  }

  private block(number: number): Buffer {
    const kept = this.blocks.get(number);
    if (kept !== undefined) {
      // The map is ordered by last use.
      this.blocks.delete(number);
      this.blocks.set(number, kept);
      return kept;
    }
    const block = this.freeBlock();
    // Past the end of the file the block holds what was there before, which nobody asks for.
    readSync(this.handle, block, 0, BLOCK_BYTES, number * BLOCK_BYTES);
    this.blocks.set(number, block);
    return block;
  }

  /**
   * That of the least recently used, once there are enough: a new one each time would be garbage faster than it is
   * collected.
   */
  private freeBlock(): Buffer {
    const [oldest] = this.blocks;
    if (oldest === undefined || this.blocks.size < MOST_BLOCKS) return Buffer.allocUnsafeSlow(BLOCK_BYTES);
    this.blocks.delete(oldest[0]);
    return oldest[1];
  }

  private flush(): void {
    if (this.pendingBytes === 0) return;
    writeSync(this.handle, Buffer.concat(this.pending));
    this.pending = [];
    this.pendingBytes = 0;
  }
}
