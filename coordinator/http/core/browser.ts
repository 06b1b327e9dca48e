import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import helmet from 'helmet';
import { BatonError } from '../../errors';
import type { Access } from './access';
import { isWebSocket } from '../streams/web-sockets';

// Protects users of a browser against other pages that are open in it.

const COOKIE = 'baton_session';
const READS = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Probes name an address as host, and their answers contain nothing that needs protection. */
const PROBES = new Set(['/healthz', '/readyz']);
const PREFLIGHT_SECONDS = 600;

/**
 * Headers of every answer, as alternating names and values: a strict policy for pages; no sniffing, framing or
 * referrer. They are the same for all answers, so helmet runs once.
 */
export function securityHeaders(isTls: boolean): readonly string[] {
  const middleware = helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'", 'data:'],
        fontSrc: ["'self'"],
        connectSrc: ["'self'"],
        manifestSrc: ["'self'"],
        formAction: ["'self'"],
        baseUri: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    frameguard: { action: 'deny' },
    strictTransportSecurity: isTls,
  });
  const request = new IncomingMessage(new Socket());
  const response = new ServerResponse(request);
  middleware(request, response, (error?: unknown) => {
    if (error instanceof Error) throw error;
  });
  return Object.entries(response.getHeaders()).flatMap(([name, value]) => [name, String(value)]);
}

/**
 * The policy of a page whose libraries create styles at run time: styles with the nonce of the answer are allowed too.
 */
export function withStyleNonce(policy: string, nonce: string): string {
  return policy.replace("style-src 'self'", `style-src 'self' 'nonce-${nonce}'`);
}

/**
 * Protects against DNS rebinding: a page of another host name that resolves to this address is refused by that name.
 * @throws {BatonError} `host_not_allowed`
 */
export function requireHost(request: IncomingMessage, allowed: Access['allowedHosts']): void {
  if (allowed === null) return;
  const host = hostName(request.headers.host ?? '');
  if (allowed.includes(host) || PROBES.has(pathOf(request))) return;
  throw new BatonError(
    'host_not_allowed',
    `This coordinator does not answer for the host ${JSON.stringify(host.slice(0, 100))}. BATON_ALLOWED_HOSTS lists those it answers for.`,
  );
}

/**
 * Lets pages of these origins call with a key of their own; cookies are never accepted from them.
 * @returns whether the request was a preflight, and is answered
 */
export function allowOrigin(
  request: IncomingMessage,
  response: ServerResponse,
  origins: Access['corsOrigins'],
): boolean {
  if (origins.length === 0) return false;
  const { origin } = request.headers;
  response.setHeader('Vary', 'Origin');
  if (origin === undefined || !origins.includes(origin)) return false;
  response.setHeader('Access-Control-Allow-Origin', origin);
  response.setHeader('Access-Control-Expose-Headers', 'X-Request-Id, Retry-After, Baton-Deduplicated, Baton-Protocol');
  response.setHeader('Cross-Origin-Resource-Policy', 'cross-origin');
  if (request.method !== 'OPTIONS' || request.headers['access-control-request-method'] === undefined) return false;
  response.setHeader('Access-Control-Allow-Methods', 'GET, POST, PUT, PATCH, DELETE');
  response.setHeader(
    'Access-Control-Allow-Headers',
    'Authorization, Content-Type, Idempotency-Key, X-Request-Id, Last-Event-ID, Traceparent, Tracestate',
  );
  response.setHeader('Access-Control-Max-Age', String(PREFLIGHT_SECONDS));
  response.writeHead(204).end();
  return true;
}

/**
 * A browser sends the cookie whichever page made the request, so a write that is authenticated by a cookie must come
 * from one of our pages. So must a WebSocket, because browsers let any page read from one.
 * @throws {BatonError} `origin_not_allowed`
 */
export function requireOwnPage(request: IncomingMessage): void {
  const isOpen = READS.has(request.method ?? '') && !isWebSocket(request);
  if (isOpen || isFromOwnPage(request)) return;
  throw new BatonError(
    'origin_not_allowed',
    "A browser's session may change things and open WebSockets only from this coordinator's own pages; other callers send a key.",
  );
}

/**
 * Browsers send no preflight before they open a WebSocket, so the origin is checked here: our own pages and those of
 * allowed origins may send a key. Clients that are not browsers send no origin.
 * @throws {BatonError} `origin_not_allowed`
 */
export function requireKnownPage(request: IncomingMessage, origins: Access['corsOrigins']): void {
  const { origin } = request.headers;
  if (origin === undefined || origins.includes(origin) || isFromOwnPage(request)) return;
  throw new BatonError(
    'origin_not_allowed',
    'Pages of this origin may not call with a key. BATON_CORS_ORIGINS lists those that may.',
  );
}

/** `Sec-Fetch-Site` cannot be set by a page; browsers that are too old for it send `Origin` with every write. */
function isFromOwnPage(request: IncomingMessage): boolean {
  const site = request.headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin';
  const { origin, host } = request.headers;
  return origin !== undefined && URL.canParse(origin) && new URL(origin).host === host?.toLowerCase();
}

/** The token in the session's cookie. */
export function readSession(cookies: string | undefined): string | undefined {
  const pairs = (cookies ?? '').split(';').map((pair) => pair.trim());
  return pairs.find((pair) => pair.startsWith(`${COOKIE}=`))?.slice(COOKIE.length + 1);
}

/** A Set-Cookie value that scripts and other sites cannot use; an empty token deletes the cookie. */
export function sessionCookie(token: string, { isSecure, maxAgeMs }: { isSecure: boolean; maxAgeMs: number }): string {
  const parts = [
    `${COOKIE}=${token}`,
    'Path=/',
    'HttpOnly',
    'SameSite=Strict',
    `Max-Age=${Math.floor(maxAgeMs / 1000)}`,
  ];
  return [...parts, ...(isSecure ? ['Secure'] : [])].join('; ');
}

function pathOf({ url = '' }: IncomingMessage): string {
  const end = url.indexOf('?');
  return end < 0 ? url : url.slice(0, end);
}

/** Without the port, in lower case. */
function hostName(host: string): string {
  return host.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '');
}
