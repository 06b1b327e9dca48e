import type { Caller } from '../../domain/auth/caller';
import type { Services } from './services';

/**
 * The services of a call that only reads: its database connections are limited to the share of its key, so that no
 * reader blocks others or the coordinator's own work. Its statements are cancelled when its client disconnects.
 */
export function reading(call: { services: Services; caller: Caller; readonly signal: AbortSignal }): Services {
  const { services, caller } = call;
  const { context } = services;
  const db = { ...context.db, ...context.db.reads(caller.keyId, () => call.signal) };
  return { ...services, context: { ...context, db } };
}
