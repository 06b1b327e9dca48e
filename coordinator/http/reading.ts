import type { Caller } from '../domain/auth/caller';
import type { Desk } from './desk';

/**
 * What a call that only reads is given: connections of which its key has a share, so that no reader keeps others, or the
 * coordinator's own work, waiting. What it reads is stopped when its client has gone.
 */
export function reading(call: { desk: Desk; caller: Caller; readonly signal: AbortSignal }): Desk {
  const { desk, caller } = call;
  const { context } = desk;
  const db = { ...context.db, ...context.db.reads(caller.keyId, () => call.signal) };
  return { ...desk, context: { ...context, db } };
}
