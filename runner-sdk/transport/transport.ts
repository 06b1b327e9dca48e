import { setMaxListeners } from 'node:events';
import { EnvHttpProxyAgent, Pool, type Dispatcher } from 'undici';
import { onAbort } from './abort';
import { DEFAULT_BACKOFF, pause, retryDelayMs, type Backoff } from './backoff';
import { monotonicMs } from './clock';
import type { Connection, Proxies } from './config';
import { errorText, isErrorLike, readProperty } from './error-like';
import { BatonError } from './errors';
import { Exchange } from './exchange';
import { PROTOCOL_VERSION, type FieldError } from '../protocol';
import { SDK_VERSION } from './version';

export type QueryValue = string | number | boolean | undefined | null | readonly (string | number)[];

export interface ApiRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  path: string;
  query?: Record<string, QueryValue>;
  body?: unknown;
  /** Body as JSON text; instead of `body`. */
  json?: string;
  headers?: Record<string, string>;
  /** Timeout of one attempt, from the first byte to the last, in milliseconds. Default 10 s. */
  timeoutMs?: number;
  /** For all attempts and the waits between them, in milliseconds. Default 30 s; 0 for one attempt at each URL. */
  budgetMs?: number;
  backoff?: Backoff;
  signal?: AbortSignal;
  /**
   * A list or text that the answer must contain; an answer without it did not come from the coordinator, and the call
   * is retried.
   */
  expects?: string;
  /** Statuses from 400 up that are answers and not refusals. */
  accepts?: readonly number[];
  /** The answer's body is text, not JSON. */
  isText?: boolean;
  /** `false`: not idempotent, so it is retried only when it certainly had no effect. Default `true`. */
  repeatable?: boolean;
  /**
   * The request is useless after its budget: a wait that would last longer is cut short, for another attempt before.
   */
  untilEnd?: boolean;
  /** How often it is retried after a status of 500, which its own body may have caused. Default: within the budget. */
  triesAfter500?: number;
  /**
   * The coordinator answers only when something has happened, so the call must not use up a connection that others
   * need.
   */
  waits?: boolean;
  /** Called for each failure that is followed by another attempt. */
  onRetry?: (failure: BatonError, failures: number) => void;
}

export interface ApiReply<T> {
  status: number;
  body: T;
  /** Earlier attempts whose effect is unknown. */
  failures: number;
}

/** Sends one request, within the client's budget, and returns the answer's body. */
export type Send = <T>(request: ApiRequest) => Promise<T>;

/** A coordinator: its origin, and the path below which the API is. */
interface Endpoint {
  url: string;
  origin: string;
  prefix: string;
  pool: Dispatcher;
  /** For calls that wait, so that however many there are, they take no connection from others. */
  waitingPool: Dispatcher;
}

const TIMEOUT_MS = 10_000;
const BUDGET_MS = 30_000;
const CONNECTIONS = 64;
/** With less time left there is no further attempt; each shortened wait leaves half of the remaining time. */
const LEAST_LEFT_MS = 100;

/** Statuses that mean "not this coordinator, or not now", so the next URL may do better. */
const GONE = new Set([0, 502, 503, 504]);

/**
 * Talks to the coordinator: keep-alive, a total timeout for every attempt, jittered backoff within a budget, the next
 * URL when one is gone. Final: every 4xx except 429. Retried: 429, 5xx, broken connections, and timeouts.
 */
export class Transport {
  private readonly endpoints: Endpoint[];
  private readonly headers: Record<string, string>;
  private readonly jsonHeaders: Record<string, string>;
  private readonly closing = new AbortController();
  private current = 0;

  constructor(connection: Connection) {
    // Every call that waits for a retry adds a listener.
    setMaxListeners(0, this.closing.signal);
    this.endpoints = connection.urls.map((url) => endpointAt(url, connection.proxies));
    this.headers = {
      authorization: `Bearer ${connection.apiKey}`,
      accept: 'application/json, application/problem+json',
      'user-agent': `baton-runner-sdk/${SDK_VERSION} node/${process.versions.node}`,
      'baton-protocol': String(PROTOCOL_VERSION),
    };
    this.jsonHeaders = { ...this.headers, 'content-type': 'application/json' };
  }

