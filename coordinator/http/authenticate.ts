import type { Request } from 'express';
import type { Caller } from '../domain/auth/caller';
import type { Doorman } from '../domain/auth/doorman';
import type { Login } from '../domain/auth/keys';
import { BatonError } from '../errors';
import { readSession, requireOwnPage } from './browser';
import type { AnyEndpoint } from './endpoint';

const NOBODY: Caller = { keyId: '', name: 'public', role: 'viewer', userId: null, queues: [], types: [] };

/**
 * Who calls, if the endpoint lets them: by a bearer, or else by a browser's session.
 * @throws {BatonError} `unauthenticated`, `forbidden`, or `rate_limited` after too many bad credentials
 */
export async function authenticate(endpoint: AnyEndpoint, doorman: Doorman, request: Request): Promise<Login> {
  if (endpoint.roles === 'public') return { caller: NOBODY, sessionEndsAt: null };
  const login = await identify(doorman, request);
  if (!endpoint.roles.includes(login.caller.role)) {
    throw new BatonError('forbidden', `A key of role ${login.caller.role} may not ${endpoint.method.toUpperCase()} ${endpoint.path}; that takes one of: ${endpoint.roles.join(', ')}.`);
  }
  return login;
}

async function identify(doorman: Doorman, request: Request): Promise<Login> {
  const address = request.ip ?? '';
  const authorization = request.get('authorization');
  const session = authorization === undefined ? readSession(request.get('cookie')) : undefined;
  if (session !== undefined) {
    requireOwnPage(request);
    return doorman.admitSession(session, address);
  }
  const [, bearer] = /^Bearer +(\S+)$/i.exec(authorization ?? '') ?? [];
  if (bearer === undefined) {
    throw new BatonError('unauthenticated', 'This call needs an API key: send it as "Authorization: Bearer <key>".');
  }
  return doorman.admit(bearer, address);
}
