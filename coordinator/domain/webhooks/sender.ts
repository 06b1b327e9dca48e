import { checkedConnector, type Resolve, type UrlPolicy } from '@baton/url-policy';
import { Agent, type Dispatcher } from 'undici';
import { readRetryAfter, type Sent } from './schedule';
import { receiverFault } from './settings';

export interface Message {
  url: string;
  headers: Record<string, string>;
  body: string;
}

/** Most bytes of an answer that are read and discarded to keep the connection; longer answers lose it. */
const MOST_READ_BYTES = 4096;
const MOST_HEADER_BYTES = 16_384;
const KEEP_ALIVE_MS = 4000;

/** Posts messages to untrusted receivers: limited in time and size, and only to allowed addresses. */
export class Sender {
  private readonly agent: Agent;
  private readonly underWay = new Set<AbortController>();
  private isClosed = false;

  constructor(
    private readonly urlPolicy: UrlPolicy,
    private readonly timeoutMs: number,
    resolve?: Resolve,
  ) {
    this.agent = new Agent({
      connect: checkedConnector(urlPolicy, timeoutMs, resolve),
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      maxHeaderSize: MOST_HEADER_BYTES,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
    });
  }

  /**
   * Makes one attempt. Redirects are not followed, because their targets were not agreed to. The answer's body is not
   * stored: it may contain anything, and readers of deliveries may not be allowed to see it.
   * @returns null when the sender was closed before the answer
   */
  async send({ url, headers, body }: Message): Promise<Sent | null> {
    const before = performance.now();
    const over = (fields: Partial<Sent>): Sent => ({
      status: null,
      error: null,
      retryAfterMs: null,
      ...fields,
      durationMs: Math.round(performance.now() - before),
    });
    const fault = receiverFault(url, this.urlPolicy);
    if (fault !== null) return over({ error: `not sent: the URL ${fault}` });
    const cut = new AbortController();
    this.underWay.add(cut);
    const timer = setTimeout(() => cut.abort(), this.timeoutMs);
    try {
      const answer = await this.agent.request({ ...placeOf(url), method: 'POST', headers, body, signal: cut.signal });
      await discard(answer, cut.signal);
      const status = answer.statusCode;
      return over({
        status,
        error: faultOf(status),
        retryAfterMs: readRetryAfter(textOf(answer.headers['retry-after']), textOf(answer.headers['date'])),
      });
    } catch (error) {
      if (this.isClosed) return null;
      return over({
        error: cut.signal.aborted ? `there was no answer within ${this.timeoutMs} ms` : describeFault(error),
      });
    } finally {
      clearTimeout(timer);
      this.underWay.delete(cut);
    }
  }

  /** Aborts requests under way. */
  async close(): Promise<void> {
    this.isClosed = true;
    for (const cut of this.underWay) cut.abort();
    await this.agent.destroy();
  }
}

/** The status counts, however the body ends. */
async function discard({ body }: Dispatcher.ResponseData, signal: AbortSignal): Promise<void> {
  body.on('error', () => undefined);
  await body.dump({ limit: MOST_READ_BYTES, signal }).catch(() => body.destroy());
}

function placeOf(url: string): { origin: string; path: string } {
  const { origin, pathname, search } = new URL(url);
  return { origin, path: `${pathname}${search}` };
}

function faultOf(status: number): string | null {
  if (status >= 200 && status < 300) return null;
  return status >= 300 && status < 400 ? `it answered ${status}; redirects are not followed` : `it answered ${status}`;
}

function textOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}

const MEANINGS = new Map([
  ['BATON_ADDRESS', 'not sent: the host leads to an address that webhooks may not reach'],
  ['ENOTFOUND', 'the host name is unknown'],
  ['ENODATA', 'the host name has no address'],
  ['ETIMEOUT', 'the host name could not be looked up in time'],
  ['ESERVFAIL', 'the host name could not be looked up'],
  ['EAI_AGAIN', 'the host name could not be looked up'],
  ['ECONNREFUSED', 'the connection was refused'],
  ['ECONNRESET', 'the connection was reset'],
  ['UND_ERR_SOCKET', 'the connection was closed before an answer'],
  ['UND_ERR_CONNECT_TIMEOUT', 'the connection could not be made in time'],
  ['UND_ERR_HEADERS_TIMEOUT', 'there was no answer in time'],
  ['UND_ERR_HEADERS_OVERFLOW', 'the headers of the answer are too large'],
]);

/** In our own words, because texts of errors may contain internal addresses. */
function describeFault(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
  if (error instanceof AggregateError && error.errors.length > 0) return describeFault(error.errors[0]);
  const meaning = MEANINGS.get(code);
  if (meaning !== undefined) return meaning;
  if (/CERT|SIGNATURE|SSL|TLS|ALTNAME/.test(code)) return `the connection could not be secured (${code})`;
  return `the request failed${/^[A-Z_]{3,40}$/.test(code) ? ` (${code})` : ''}`;
}