  /** Throws `BatonError`, or the reason of the request's own signal. */
  async call<T>(request: ApiRequest): Promise<ApiReply<T>> {
    const endsAtMs = monotonicMs() + (request.budgetMs ?? BUDGET_MS);
    let left500 = request.triesAfter500 ?? Infinity;
    for (let failures = 0; ;) {
      const index = this.current;
      try {
        const { status, body } = await this.try<T>(this.endpoints[index], request);
        return { status, body, failures };
      } catch (error) {
        if (!(error instanceof BatonError) || this.closing.signal.aborted || !isWorthAnotherTry(error, request))
          throw error;
        if (error.status === 500 && (left500 -= 1) < 0) throw error;
        failures += 1;
        let waitMs = this.hasFreshUrl(error, index, failures)
          ? 0
          : retryDelayMs(failures, error.retryAfterMs, request.backoff ?? DEFAULT_BACKOFF);
        const leftMs = endsAtMs - monotonicMs();
        if (waitMs > 0 && waitMs > leftMs) {
          if (request.untilEnd !== true || leftMs < LEAST_LEFT_MS) throw error;
          waitMs = leftMs / 2;
        }
        request.onRetry?.(error, failures);
        await pause(
          waitMs,
          request.signal === undefined ? this.closing.signal : AbortSignal.any([request.signal, this.closing.signal]),
        );
      }
    }
  }

  /**
   * Streams the text of an answer piece by piece; one attempt, at one URL. Throws `BatonError` when it is refused or
   * breaks, or when nothing arrives for `timeoutMs`. The signal ends it, and so does leaving the loop.
   */
  async *stream(request: ApiRequest): AsyncGenerator<string, void> {
    const index = this.current;
    const endpoint = this.endpoints[index];
    if (endpoint === undefined) throw new TypeError('there is no URL to call');
    const { method, path, query, headers, signal, timeoutMs = TIMEOUT_MS } = request;
    const call = `${method} ${path}`;
    try {
      const answer = await endpoint.waitingPool.request({
        origin: endpoint.origin,
        method,
        path: `${endpoint.prefix}${path}${query === undefined ? '' : queryText(query)}`,
        headers: { ...this.headers, accept: 'text/event-stream, application/problem+json', ...headers },
        headersTimeout: TIMEOUT_MS,
        bodyTimeout: timeoutMs,
        signal: signal ?? null,
      });
      if (answer.statusCode !== 200)
        throw refusal(answer.statusCode, await answer.body.text(), answer.headers['retry-after'], call);
      if (!String(answer.headers['content-type']).startsWith('text/event-stream')) {
        answer.body.destroy();
        throw foreign(answer.statusCode, `${call} was answered with what is no stream of events`);
      }
      answer.body.setEncoding('utf8');
      // Leaving the loop destroys the body, and with it the connection.
      for await (const piece of answer.body) yield piece as string;
    } catch (error) {
      const failure =
        error instanceof BatonError || isMisuse(error) ? error : unreachable(endpoint, whyUnreachable(error), error);
      if (failure instanceof BatonError) this.hasFreshUrl(failure, index, 1);
      throw failure;
    }
  }

  /** Closes all connections at once; calls in flight, and those that wait for a retry, fail. */
  async close(): Promise<void> {
    this.closing.abort(
      new BatonError({ code: 'unreachable', status: 0, detail: 'the connection was closed before an answer came' }),
    );
    await Promise.all(this.endpoints.flatMap(({ pool, waitingPool }) => [pool.destroy(), waitingPool.destroy()]));
  }

  /** Moves on from a URL that is gone; `true` while there is one that this call has not tried. */
  private hasFreshUrl(error: BatonError, index: number, failures: number): boolean {
    if (this.endpoints.length === 1 || !(GONE.has(error.status) || isOtherServer(error))) return false;
    if (this.current === index) this.current = (index + 1) % this.endpoints.length;
    return failures < this.endpoints.length;
  }

