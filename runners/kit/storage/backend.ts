import type { Readable } from 'node:stream';
import { NonRetryableError } from '@baton/runner-sdk';
import { shown } from './location';

/** Metadata of a stored file. */
export interface Stat {
  /** Null when the server does not say. */
  bytes: number | null;
  modifiedAt: Date | null;
  contentType: string | null;
  /** Changes when the content does; empty when the server sends nothing to derive it from. */
  version: string;
}

export interface Opened extends Stat {
  body: Readable;
}

export interface ReadOptions {
  signal?: AbortSignal | undefined;
  /** The first byte to read. Default 0. */
  start?: number | undefined;
}

export interface WriteOptions {
  signal?: AbortSignal | undefined;
  contentType?: string | undefined;
  /** Number of bytes, if known. */
  bytes?: number | undefined;
}

export interface Listed extends Stat {
  /** Relative to the listed location, with `/`. */
  name: string;
  bytes: number;
}

/** One kind of storage. Writes are atomic: a file is complete or absent. */
export interface Backend<Place> {
  /** Null: it does not exist. */
  stat(place: Place, signal?: AbortSignal): Promise<Stat | null>;
  open(place: Place, options: ReadOptions): Promise<Opened>;
  /** Returns the number of bytes. */
  write(place: Place, source: AsyncIterable<Uint8Array>, options: WriteOptions): Promise<number>;
  /** All files below, in folders of any depth, in no particular order. */
  list(place: Place, signal?: AbortSignal): AsyncIterable<Listed>;
  /** False: it did not exist. */
  remove(place: Place): Promise<boolean>;
}

/** The error for a missing file, which a retry would not find either. */
export function notFound(url: string): NonRetryableError {
  return new NonRetryableError(`there is no ${shown(url)}`, { code: 'storage_not_found' });
}

export function refused(url: string, reason: string): NonRetryableError {
  return new NonRetryableError(`${shown(url)} is refused: ${reason}`, { code: 'storage_refused' });
}

/** The error for an action that a kind of storage does not support. */
export function unsupported(url: string, action: string): NonRetryableError {
  return new NonRetryableError(`${shown(url)} cannot be ${action}`, { code: 'storage_unsupported' });
}
