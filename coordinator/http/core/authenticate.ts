import type { IncomingMessage } from 'node:http';
import type { Caller } from '../../domain/auth/caller';
import type { Login } from '../../domain/auth/api-key-cache';
import { BatonError } from '../../errors';
import { readSession, requireKnownPage, requireOwnPage } from './browser';
import type { RequestEnvironment } from './request-environment';
import type { AnyEndpoint } from './endpoint';
import { isWebSocket, offeredKey } from '../streams/web-sockets';

export const NOBODY: Caller = { keyId: '', name: 'public', role: 'viewer', userId: null, queues: null, types: null };

/**
 * Authenticates the caller by a bearer token or a browser's session, and checks its role. Synchronous for a key that
 * was found valid a moment ago.
 * @throws {BatonError} `unauthenticated`, `forbidden`, or `rate_limited` after too many bad credentials
 */
export function authenticate(
  endpoint: AnyEndpoint,
  environment: RequestEnvironment,
  request: IncomingMessage,
): Login | Promise<Login> {
  if (endpoint.roles === 'public') return { caller: NOBODY, sessionEndsAt: null, credential: null };
  const login = identify(environment, request);
  return login instanceof Promise ? login.then((found) => allowed(endpoint, found)) : allowed(endpoint, login);
}

function allowed(endpoint: AnyEndpoint, login: Login): Login {
  if (endpoint.roles === 'public' || endpoint.roles.includes(login.caller.role)) return login;
  throw new BatonError(
    'forbidden',
    `A key of role ${login.caller.role} may not ${endpoint.method.toUpperCase()} ${endpoint.path}; that takes one of: ${endpoint.roles.join(', ')}.`,
  );
}

function identify(environment: RequestEnvironment, request: IncomingMessage): Login | Promise<Login> {
  const { authenticator } = environment.services;
  const { authorization, cookie } = request.headers;
  // A WebSocket that offers a key uses that key, whatever cookie the browser sends with it.
  const offered = authorization === undefined && isWebSocket(request) ? offeredKey(request) : undefined;
  if (offered !== undefined) requireKnownPage(request, environment.services.access.corsOrigins);
  const session = authorization === undefined && offered === undefined ? readSession(cookie) : undefined;
  if (session !== undefined) {
    requireOwnPage(request);
    return authenticator.authenticateSession(session, addressOf(environment, request));
  }
  const [, sent] = /^Bearer +(\S+)$/i.exec(authorization ?? '') ?? [];
  const bearer = offered ?? sent;
  if (bearer === undefined) {
    throw new BatonError('unauthenticated', 'This call needs an API key: send it as "Authorization: Bearer <key>".');
  }
  return authenticator.recall(bearer) ?? authenticator.authenticate(bearer, addressOf(environment, request));
}

function addressOf(environment: RequestEnvironment, request: IncomingMessage): string {
  return environment.known(request).ip ?? '';
}
