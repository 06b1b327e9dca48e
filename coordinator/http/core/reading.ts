import type { Services } from './services';

/**
 * The services of a call that only reads: its database connections are limited to the share of its key, or of the
 * address of a caller without one, so that no reader blocks others or the coordinator's own work. Its statements are
 * cancelled when its client disconnects.
 */
export function reading(call: { services: Services; owner: string; readonly signal: AbortSignal }): Services {
  const { services, owner } = call;
  const { context } = services;
  const db = { ...context.db, ...context.db.reads(owner, () => call.signal) };
  return { ...services, context: { ...context, db } };
}

/** By owner, the services of its calls: created once, because hot calls get them too. */
const writers = new WeakMap<Services, Map<string, Services>>();
const MOST_WRITERS = 1000;

/** The same for a call that changes something; it continues when its client disconnects. */
export function writing({ services, owner }: { services: Services; owner: string }): Services {
  const known = writers.get(services) ?? new Map<string, Services>();
  writers.set(services, known);
  let own = known.get(owner);
  if (own === undefined) {
    const { context } = services;
    own = { ...services, context: { ...context, db: { ...context.db, ...context.db.writes(owner) } } };
    if (known.size >= MOST_WRITERS) known.clear();
    known.set(owner, own);
  }
  return own;
}
