import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { RetryAfterError } from '@baton/runner-sdk';
import { checkedConnector } from '@baton/url-policy';
import { Agent, type Dispatcher, request } from 'undici';
import { retryAfterMs } from '../retry-after';
import {
  type Backend,
  notFound,
  type Opened,
  type ReadOptions,
  refused,
  type Stat,
  unsupported,
  type WriteOptions,
} from './backend';
import { PUBLIC_ONLY, shown, type WebLocation } from './location';

const CONNECT_MS = 10_000;
const ANSWER_MS = 60_000;
const SILENCE_MS = 60_000;
const MOST_REDIRECTS = 5;

/** Files of web servers: read with GET, written with PUT, for example to URLs signed for one upload. */
export class WebBackend implements Backend<WebLocation> {
  private readonly trusted = new Agent({ connectTimeout: CONNECT_MS });
  private readonly untrusted = new Agent({ connect: checkedConnector(PUBLIC_ONLY, CONNECT_MS) });

  /**
   * @param judge returns the location of a redirect; throws when it may not be read
   * @param folder for uploads until their length is known
   */
  constructor(
    private readonly judge: (url: string) => WebLocation,
    private readonly folder: string,
  ) {}

  async stat(place: WebLocation, signal?: AbortSignal): Promise<Stat | null> {
    const answer = await this.call(place, 'HEAD', signal);
    await answer.body.dump();
    if (answer.statusCode === 404 || answer.statusCode === 410) return null;
    requireGood(place.url, answer);
    return statOf(answer);
  }

  async open(place: WebLocation, { signal, start = 0 }: ReadOptions): Promise<Opened> {
    const answer = await this.call(place, 'GET', signal, start === 0 ? {} : { range: `bytes=${start}-` });
    if (answer.statusCode >= 300) await answer.body.dump();
    requireGood(place.url, answer);
    const isPart = answer.statusCode === 206;
    const stat = statOf(answer);
    const bytes = stat.bytes === null ? null : stat.bytes + (isPart ? start : 0);
    return { ...stat, bytes, body: start === 0 || isPart ? answer.body : skip(answer.body, start) };
  }

  /** Spooled first when its length is unknown, because upload servers require it. */
  async write(place: WebLocation, source: AsyncIterable<Uint8Array>, options: WriteOptions): Promise<number> {
    if (options.bytes !== undefined) return this.put(place, source, { ...options, bytes: options.bytes });
    const file = join(this.folder, `upload-${randomUUID()}`);
    try {
      await mkdir(this.folder, { recursive: true });
      const target = (await open(file, 'wx')).createWriteStream();
      await pipeline(source, target, { ...(options.signal && { signal: options.signal }) });
      return await this.put(place, createReadStream(file), { ...options, bytes: target.bytesWritten });
    } finally {
      await rm(file, { force: true });
    }
  }

  list(place: WebLocation): AsyncIterable<never> {
    throw unsupported(place.url, 'listed: a web server has no folders');
  }

  async remove(place: WebLocation): Promise<boolean> {
    const answer = await this.call(place, 'DELETE');
    await answer.body.dump();
    if (answer.statusCode === 404 || answer.statusCode === 410) return false;
    requireGood(place.url, answer);
    return true;
  }

  private async put(
    { url, isTrusted }: WebLocation,
    source: AsyncIterable<Uint8Array>,
    { bytes, contentType, signal }: WriteOptions & { bytes: number },
  ): Promise<number> {
    const answer = await request(url, {
      ...{ method: 'PUT', dispatcher: this.agent(isTrusted), body: source as unknown as Readable },
      ...{ headersTimeout: ANSWER_MS, bodyTimeout: SILENCE_MS },
      ...(signal && { signal }),
      headers: { 'content-length': String(bytes), ...(contentType !== undefined && { 'content-type': contentType }) },
    });
    await answer.body.dump();
    requireGood(url, answer);
    return bytes;
  }

  private async call(
    place: WebLocation,
    method: 'GET' | 'HEAD' | 'DELETE',
    signal?: AbortSignal,
    headers: Record<string, string> = {},
  ): Promise<Dispatcher.ResponseData> {
    let at = place;
    for (let redirects = 0; ; redirects += 1) {
      const answer = await request(at.url, {
        ...{ method, headers, dispatcher: this.agent(at.isTrusted) },
        ...{ headersTimeout: ANSWER_MS, bodyTimeout: SILENCE_MS },
        ...(signal && { signal }),
      });
      const { location } = answer.headers;
      if (![301, 302, 303, 307, 308].includes(answer.statusCode) || typeof location !== 'string') return answer;
      await answer.body.dump();
      if (method === 'DELETE' || redirects === MOST_REDIRECTS)
        throw refused(place.url, `it was redirected ${redirects === 0 ? '' : 'too often, last '}to ${shown(location)}`);
      at = this.judge(new URL(location, at.url).href);
    }
  }

  private agent(isTrusted: boolean): Agent {
    return isTrusted ? this.trusted : this.untrusted;
  }
}

/** Throws the error that the answer means for the job: refusals are final, the rest is retried. */
function requireGood(url: string, { statusCode, headers }: Dispatcher.ResponseData): void {
  if (statusCode >= 200 && statusCode < 300) return;
  if (statusCode === 404 || statusCode === 410) throw notFound(url);
  const answer = `${shown(url)} answered ${statusCode}`;
  const waitMs = retryAfterMs(headers);
  if ((statusCode === 429 || statusCode === 503) && waitMs !== null) throw new RetryAfterError(waitMs, answer);
  if (statusCode >= 500 || statusCode === 429 || statusCode === 408) throw new Error(answer);
  throw refused(url, `the server answered ${statusCode}`);
}

function statOf({ headers, statusCode }: Dispatcher.ResponseData): Stat {
  const length = text(headers['content-length']);
  const modified = Date.parse(text(headers['last-modified']));
  const etag = text(headers['etag']);
  // For a compressed answer, neither length nor tag are those of the file.
  const isEncoded = text(headers['content-encoding']) !== '' && text(headers['content-encoding']) !== 'identity';
  return {
    bytes: !isEncoded && /^\d+$/.test(length) && statusCode < 300 ? Number(length) : null,
    modifiedAt: Number.isNaN(modified) ? null : new Date(modified),
    contentType: text(headers['content-type']) || null,
    version: etag || text(headers['last-modified']),
  };
}

function text(value: string | string[] | undefined): string {
  return Array.isArray(value) ? (value[0] ?? '') : (value ?? '');
}

/** For servers that do not support ranges. */
function skip(body: Readable, bytes: number): Readable {
  let left = bytes;
  return body.flatMap((chunk: Buffer) => {
    const rest = chunk.subarray(Math.min(left, chunk.length));
    left -= chunk.length - rest.length;
    return rest.length === 0 ? [] : [rest];
  });
}
