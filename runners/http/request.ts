import { pipeline } from 'node:stream/promises';
import { type JobContext, NonRetryableError, RetryAfterError } from '@baton/runner-sdk';
import { retryAfterMs, type Storage } from '@baton/runner-kit';
import { checkedConnector, hostOf, type Resolve, urlFault, type UrlPolicy } from '@baton/url-policy';
import { Agent, type Dispatcher, request } from 'undici';
import { decoder, drain, Head, textOf } from './answer';
import type { HttpArguments, HttpResult } from './jobs';
import { at, clean, type Json, storable } from './pick';
import type { Secrets } from './secrets';

const CONNECT_MS = 10_000;
/** Of a JSON answer of which something is picked. */
const MOST_JSON_BYTES = 8 * 1024 * 1024;
const RETRIED = [408, 425, 429, 500, 502, 503, 504];
const REDIRECTS = [301, 302, 303, 307, 308];
const POLICY_SETTINGS = { allow: 'HTTP_REQUEST_ALLOW', http: 'HTTP_REQUEST_PLAIN', ports: 'HTTP_REQUEST_PORTS' };
/** Headers that are for the first origin alone. */
const PRIVATE_HEADERS = ['authorization', 'cookie', 'proxy-authorization'];

export interface CallerOptions {
  policy: UrlPolicy;
  secrets: Secrets;
  storage: Storage;
  /** Of an answer's body, in the result. */
  mostBodyBytes: number;
  /** Of an answer in all, after decompression. */
  mostBytes: number;
  /** Called for each answer, also of a redirect. */
  onAnswer?: (status: number) => void;
  /** How names are resolved; undefined: by DNS. */
  resolve?: Resolve;
}

interface Hop {
  url: URL;
  method: HttpArguments['method'];
  /** Query and headers with their placeholders; fewer after a redirect to another origin. */
  query: HttpArguments['query'];
  headers: Record<string, string>;
  hasBody: boolean;
}

/** Makes the requests of jobs. */
export class HttpCaller {
  private readonly agent: Agent;

  constructor(private readonly options: CallerOptions) {
    const { policy, resolve } = options;
    this.agent = new Agent({ connect: checkedConnector(policy, CONNECT_MS, resolve), keepAliveTimeout: 4000 });
  }

  /**
   * Makes the request of a job.
   * @throws {RetryAfterError} for a status that is retried, when the answer says when
   * @throws {NonRetryableError} `http_refused` for a final status, `http_bad_url`, `http_secret_unknown`,
   * `http_secret_not_for_host`
   * @throws {Error} for failures worth a retry; `code` is that of the connection's error, or `http_status`
   */
  async call(args: HttpArguments, job: JobContext): Promise<HttpResult> {
    const timeout = AbortSignal.timeout(args.timeoutMs);
    const signal = AbortSignal.any([job.signal, timeout]);
    try {
      return await this.follow(args, job, signal);
    } catch (error) {
      job.signal.throwIfAborted();
      if (timeout.aborted) throw coded(`there was no full answer within ${args.timeoutMs} ms`, 'http_timeout');
      throw this.told(error);
    }
  }

  private async follow(args: HttpArguments, job: JobContext, signal: AbortSignal): Promise<HttpResult> {
    let hop: Hop = {
      ...{ url: this.judged(args.url), method: args.method, query: args.query },
      ...{ headers: headersOf(args, job), hasBody: true },
    };
    for (let redirects = 0; ; redirects += 1) {
      const answer = await this.send(args, hop, signal);
      this.options.onAnswer?.(answer.statusCode);
      const { location } = answer.headers;
      const isRedirect = REDIRECTS.includes(answer.statusCode) && typeof location === 'string';
      if (!isRedirect || redirects === args.redirects) return this.judge(args, hop.url, answer, redirects, signal);
      await answer.body.dump();
      hop = this.next(hop, answer.statusCode, String(location));
    }
  }

