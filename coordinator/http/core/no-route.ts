import type { IncomingMessage, ServerResponse } from 'node:http';
import { BatonError } from '../../errors';
import { type AnyEndpoint, EVENT_STREAM } from './endpoint';
import { meantBy } from './faults';
import { type ResponseHeaders, setHeaders } from './response-headers';

const MOST_SHOWN = 200;

/** Why no endpoint answers: the path takes other methods, or there is no such path, and which was perhaps meant. */
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
 * Tells which methods a path takes, to whoever asks: it stands in the documentation. Nothing is read or looked up for it,
 * and a caller that sends a body with it is not listened to any further.
 * @returns whether it was such a question, and is answered
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

/** Of the server as a whole, which `OPTIONS *` asks for. */
const ALL_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];

function methodsOf(endpoints: readonly AnyEndpoint[], path: string): string[] {
  const methods = endpoints
    .filter((endpoint) => patternOf(endpoint.path).test(path))
    .flatMap(({ method }) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]));
  return [...new Set(methods)];
}

/**
 * Why a request to become a WebSocket is not even looked at; null: its endpoint answers. Nothing is read of its connection
 * any more but what follows the handshake, so it can have no body.
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

/** As Express matches: letters of either case, and a slash at the end or none. */
function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replace(/[.]/g, '\\$&').replace(/:\w+/g, '[^/]+')}/?$`, 'i');
}

/** What stands before the path at other services, or at a proxy that does not take it away. */
const PREFIX = /^\/(api|v\d+|api\/v\d+|baton)(?=\/)/i;

function pathMeantBy(endpoints: readonly AnyEndpoint[], path: string): string | null {
  const bare = path.replace(PREFIX, '');
  if (bare !== path && methodsOf(endpoints, bare).length > 0) return bare.slice(0, MOST_SHOWN);
  const parts = bare.split('/');
  const alike = endpoints.map((endpoint) => endpoint.path.split('/')).filter((one) => one.length === parts.length);
  // Parameters are whatever was sent in their place.
  const filled = alike.map((one) => one.map((part, at) => (part.startsWith(':') ? (parts[at] ?? '') : part)).join('/'));
  return meantBy(bare, [...new Set(filled)]);
}
