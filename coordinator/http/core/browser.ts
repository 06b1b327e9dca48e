import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import helmet from 'helmet';
import { BatonError } from '../../errors';
import type { Access } from './access';
import { isWebSocket } from '../streams/web-sockets';

// What protects people who look at Baton with a browser, from other pages that this browser has open.

const COOKIE = 'baton_session';
const READS = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Probes ask by address, and learn nothing that is worth a name. */
const PROBES = new Set(['/healthz', '/readyz']);
const PREFLIGHT_SECONDS = 600;

/** Headers of every answer, names and values in turns: a strict policy for pages, nothing sniffed, framed or referred. They are the same for all, so helmet is asked once. */
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

/** The policy of a page whose libraries make styles while it runs: those that carry the nonce of its answer are allowed too. */
export function withStyleNonce(policy: string, nonce: string): string {
  return policy.replace("style-src 'self'", `style-src 'self' 'nonce-${nonce}'`);
}

/**
 * Against DNS rebinding: a page of another name that was pointed at this address is refused by its name.
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
 * @returns whether the request only asked for that, and is answered
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
  response.setHeader('Access-Control-Expose-Headers', 'X-Request-Id, Retry-After, Baton-Deduplicated');
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
 * A browser sends the cookie whatever page made it; so a write that a cookie vouches for must come from a page of ours.
 * So must a WebSocket: browsers let any page read from one.
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
 * Browsers do not ask before they open a WebSocket, so what they are told of other calls is held here: pages of ours, and
 * of the origins that are allowed, may send a key. What is no browser sends no origin.
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

/** Sets the cookie, out of the reach of scripts and of other sites; an empty token takes it away. */
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