  private async send(args: HttpArguments, hop: Hop, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const { secrets } = this.options;
    const host = hostOf(hop.url.hostname);
    const url = new URL(hop.url);
    for (const [name, value] of Object.entries(hop.query))
      url.searchParams.append(name, secrets.fill(String(value), host));
    const headers = Object.entries(hop.headers).map(([name, value]) => [name, secrets.fill(value, host)] as const);
    const body = hop.hasBody ? await this.bodyOf(args, host, signal) : null;
    return request(url, {
      ...{ method: hop.method, dispatcher: this.agent, signal, body: body?.content ?? null },
      ...{ headersTimeout: args.timeoutMs, bodyTimeout: args.timeoutMs },
      headers: { 'user-agent': 'baton-http-runner', ...body?.headers, ...Object.fromEntries(headers) },
    });
  }

  private async bodyOf({ json, body, bodyFrom }: HttpArguments, host: string, signal: AbortSignal) {
    const { secrets, storage } = this.options;
    if (json !== undefined)
      return {
        content: JSON.stringify(secrets.fillJson(json, host)),
        headers: { 'content-type': 'application/json' },
      };
    if (body !== undefined) return { content: secrets.fill(body, host), headers: {} };
    if (bodyFrom === undefined) return null;
    const { body: content, bytes } = await storage.open(bodyFrom, { signal });
    return { content, headers: bytes === null ? {} : { 'content-length': String(bytes) } };
  }

  /**
   * Follows a redirect as browsers do: 303, and 301 and 302 after POST, become GET. Secrets are not sent to another
   * origin.
   */
  private next(hop: Hop, status: number, location: string): Hop {
    const url = this.judged(new URL(location, hop.url).href);
    const isRead = status === 303 || ((status === 301 || status === 302) && hop.method === 'POST');
    const isOther = url.origin !== hop.url.origin;
    const headers = Object.entries(hop.headers).filter(
      ([name, value]) =>
        !(isOther && (PRIVATE_HEADERS.includes(name.toLowerCase()) || this.options.secrets.isIn(value))) &&
        !(isRead && name.toLowerCase().startsWith('content-')),
    );
    return {
      ...{ url, method: isRead && hop.method !== 'HEAD' ? 'GET' : hop.method },
      // The new URL has its own query, and a body with secrets is sent only to the original origin.
      ...{ query: {}, headers: Object.fromEntries(headers), hasBody: hop.hasBody && !isRead },
    };
  }

  private judged(address: string): URL {
    const fault = urlFault(address, this.options.policy, POLICY_SETTINGS);
    if (fault === null) return new URL(address);
    throw new NonRetryableError(`the URL ${JSON.stringify(withoutQuery(address))} ${fault}`, { code: 'http_bad_url' });
  }

  private async judge(
    args: HttpArguments,
    url: URL,
    answer: Dispatcher.ResponseData,
    redirects: number,
    signal: AbortSignal,
  ): Promise<HttpResult> {
    const { statusCode: status, headers } = answer;
    const isSuccess = args.success?.includes(status) ?? (status >= 200 && status < 300);
    const read = await this.read(args, answer, isSuccess, signal);
    if (!isSuccess) throw this.failure(args, url, status, headers, read.text);
    return {
      ...{ status, url: this.redact(withoutQuery(url.href)), headers: this.headersTold(headers), redirects },
      ...{ bytes: read.bytes, savedTo: read.savedTo, picked: this.pick(args, read.json) },
      ...this.bodyTold(args, read),
    };
  }

  private async read(
    args: HttpArguments,
    { headers, body }: Dispatcher.ResponseData,
    isSuccess: boolean,
    signal: AbortSignal,
  ) {
    const wantsJson = isSuccess && Object.keys(args.pick).length > 0;
    const head = new Head(
      wantsJson ? MOST_JSON_BYTES : Math.max(this.options.mostBodyBytes, 2000),
      this.options.mostBytes,
    );
    const decoded = decoder(String(headers['content-encoding'] ?? ''));
    const savedTo = isSuccess ? (args.saveTo ?? null) : null;
    const flowing = pipeline(body, decoded, head, { signal });
    if (savedTo === null) await Promise.all([flowing, drain(head)]);
    else {
      const type = headers['content-type'];
      await Promise.all([
        flowing,
        this.options.storage.write(savedTo, head, { signal, ...(typeof type === 'string' && { contentType: type }) }),
      ]);
    }
    const isWhole = head.bytes === head.head.length;
    const text = textOf(head.head, isWhole);
    const json = wantsJson && isWhole && text !== null ? parsed(text) : undefined;
    return { ...{ bytes: head.bytes, head: head.head, isWhole, text, json, savedTo } };
  }

