import type { Caller } from '../../domain/auth/caller';
import type { Services } from './services';

/**
 * What a call that only reads is given: connections of which its key has a share, so that no reader keeps others, or the
 * coordinator's own work, waiting. What it reads is stopped when its client has gone.
 */
export function reading(call: { services: Services; caller: Caller; readonly signal: AbortSignal }): Services {
  const { services, caller } = call;
  const { context } = services;
  const db = { ...context.db, ...context.db.reads(caller.keyId, () => call.signal) };
  return { ...services, context: { ...context, db } };
}
