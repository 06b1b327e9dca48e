import type { Readable } from 'node:stream';
import { NonRetryableError } from '@baton/runner-sdk';
import { shown } from './location';

/** What is known of a stored file. */
export interface Stat {
  /** Null when the server does not say. */
  bytes: number | null;
  modifiedAt: Date | null;
  contentType: string | null;
  /** Changes when the content does; empty when the server tells nothing by which to know. */
  version: string;
}

export interface Opened extends Stat {
  body: Readable;
}

export interface ReadOptions {
  signal?: AbortSignal | undefined;
  /** The first byte that is wanted. Default 0. */
  start?: number | undefined;
}

export interface WriteOptions {
  signal?: AbortSignal | undefined;
  contentType?: string | undefined;
  /** How many bytes there will be, where that is known. */
  bytes?: number | undefined;
}

export interface Listed extends Stat {
  /** Below the place that was listed, with `/`. */
  name: string;
  bytes: number;
}

/** One kind of storage. What is written is there in full, or not at all. */
export interface Backend<Place> {
  /** Null: there is nothing. */
  stat(place: Place, signal?: AbortSignal): Promise<Stat | null>;
  open(place: Place, options: ReadOptions): Promise<Opened>;
  /** Returns the number of bytes. */
  write(place: Place, source: AsyncIterable<Uint8Array>, options: WriteOptions): Promise<number>;
  /** All files below, folders of any depth included, in no certain order. */
  list(place: Place, signal?: AbortSignal): AsyncIterable<Listed>;
  /** False: there was nothing. */
  remove(place: Place): Promise<boolean>;
}

/** What another try will not find either. */
export function notFound(url: string): NonRetryableError {
  return new NonRetryableError(`there is no ${shown(url)}`, { code: 'storage_not_found' });
}

export function refused(url: string, reason: string): NonRetryableError {
  return new NonRetryableError(`${shown(url)} is refused: ${reason}`, { code: 'storage_refused' });
}

/** Where a kind of storage cannot do what is asked. */
export function unsupported(url: string, action: string): NonRetryableError {
  return new NonRetryableError(`${shown(url)} cannot be ${action}`, { code: 'storage_unsupported' });
}
