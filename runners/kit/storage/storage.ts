import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isUint8Array } from 'node:util/types';
import { NonRetryableError } from '@baton/runner-sdk';
import type { SettingsOf } from '../settings';
import {
  type Backend,
  type Listed,
  notFound,
  type Opened,
  type ReadOptions,
  type Stat,
  unsupported,
  type WriteOptions,
} from './backend';
import { FileBackend } from './files';
import { locate, type Location, shown, type WebLocation } from './location';
import { parseRoot, type Root } from './roots';
import { S3Backend } from './s3';
import type { storageSettings } from './settings';
import { WebBackend } from './web';

/** Data to write: bytes or text, whole or in pieces. */
export type Source = string | Uint8Array | Readable | AsyncIterable<Uint8Array | string>;

/**
 * Files by URL: `file:` below folders, `s3:`, and `https:`. A job reads and writes only below the roots of
 * `STORAGE_ROOTS`, and reads below those of `STORAGE_READ_ROOTS`. A file is complete or absent.
 *
 * Errors that a retry does not change are `NonRetryableError`s: `storage_bad_url`, `storage_outside_roots`,
 * `storage_not_found`, `storage_refused`, `storage_too_large`, `storage_unsupported`.
 */
export class Storage {
  private readonly writable: readonly Root[];
  private readonly readable: readonly Root[];
  private readonly backends: { file: FileBackend; s3: S3Backend; web: WebBackend };

  /** @param workFolder for uploads whose length is not known */
  constructor(settings: SettingsOf<typeof storageSettings>, workFolder: string) {
    this.writable = settings.STORAGE_ROOTS.map(rootOf);
    this.readable = [...this.writable, ...settings.STORAGE_READ_ROOTS.map(rootOf)];
    const judge = (url: string): WebLocation => this.judgeRedirect(url);
    this.backends = {
      file: new FileBackend(),
      s3: new S3Backend(settings),
      web: new WebBackend(judge, join(workFolder, 'uploads')),
    };
  }

  /** Null: there is no such file. */
  async stat(url: string, signal?: AbortSignal): Promise<Stat | null> {
    for (const location of locate(url, this.readable)) {
      const found = await this.backend(location).stat(location, signal);
      if (found !== null) return found;
    }
    return null;
  }

  async open(url: string, options: ReadOptions = {}): Promise<Opened> {
    const location = await this.find(url, options.signal);
    return this.backend(location).open(location, options);
  }

  /**
   * Reads all of a file into memory.
   * @throws {NonRetryableError} `storage_too_large` when it has more than `mostBytes`
   */
  async read(url: string, mostBytes: number, signal?: AbortSignal): Promise<Buffer> {
    const chunks: Buffer[] = [];
    const { body } = await this.open(url, { signal });
    for await (const chunk of body.compose(limit(url, mostBytes)) as AsyncIterable<Buffer>) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  /** Copies a file to this host. Returns the number of bytes. */
  async download(
    url: string,
    path: string,
    options: { signal?: AbortSignal; mostBytes?: number } = {},
  ): Promise<number> {
    const { signal, mostBytes = Infinity } = options;
    const { body } = await this.open(url, { signal });
    const target = createWriteStream(path);
    await pipeline(body, limit(url, mostBytes), target, { ...(signal && { signal }) });
    return target.bytesWritten;
  }

  /** Returns the number of bytes that were written. */
  async write(url: string, source: Source, options: WriteOptions = {}): Promise<number> {
    const location = this.writableLocation(url);
    const bytes = typeof source === 'string' || isUint8Array(source) ? Buffer.byteLength(source) : undefined;
    return this.backend(location).write(location, bytesOf(source), {
      ...(bytes !== undefined && { bytes }),
      ...options,
    });
  }

  /** Copies a file of this host. */
  async upload(url: string, path: string, options: WriteOptions = {}): Promise<number> {
    const { size: bytes } = await stat(path);
    return this.write(url, createReadStream(path), { ...options, bytes });
  }

  /**
   * The path of a writable file on this host, for what only a file system can do.
   * @throws {NonRetryableError} for a URL other than `file:`, or a missing file
   */
  async localPath(url: string): Promise<string> {
    const location = this.writableLocation(url);
    if (location.scheme !== 'file') throw unsupported(url, 'changed in its place');
    return this.backends.file.pathOf(location);
  }

  /** Throws when the URL may not be written, to check before the work is done. */
  requireWritable(url: string): void {
    this.writableLocation(url);
  }

  /** Throws when the URL may not be read, whether or not the file exists. */
  requireReadable(url: string): void {
    locate(url, this.readable);
  }

  /** All files below a folder of `file:` or a prefix of `s3:`, with their URLs, in no particular order. */
  async *list(url: string, signal?: AbortSignal): AsyncIterable<Listed & { url: string }> {
    const base = url.endsWith('/') || url === 'file:' ? url : `${url}/`;
    for (const location of locate(base === 'file:' ? 'file:.' : base, this.readable)) {
      let isEmpty = true;
      for await (const listed of this.backend(location).list(location, signal)) {
        isEmpty = false;
        yield { ...listed, url: base + (location.scheme === 'file' ? encodePath(listed.name) : listed.name) };
      }
      if (!isEmpty) return;
    }
  }

  /** False: it did not exist. */
  async remove(url: string): Promise<boolean> {
    const location = this.writableLocation(url);
    return this.backend(location).remove(location);
  }

  /** The first possible location of a URL at which a file exists. */
  private async find(url: string, signal?: AbortSignal): Promise<Location> {
    const [first, ...others] = locate(url, this.readable);
    // Reading shows whether it exists.
    if (others.length === 0) return first;
    for (const location of [first, ...others])
      if ((await this.backend(location).stat(location, signal)) !== null) return location;
    throw notFound(url);
  }

  private writableLocation(url: string): Location {
    return locate(url, this.writable)[0];
  }

  private judgeRedirect(url: string): WebLocation {
    const [location] = locate(url, this.readable);
    if (location.scheme !== 'web')
      throw new NonRetryableError(`${shown(url)} is no web address`, { code: 'storage_bad_url' });
    return location;
  }

  private backend<Place extends Location>({ scheme }: Place): Backend<Place> {
    return this.backends[scheme] as unknown as Backend<Place>;
  }
}

function rootOf(text: string): Root {
  const root = parseRoot(text);
  if (typeof root === 'string') throw new Error(`${text} ${root}`);
  return root;
}

async function* bytesOf(source: Source): AsyncIterable<Uint8Array> {
  if (typeof source === 'string' || isUint8Array(source)) yield Buffer.from(source);
  else
    for await (const chunk of source as AsyncIterable<Uint8Array | string>)
      yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
}

function limit(url: string, mostBytes: number): Transform {
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes <= mostBytes) return done(null, chunk);
      done(new NonRetryableError(`${shown(url)} has more than ${mostBytes} bytes`, { code: 'storage_too_large' }));
    },
  });
}

function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}
