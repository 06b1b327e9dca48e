import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { badFile } from './faults';

const BLOCK_BYTES = 64 * 1024;
const MOST_BLOCKS = 256;
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
    if (this.pendingBytes >= BLOCK_BYTES) this.flush();
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
    const block = Buffer.alloc(Math.min(BLOCK_BYTES, this.bytes - number * BLOCK_BYTES));
    readSync(this.handle, block, 0, block.length, number * BLOCK_BYTES);
    this.blocks.set(number, block);
    if (this.blocks.size > MOST_BLOCKS) this.blocks.delete(this.blocks.keys().next().value as number);
    return block;
  }

  private flush(): void {
    if (this.pendingBytes === 0) return;
    writeSync(this.handle, Buffer.concat(this.pending));
    this.pending = [];
    this.pendingBytes = 0;
  }
}
