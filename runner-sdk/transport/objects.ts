import { createHash } from 'node:crypto';
import { request as fetchObject } from 'undici';
import { type ObjectDownload, type ObjectReference, objectReference, type ObjectUpload } from '../protocol';
import { backoffMs, pause } from './backoff';
import { monotonicMs } from './clock';
import { BatonError } from './errors';
import type { Send } from './transport';

/** What is larger goes to the object store, if the coordinator has one: the contract's limit for a job. */
export const MOST_INLINE_BYTES = 262_144;

/** For how long a coordinator without an object store is not asked again. */
const NO_STORE_MS = 60_000;
const MOST_TRIES = 4;
const ANSWER_MS = 60_000;

/** Whether JSON text is too large for a job. */
export function isLarge(text: string): boolean {
  // No character takes more than three bytes, so most texts need not be counted.
  return text.length * 3 > MOST_INLINE_BYTES && Buffer.byteLength(text) > MOST_INLINE_BYTES;
}

/** The reference, if the value stands for one that is kept in the object store. */
export function referenceOf(value: unknown): ObjectReference['$object'] | null {
  if (typeof value !== 'object' || value === null || !('$object' in value)) return null;
  const read = objectReference.safeParse(value);
  return read.success ? read.data.$object : null;
}

/**
 * Keeps large payloads in the coordinator's object store. The coordinator signs the addresses; contents go to the store
 * and come from it directly, without a key, and not through the proxies that are set for the coordinator.
 */
export class Objects {
  private hasNoneUntilMs = -Infinity;

  constructor(private readonly send: Send) {}

  /** Stores a large payload. Null: the coordinator has no object store. */
  async store(text: string, signal?: AbortSignal): Promise<ObjectReference | null> {
    if (monotonicMs() < this.hasNoneUntilMs) return null;
    const content = Buffer.from(text);
    const body = { sha256: sha256Of(content), bytes: content.length };
    for (let tries = 1; ; tries += 1) {
      const reserved = await this.reserve(body, signal);
      if (reserved === null) return null;
      const { method, url, headers } = reserved.upload;
      const fault = await call({ method, url, headers, body: content }, signal);
      if (!(fault instanceof Error)) return reserved.reference;
      await this.pauseAfter(fault, tries, 'sent to', signal);
    }
  }

  /** The value itself, or what it refers to. */
  async read(value: unknown, signal?: AbortSignal): Promise<unknown> {
    const reference = referenceOf(value);
    if (reference === null) return value;
    for (let tries = 1; ; tries += 1) {
      const path = `/objects/${reference.id}`;
      const { url } = await this.send<ObjectDownload>({ method: 'GET', path, ...(signal && { signal }) });
      const content = await call({ method: 'GET', url, headers: {} }, signal);
      if (!(content instanceof Error) && sha256Of(content) === reference.sha256)
        return JSON.parse(content.toString('utf8')) as unknown;
      const fault = content instanceof Error ? content : new Error(`its content does not have its hash`);
      await this.pauseAfter(fault, tries, 'read from', signal);
    }
  }

  private async reserve(body: object, signal: AbortSignal | undefined): Promise<ObjectUpload | null> {
    try {
      return await this.send<ObjectUpload>({ method: 'POST', path: '/objects', body, ...(signal && { signal }) });
    } catch (error) {
      if (!(error instanceof BatonError) || error.code !== 'not_found') throw error;
      this.hasNoneUntilMs = monotonicMs() + NO_STORE_MS;
      return null;
    }
  }

  /** Throws when there have been enough tries. Addresses are signed anew for each. */
  private async pauseAfter(fault: Error, tries: number, what: string, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (tries >= MOST_TRIES)
      throw new BatonError({
        ...{ code: 'object_unreachable', status: 0, cause: fault },
        detail: `an object could not be ${what} the object store: ${fault.message}`,
      });
    await pause(backoffMs(tries), signal);
  }
}

interface Call {
  method: 'GET' | 'PUT';
  url: string;
  headers: Record<string, string>;
  body?: Buffer;
}

/** The content of the answer, or why there is none. */
async function call({ method, url, headers, body }: Call, signal?: AbortSignal): Promise<Buffer | Error> {
  try {
    const answer = await fetchObject(url, {
      ...{ method, headersTimeout: ANSWER_MS, bodyTimeout: ANSWER_MS, ...(signal && { signal }) },
      headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body }),
    });
    const content = Buffer.from(await answer.body.arrayBuffer());
    if (answer.statusCode < 300) return content;
    const code = /<Code>([^<]{1,100})<\/Code>/.exec(content.toString('utf8', 0, 1000))?.[1] ?? '';
    return new Error(`it answered ${answer.statusCode} ${code}`.trim());
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function sha256Of(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
