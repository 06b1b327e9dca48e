import { inspect, types } from 'node:util';
import { NonRetryableError, RetryAfterError } from '@baton/runner-sdk';
import { request } from 'undici';
import type { TmdbConfig } from '../config';
import type { Film } from './job';
import { errorReply, movieReply, toFilm } from './reply';

const MAX_REPLY_BYTES = 8 * 1024 * 1024;
const DEFAULT_RETRY_AFTER_MS = 10_000;
const MAX_RETRY_AFTER_MS = 24 * 3_600_000;

interface Reply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

/** A client of The Movie Database, version 3. */
export class TmdbClient {
  constructor(private readonly config: TmdbConfig) {}

  /**
   * Fetches a film with its cast and crew in one call.
   * @param signal ends the call early
   * @throws {RetryAfterError} on 429, with the wait that the answer asks for
   * @throws {NonRetryableError} on 404, on a refused key and on any other answer that another try would not change
   * @throws {Error} on 5xx, a broken or silent connection, or an answer that is not JSON: worth another try
   */
  async movie(movieId: number, signal: AbortSignal): Promise<Film> {
    const path = `/movie/${movieId}`;
    const reply = await this.get(path, { append_to_response: 'credits' }, signal);
    if (reply.status !== 200) throw this.refusal(path, reply);
    const parsed = movieReply.safeParse(parseJson(path, reply));
    if (parsed.success) return toFilm(parsed.data);
    const issue = parsed.error.issues[0];
    const detail = `${issue?.path.join('.')}: ${issue?.message}`;
    throw new NonRetryableError(`The Movie Database answered ${path} in another shape than documented: ${detail}`, {
      code: 'tmdb_unexpected_reply',
    });
  }

  private async get(path: string, query: Record<string, string>, signal: AbortSignal): Promise<Reply> {
    const { baseUrl, apiKey, timeoutMs } = this.config;
    const url = new URL(`${baseUrl.replace(/\/+$/, '')}${path}`);
    const headers: Record<string, string> = { accept: 'application/json' };
    if (isAccessToken(apiKey)) headers.authorization = `Bearer ${apiKey}`;
    else query = { ...query, api_key: apiKey };
    url.search = new URLSearchParams(query).toString();
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const {
        statusCode,
        headers: received,
        body,
      } = await request(url, { headers, signal: AbortSignal.any([signal, timeout]) });
      return { status: statusCode, headers: received, text: await readBody(body) };
    } catch (error) {
      signal.throwIfAborted();
      if (timeout.aborted) throw new Error(`The Movie Database did not answer ${path} within ${timeoutMs} ms`);
      throw new Error(`The Movie Database could not be reached for ${path}: ${this.redact(describe(error))}`);
    }
  }

  private refusal(path: string, { status, headers, text }: Reply): Error {
    const body = errorReply.safeParse(safeJson(text));
    const said = body.success
      ? `: ${this.redact(body.data.status_message)} (status_code ${body.data.status_code})`
      : '';
    const answer = `The Movie Database answered ${path} with ${status}${said}`;
    if (status === 429) return new RetryAfterError(retryAfterMs(headers), answer, { code: 'tmdb_rate_limited' });
    if (status >= 500 || status === 408) return new Error(answer);
    if (status === 404) return new NonRetryableError(answer, { code: 'tmdb_not_found' });
    if (status !== 401) return new NonRetryableError(answer, { code: 'tmdb_refused' });
    const remedy = 'set TMDB_API_KEY to a valid v3 key or v4 read access token, restart the runner, then retry the job';
    return new NonRetryableError(`${answer}; ${remedy}`, { code: 'tmdb_key_refused' });
  }

  /** Removes the key from every text that leaves this class, whatever an answer or a library wrote into it. */
  private redact(text: string): string {
    return text.replaceAll(this.config.apiKey, '[key]').replaceAll(encodeURIComponent(this.config.apiKey), '[key]');
  }
}

/** Whether the key is a v4 read access token, which is a JWT and goes into a header; a v3 key goes into the query. */
function isAccessToken(apiKey: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(apiKey);
}

async function readBody(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > MAX_REPLY_BYTES) throw new Error(`the answer has more than ${MAX_REPLY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function describe(error: unknown): string {
  if (!types.isNativeError(error)) return typeof error === 'string' ? error : inspect(error);
  const { code } = error as NodeJS.ErrnoException;
  return error.message || code || error.name;
}

function parseJson(path: string, { text }: Reply): unknown {
  const value = safeJson(text);
  if (value === undefined)
    throw new Error(`The Movie Database answered ${path} with ${text.length} characters that are not JSON`);
  return value;
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** In milliseconds, from seconds or an HTTP date (RFC 9110, 10.2.3), which is compared with the answer's own clock. */
function retryAfterMs(headers: Reply['headers']): number {
  const value = String(headers['retry-after'] ?? '').trim();
  const waitMs = /^\d+$/.test(value)
    ? Number(value) * 1000
    : Date.parse(value) - (Date.parse(String(headers.date)) || Date.now());
  return Number.isNaN(waitMs) ? DEFAULT_RETRY_AFTER_MS : Math.min(Math.max(waitMs, 0), MAX_RETRY_AFTER_MS);
}
