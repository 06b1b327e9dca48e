import { NonRetryableError } from '@baton/runner-sdk';
import { PassThrough, type Readable, Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';

/** Decompresses by `content-encoding`; an unknown encoding is left as it is. */
export function decoder(encoding: string): Transform {
  switch (encoding.trim().toLowerCase()) {
    case 'gzip':
    case 'x-gzip':
      return createGunzip();
    case 'deflate':
      return createInflate();
    case 'br':
      return createBrotliDecompress();
    default:
      return new PassThrough();
  }
}

/** Passes all bytes through, counts them and keeps the first ones. */
export class Head extends Transform {
  private readonly chunks: Buffer[] = [];
  private kept = 0;
  bytes = 0;

  /** @throws {NonRetryableError} `http_answer_too_large` as soon as there are more than `mostBytes` */
  constructor(
    private readonly mostKept: number,
    private readonly mostBytes: number,
  ) {
    super();
  }

  get head(): Buffer {
    return Buffer.concat(this.chunks);
  }

  override _transform(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (error: Error | null, chunk?: Buffer) => void,
  ): void {
    const part = chunk.subarray(0, this.mostKept - this.kept);
    if (part.length > 0) this.chunks.push(part);
    this.kept += part.length;
    this.bytes += chunk.length;
    if (this.bytes <= this.mostBytes) return done(null, chunk);
    const message = `the answer has more than ${this.mostBytes} bytes`;
    done(new NonRetryableError(message, { code: 'http_answer_too_large' }));
  }
}

/** The head as UTF-8 text, without a character that its end cuts; null if it is not text. */
export function textOf(head: Buffer, isWhole: boolean): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(head, { stream: !isWhole });
  } catch {
    return null;
  }
}

export async function drain(stream: Readable): Promise<void> {
  for await (const _chunk of stream) continue;
}
