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

/** By key, what its calls are given; made once, since they are many. */
const writers = new WeakMap<Services, Map<string, Services>>();
const MOST_WRITERS = 1000;

/** The same for a call that changes something: what it changes goes on when its client has gone. */
export function writing({ services, caller: { keyId } }: { services: Services; caller: Caller }): Services {
  const known = writers.get(services) ?? new Map<string, Services>();
  writers.set(services, known);
  let own = known.get(keyId);
  if (own === undefined) {
    const { context } = services;
    own = { ...services, context: { ...context, db: { ...context.db, ...context.db.writes(keyId) } } };
    if (known.size >= MOST_WRITERS) known.clear();
    known.set(keyId, own);
  }
  return own;
}
