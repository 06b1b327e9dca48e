import type { SystemReport } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { CredentialWatch } from '../../domain/auth/credential-watch';
import type { Authenticator } from '../../domain/auth/authenticator';
import type { ApiKeyCache } from '../../domain/auth/api-key-cache';
import { Metrics } from '../../domain/metrics/metrics';
import type { Access } from './access';
import { BodyBudget } from '../body/body-budget';
import { KeyLimits } from './key-limits';
import { type BatchedVerbs, batchVerbs } from '../../dispatch/batched-verbs';
import { EventConnections } from '../streams/event-connections';
import { Dispatcher } from '../../dispatch/dispatcher';
import { WaitingHeartbeats } from '../../dispatch/waiting-heartbeats';
import { WaitingReads } from '../../dispatch/waiting-reads';
import { MOST_BODY_BYTES, MOST_UNSENT_BYTES } from './limits';
import { TtlCache } from '../../domain/auth/ttl-cache';
import type { Tracing } from './tracing';
import { UnsentAnswers } from './unsent-answers';
import { WebSockets } from '../streams/web-sockets';

/** Services shared by all routes. */
export interface Services extends BatchedVerbs {
  context: Context;
  access: Access;
  keys: ApiKeyCache;
  authenticator: Authenticator;
  keyLimits: KeyLimits;
  bodies: BodyBudget;
  unsent: UnsentAnswers;
  credentialWatch: CredentialWatch;
  dispatcher: Dispatcher;
  waitingReads: WaitingReads;
  waitingHeartbeats: WaitingHeartbeats;
  eventConnections: EventConnections;
  webSockets: WebSockets;
  metrics: Metrics;
  /** Reasons why requests cannot be served. Cached for a moment, because anyone may ask. */
  readiness: TtlCache<string[]>;
  /** Sends due deliveries now instead of within a second. */
  wakeDeliveries: () => void;
  processState: ProcessState;
  /** Null: nothing is traced. */
  tracing: Tracing | null;
}

/** The state of this process. */
export interface ProcessState {
  version: string;
  /** The settings from the environment, without secrets. */
  settings: SystemReport['settings'];
  startedAt: number;
  isDraining: boolean;
  /** Time since the timeout monitor finished a round, in milliseconds; null: not yet. */
  monitorLagMs(): number | null;
  pendingMigrations(): Promise<string[]>;
}

const READINESS_KEPT_MS = 1000;

export function createServices(
  context: Context,
  {
    access,
    keys,
    authenticator,
    wakeDeliveries,
  }: Pick<Services, 'access' | 'keys' | 'authenticator' | 'wakeDeliveries'>,
  processState: ProcessState,
  tracing: Tracing | null = null,
): Services {
  const dispatcher = new Dispatcher(context);
  const webSockets = new WebSockets();
  return {
    context,
    access,
    keys,
    authenticator,
    wakeDeliveries,
    keyLimits: new KeyLimits(access),
    bodies: new BodyBudget(MOST_BODY_BYTES),
    unsent: new UnsentAnswers(MOST_UNSENT_BYTES),
    readiness: new TtlCache(READINESS_KEPT_MS),
    credentialWatch: new CredentialWatch(context.db.vital),
    processState,
    tracing,
    dispatcher,
    waitingReads: new WaitingReads(context),
    waitingHeartbeats: new WaitingHeartbeats(context.runnerRegistry),
    webSockets,
    eventConnections: new EventConnections(context, webSockets, {
      inAll: access.eventStreams,
      perKey: access.eventStreamsPerKey,
    }),
    metrics: new Metrics({
      db: { ...context.db, ...context.db.reads('metrics') },
      events: context.events,
      version: processState.version,
      monitorLagMs: () => processState.monitorLagMs(),
      listeners: () => context.stream.listeners,
    }),
    ...batchVerbs(context, (jobs) => dispatcher.reserve(jobs)),
  };
}
