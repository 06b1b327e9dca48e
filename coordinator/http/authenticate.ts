import type { Caller } from '../domain/auth/caller';
import type { KeyRing } from '../domain/auth/keys';
import { BatonError } from '../errors';
import type { AnyEndpoint } from './endpoint';

const NOBODY: Caller = { keyId: '', name: 'public', role: 'viewer', userId: null, queues: [], types: [] };

/**
 * Who calls, if the endpoint lets them.
 * @throws {BatonError} `unauthenticated` or `forbidden`
 */
export async function authenticate(endpoint: AnyEndpoint, keys: KeyRing, authorization: string | undefined): Promise<Caller> {
  if (endpoint.roles === 'public') return NOBODY;
  const [, key] = /^Bearer +(\S+)$/i.exec(authorization ?? '') ?? [];
  if (key === undefined) {
    throw new BatonError('unauthenticated', 'This call needs an API key: send it as "Authorization: Bearer <key>".');
  }
  const caller = await keys.callerOf(key);
  if (!endpoint.roles.includes(caller.role)) {
    throw new BatonError('forbidden', `A key of role ${caller.role} may not ${endpoint.method.toUpperCase()} ${endpoint.path}; that takes one of: ${endpoint.roles.join(', ')}.`);
  }
  return caller;
}