  private async try<T>(endpoint: Endpoint | undefined, request: ApiRequest): Promise<{ status: number; body: T }> {
    if (endpoint === undefined) throw new TypeError('there is no URL to call');
    const { signal, timeoutMs = TIMEOUT_MS } = request;
    signal?.throwIfAborted();
    const exchange = new Exchange();
    const timer = setTimeout(
      () => exchange.stop(unreachable(endpoint, `did not answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    const ignore =
      signal === undefined ? undefined : onAbort(signal, () => exchange.stop(new Error('the call was cut off')));
    try {
      this.dispatch(endpoint, request, exchange);
      const { status, text, headers } = await exchange.answered;
      if (status >= 400 && request.accepts?.includes(status) !== true)
        throw refusal(status, text, headers['retry-after'], `${request.method} ${request.path}`);
      return { status, body: parse<T>(text, status, request) };
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof BatonError || isMisuse(error)) throw error;
      throw unreachable(endpoint, whyUnreachable(error), error);
    } finally {
      clearTimeout(timer);
      ignore?.();
    }
  }

  private dispatch(
    { origin, prefix, pool, waitingPool }: Endpoint,
    { method, path, query, body, json, headers, waits }: ApiRequest,
    exchange: Exchange,
  ): void {
    const text = json ?? (body === undefined ? null : JSON.stringify(body));
    const own = text === null ? this.headers : this.jsonHeaders;
    (waits === true ? waitingPool : pool).dispatch(
      {
        origin,
        method,
        path: `${prefix}${path}${query === undefined ? '' : queryText(query)}`,
        headers: headers === undefined ? own : { ...own, ...headers },
        body: text,
        // A timer for the whole call is used instead.
        headersTimeout: 0,
        bodyTimeout: 0,
      },
      exchange,
    );
  }
}

function endpointAt(url: string, proxies: Proxies | undefined): Endpoint {
  const { origin, pathname } = new URL(url);
  return {
    url,
    origin,
    prefix: pathname === '/' ? '' : pathname,
    pool: dispatcherFor(origin, proxies, CONNECTIONS),
    waitingPool: dispatcherFor(origin, proxies, null),
  };
}

/** @param connections most connections; null: as many as there are calls */
function dispatcherFor(origin: string, proxies: Proxies | undefined, connections: number | null): Dispatcher {
  const options = { connections, pipelining: 1, keepAliveTimeout: 30_000, connect: { timeout: 5000 } };
  if (proxies === undefined) return new Pool(origin, options);
  // Proxies refuse to tunnel to ports other than those of TLS, so plain HTTP is forwarded, as curl does.
  return new EnvHttpProxyAgent({ ...options, ...proxies, proxyTunnel: false });
}

function unreachable({ url }: Endpoint, why: string, cause?: unknown): BatonError {
  return new BatonError({ code: 'unreachable', status: 0, detail: `${url} ${why}`, cause });
}

/** Whether the same call may do better later. */
export function isWorthAnotherTry(error: BatonError, request: ApiRequest): boolean {
  if (error.status === 429) return true;
  if (request.repeatable === false) return error.status === 503 || isUnsent(error.cause);
  return error.code === 'unreachable' || error.status >= 500 || (request.expects !== undefined && isOtherServer(error));
}

/** A successful answer that is not the coordinator's: it is not at this URL now. */
function isOtherServer({ code, status }: BatonError): boolean {
  return code === 'unexpected_reply' && status < 400;
}

/** `true` when no connection was established. */
function isUnsent(cause: unknown): boolean {
  return ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT'].includes(codeOf(cause));
}

/** A request that can never be sent, such as one with a line break in a header. */
function isMisuse(error: unknown): boolean {
  return ['UND_ERR_INVALID_ARG', 'UND_ERR_NOT_SUPPORTED'].includes(codeOf(error)) || isTypeError(error);
}

/** Of this realm or another. */
function isTypeError(error: unknown): boolean {
  return isErrorLike(error) && readProperty(error, 'name') === 'TypeError';
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
}

function whyUnreachable(error: unknown): string {
  return `could not be reached: ${errorText(error)}`;
}

function refusal(status: number, text: string, retryAfter: string | string[] | undefined, call: string): BatonError {
  const problem = problemOf(text);
  return new BatonError({
    code: typeof problem['code'] === 'string' ? problem['code'] : 'unexpected_reply',
    status,
    detail:
      typeof problem['detail'] === 'string'
        ? problem['detail']
        : `${call} was answered with status ${status} and no problem text; is this a Baton coordinator?`,
    errors: Array.isArray(problem['errors']) ? (problem['errors'] as FieldError[]) : [],
    requestId: typeof problem['requestId'] === 'string' ? problem['requestId'] : null,
    retryAfterMs: retryAfterMsOf(Array.isArray(retryAfter) ? retryAfter[0] : retryAfter),
  });
}

function problemOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

/** `Retry-After`, in seconds or as a date, in milliseconds from now. */
export function retryAfterMsOf(header: string | undefined, nowMs = Date.now()): number | null {
  if (header === undefined || header.trim() === '') return null;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - nowMs;
  return Number.isFinite(ms) ? Math.max(0, ms) : null;
}

function parse<T>(text: string, status: number, { method, path, expects, isText }: ApiRequest): T {
  if (isText === true) return text as T;
  const call = `${method} ${path}`;
  const body: unknown = text === '' ? undefined : json(text, status, call);
  if (expects === undefined || holds(body, expects)) return body as T;
  throw foreign(status, `${call} was answered with status ${status} and no "${expects}"`);
}

function json(text: string, status: number, call: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw foreign(status, `${call} was answered with status ${status} and what is not JSON`, cause);
  }
}

function foreign(status: number, what: string, cause?: unknown): BatonError {
  return new BatonError({ code: 'unexpected_reply', status, detail: `${what}; is this a Baton coordinator?`, cause });
}

function holds(body: unknown, name: string): boolean {
  if (typeof body !== 'object' || body === null) return false;
  const value = readProperty(body, name);
  return Array.isArray(value) || typeof value === 'string';
}

function queryText(query: Record<string, QueryValue>): string {
  const pairs = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value === undefined || value === null) continue;
    for (const one of Array.isArray(value) ? value : [value]) pairs.append(key, String(one));
  }
  const text = pairs.toString();
  return text === '' ? '' : `?${text}`;
}
