import type { IncomingMessage, ServerResponse } from 'node:http';
import { BatonError } from '../../errors';
import { type AnyEndpoint, EVENT_STREAM } from './endpoint';
import { meantBy } from './faults';
import { type ResponseHeaders, setHeaders } from './response-headers';

const MOST_SHOWN = 200;

/**
 * The error for a request without an endpoint: the path takes other methods, or does not exist; names the path that was
 * probably meant.
 */
export function noRoute(
  endpoints: readonly AnyEndpoint[],
  { method, path }: { method: string; path: string },
): BatonError {
  const shown = path.slice(0, MOST_SHOWN);
  const allow = methodsOf(endpoints, path);
  if (allow.length > 0)
    return new BatonError('method_not_allowed', `${shown} does not take ${method}, but ${allow.join(', ')}.`, {
      allow,
    });
  const meant = pathMeantBy(endpoints, path);
  const hint = meant === null ? '' : ` Did you mean ${meant}?`;
  return new BatonError(
    'not_found',
    `There is no ${method} ${shown}.${hint} GET /docs shows what there is, and /openapi.json lists it.`,
  );
}

/**
 * Answers OPTIONS with the methods of a path, without authentication, because the documentation lists them as well.
 * Nothing is looked up, and a body that comes with the request is not read.
 * @returns whether the request was such a question, and is answered
 */
export function answerOptions(
  endpoints: readonly AnyEndpoint[],
  request: IncomingMessage & { path: string },
  response: ServerResponse,
  headers: ResponseHeaders,
): boolean {
  if (request.method !== 'OPTIONS') return false;
  const methods = request.path === '*' ? ALL_METHODS : methodsOf(endpoints, request.path);
  if (methods.length === 0) return false;
  if (request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0)
    response.shouldKeepAlive = false;
  setHeaders(response, [...headers.left(), 'Allow', [...methods, 'OPTIONS'].join(', ')]);
  response.writeHead(204).end();
  return true;
}

/** The answer to `OPTIONS *`, which asks about the whole server. */
const ALL_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];

function methodsOf(endpoints: readonly AnyEndpoint[], path: string): string[] {
  const methods = endpoints
    .filter((endpoint) => patternOf(endpoint.path).test(path))
    .flatMap(({ method }) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]));
  return [...new Set(methods)];
}

/**
 * Why a WebSocket request is refused before it reaches an endpoint; null: it is routed. After the handshake the
 * connection carries only frames, so the request can have no body.
 */
export function noWebSocket(
  endpoints: readonly AnyEndpoint[],
  { method = '', url = '', headers }: IncomingMessage,
): BatonError | null {
  const [path = ''] = url.split('?');
  const speaking = endpoints.filter(({ produces }) => produces === EVENT_STREAM);
  if (!speaking.some((endpoint) => patternOf(endpoint.path).test(path))) {
    const paths = speaking.map((endpoint) => endpoint.path).join(' and ');
    return new BatonError('not_found', `${path.slice(0, MOST_SHOWN)} does not accept WebSockets; ${paths} do.`);
  }
  if (method !== 'GET')
    return new BatonError('method_not_allowed', `A WebSocket is opened with GET, not ${method}.`, { allow: ['GET'] });
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0)
    return new BatonError('validation_failed', 'A request for a WebSocket takes no body; leave it out.');
  return null;
}

/** Matches as Express does: ignoring case, with or without a slash at the end. */
function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replace(/[.]/g, '\\$&').replace(/:\w+/g, '[^/]+')}/?$`, 'i');
}

/** Prefixes that other services use, or that a proxy does not strip. */
const PREFIX = /^\/(api|v\d+|api\/v\d+|baton)(?=\/)/i;

function pathMeantBy(endpoints: readonly AnyEndpoint[], path: string): string | null {
  const bare = path.replace(PREFIX, '');
  if (bare !== path && methodsOf(endpoints, bare).length > 0) return bare.slice(0, MOST_SHOWN);
  const parts = bare.split('/');
  const alike = endpoints.map((endpoint) => endpoint.path.split('/')).filter((one) => one.length === parts.length);
  // Parameters match whatever was sent in their place.
  const filled = alike.map((one) => one.map((part, at) => (part.startsWith(':') ? (parts[at] ?? '') : part)).join('/'));
  return meantBy(bare, [...new Set(filled)]);
}
