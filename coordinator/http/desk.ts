import type { Context } from '../context';
import type { Doorman } from '../domain/auth/doorman';
import type { KeyRing } from '../domain/auth/keys';
import { complete } from '../domain/jobs/complete';
import { create } from '../domain/jobs/create';
import { heartbeat } from '../domain/jobs/heartbeat';
import { release } from '../domain/jobs/release';
import { Metrics } from '../domain/metrics/metrics';
import type { Access } from './access';
import { Caps } from './caps';
import { coalesce } from '../dispatch/coalesce';
import { EventConnections } from './event-connections';
import { Dispatcher } from '../dispatch/dispatcher';
import { WaitingReads } from '../dispatch/waiting-reads';
import type { Tracing } from './tracing';

/** What stands behind the routes: the verbs, with the calls of all requests merged, and what waits. */
export interface Desk {
  context: Context;
  access: Access;
  keys: KeyRing;
  doorman: Doorman;
  caps: Caps;
  dispatcher: Dispatcher;
  waitingReads: WaitingReads;
  eventConnections: EventConnections;
  metrics: Metrics;
  create: (items: Parameters<typeof create>[1]) => ReturnType<typeof create>;
  complete: (items: Parameters<typeof complete>[1]) => ReturnType<typeof complete>;
  heartbeat: (items: Parameters<typeof heartbeat>[1]) => ReturnType<typeof heartbeat>;
  release: (items: Parameters<typeof release>[1]) => ReturnType<typeof release>;
  /** Deliveries that are due are sent now, not within a second. */
  wakeDeliveries: () => void;
  service: Service;
  /** Null: nothing is traced. */
  tracing: Tracing | null;
}

/** What the service knows of itself. */
export interface Service {
  version: string;
  startedAt: number;
  isDraining: boolean;
  /** How long ago the timeout monitor finished a round, in milliseconds; null: not yet. */
  monitorLagMs(): number | null;
  pendingMigrations(): Promise<string[]>;
}

export function openDesk(
  context: Context,
  { access, keys, doorman, wakeDeliveries }: Pick<Desk, 'access' | 'keys' | 'doorman' | 'wakeDeliveries'>,
  service: Service,
  tracing: Tracing | null = null,
): Desk {
  const dispatcher = new Dispatcher(context);
  return {
    context,
    access,
    keys,
    doorman,
    wakeDeliveries,
    caps: new Caps(access),
    service,
    tracing,
    dispatcher,
    waitingReads: new WaitingReads(context),
    eventConnections: new EventConnections(context),
    metrics: new Metrics({
      db: context.db,
      events: context.events,
      version: service.version,
      monitorLagMs: () => service.monitorLagMs(),
      listeners: () => context.stream.listeners,
    }),
    create: coalesce((items) => create(context, items, (jobs) => dispatcher.reserve(jobs)), {
      maxBatch: 1000,
      maxInFlight: 2,
    }),
    complete: coalesce((items) => complete(context, items), { maxBatch: 1000, maxInFlight: 2 }),
    heartbeat: coalesce((items) => heartbeat(context, items), { maxBatch: 2000, maxInFlight: 1 }),
    release: coalesce((items) => release(context, items), { maxBatch: 500, maxInFlight: 1 }),
  };
}