  private bodyTold(
    { keepBody }: HttpArguments,
    read: { head: Buffer; bytes: number; text: string | null; savedTo: string | null },
  ) {
    const { mostBodyBytes } = this.options;
    const encoding = read.text === null ? ('base64' as const) : ('utf8' as const);
    if (!keepBody || read.savedTo !== null) return { body: null, encoding, truncated: false };
    const head = read.head.subarray(0, mostBodyBytes);
    const isWhole = head.length === read.bytes;
    const text = textOf(head, isWhole);
    return {
      ...{ encoding: text === null ? ('base64' as const) : ('utf8' as const), truncated: !isWhole },
      body: text === null ? head.toString('base64') : clean(this.redact(text)),
    };
  }

  private pick({ pick }: HttpArguments, json: unknown): Record<string, Json> {
    const found = Object.entries(pick).map(([name, pointer]) => {
      const value = at(json, pointer);
      return [name, storable(value ?? null, (text) => this.redact(text)) ?? null] as const;
    });
    return Object.fromEntries(found);
  }

  private headersTold(headers: Dispatcher.ResponseData['headers']): Record<string, string> {
    const told = Object.entries(headers).flatMap(([name, value]) =>
      value === undefined || name === 'set-cookie'
        ? []
        : [[name, clean(this.redact(Array.isArray(value) ? value.join(', ') : value)).slice(0, 2000)] as const],
    );
    return Object.fromEntries(told);
  }

  private failure(
    args: HttpArguments,
    url: URL,
    status: number,
    headers: Dispatcher.ResponseData['headers'],
    text: string | null,
  ): Error {
    const said = text === null || text.trim() === '' ? '' : `: ${clean(this.redact(text.trim())).slice(0, 500)}`;
    const message = `${args.method} ${this.redact(withoutQuery(url.href))} answered ${status}${said}`;
    if (!(args.retryOn ?? RETRIED).includes(status)) return new NonRetryableError(message, { code: 'http_refused' });
    const waitMs = retryAfterMs(headers);
    return waitMs === null
      ? coded(message, 'http_status')
      : new RetryAfterError(waitMs, message, { code: 'http_status' });
  }

  /** Errors of undici and the connector, without secrets. */
  private told(error: unknown): Error {
    if (!(error instanceof Error)) return new Error(this.redact(String(error)));
    if ((error as NodeJS.ErrnoException).code === 'BATON_ADDRESS')
      return new NonRetryableError(
        `the URL leads where it must not: ${error.message}; an operator may allow it with HTTP_REQUEST_ALLOW`,
        {
          code: 'http_bad_url',
        },
      );
    error.message = this.redact(error.message);
    return error;
  }

  private redact(text: string): string {
    return this.options.secrets.redact(text);
  }
}

/** Adds an idempotency key, so that servers that support it handle a retried POST only once. */
function headersOf({ method, headers }: HttpArguments, job: JobContext): Record<string, string> {
  const isNamed = Object.keys(headers).some((name) => name.toLowerCase() === 'idempotency-key');
  return isNamed || (method !== 'POST' && method !== 'PATCH') ? headers : { 'idempotency-key': job.id, ...headers };
}

function withoutQuery(url: string): string {
  return url
    .replace(/[?#].*$/s, '')
    .replace(/\/\/[^/@]*@/, '//')
    .slice(0, 500);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function coded(message: string, code: string): Error {
  return Object.assign(new Error(message), { code });
}
