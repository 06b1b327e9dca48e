import { randomUUID } from 'node:crypto';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Config } from './config/config';
import type { Context, FollowUps } from './context';
import { Authenticator } from './domain/auth/authenticator';
import { FailedLogins } from './domain/auth/failed-logins';
import { ApiKeyCache } from './domain/auth/api-key-cache';
import { TokenVerifier } from './domain/auth/tokens';
import { reportThrottledLogins } from './domain/audit/throttled-logins';
import { Events } from './domain/events/events';
import { freeDependants } from './domain/jobs/settle';
import { endWorkflows } from './domain/workflows/end';
import { advanceBatches } from './domain/batches/advance';
import { EventStream } from './domain/events/stream';
import { ObjectStore } from './domain/objects/object-store';
import { Notifications } from './state/notifications';
import { logEvents } from './domain/events/log-events';
import { LaneCatalog } from './state/lanes';
import { ReadyLanes } from './state/ready-lanes';
import { JobIds } from './state/job-ids';
import { storedDefaults } from './state/defaults';
import { QueueSettings } from './state/queue-settings';
import { WaitingCounts } from './state/waiting-counts';
import { PublishedTypes } from './state/published-types';
import { RunnerRegistry } from './state/runner-registry';
import { WorkQueue } from './state/work-queue';
import { Deliverer } from './domain/webhooks/deliverer';
import { type Access, DEFAULT_ACCESS } from './http/core/access';
import { type Services, createServices, type ProcessState } from './http/core/services';
import { createHttpServer } from './http/server';
import type { Tracing } from './http/core/tracing';
import { describeError, type Logger } from './logger';
import { objectsLoop } from './loops/objects';
import { alertsLoop } from './loops/alerts';
import { bulkLoop } from './loops/bulk';
import { credentialsLoop } from './loops/credentials';
import { dueLoop } from './loops/due';
import { eventPruneLoop, eventsLoop } from './loops/events';
import { receiveNotifications, notificationsLoop } from './loops/notifications';
import { pendingWorkLoop } from './loops/pending-work';
import type { Loop } from './loops/loop';
import { idleLanesLoop, retentionLoop } from './loops/retention';
import { rollupLoop } from './loops/rollups';
import { runnerRegistryLoop } from './loops/runner-registry';
import { schedulesLoop, tickPruneLoop } from './loops/schedules';
import { settleLoop } from './loops/settle';
import { timeoutMonitor } from './loops/timeout-monitor';
import { deliveryLoop, outboxLoop, webhookTidyLoop } from './loops/webhooks';
import { openDb } from './store/db';
import { pendingMigrations } from './store/migrate';
import { storeSettings } from './store/settings';
import { VERSION } from './version';

const SWEEP_MS = 50;
/** Delivery attempts that end within this time make room for the next ones together. */
const ROOM_MS = 10;

/** One coordinator. */
export interface App {
  context: Context;
  services: Services;
  loops: {
    monitor: Loop;
    runnerRegistry: Loop;
    notifications: Loop;
    due: Loop;
    pendingWork: Loop;
    bulk: Loop;
    settle: Loop;
    alerts: Loop;
    schedules: Loop;
    tickPrune: Loop;
    retention: Loop;
    idleLanes: Loop;
    rollups: Loop;
    events: Loop;
    eventPrune: Loop;
    outbox: Loop;
    deliveries: Loop;
    webhookTidy: Loop;
    objects: Loop;
    credentials: Loop;
  };
  deliverer: Deliverer;
  server: Server;
  /** Starts the loops and listens. Resolves with the port. */
  start(): Promise<number>;
  /**
   * Reports not ready to load balancers for `drainMs`, answers all waiting calls, lets requests under way end, then
   * stops loops and pools. Requests that take longer than `graceMs` are aborted.
   */
  stop(graceMs?: number): Promise<void>;
}

export type AppConfig = Pick<
  Config,
  | 'port'
  | 'host'
  | 'poolSize'
  | 'maxPayloadBytes'
  | 'monitorIntervalMs'
  | 'keepMs'
  | 'keepMetricsMs'
  | 'maxLogLines'
  | 'jobDefaults'
  | 'drainMs'
  | 'webhooks'
  | 'maxSchedules'
  | 'inForce'
> & {
  objects?: Config['objects'];
  access?: Access;
  /** Whether leases that expired before the start are given the time of one heartbeat. Default: true. */
  startsCutOff?: boolean;
};

/** The composition root. Uses neither the environment nor process globals, so that tests can build it too. */
export function createApp(config: AppConfig, url: string, log: Logger, tracing: Tracing | null = null): App {
  const db = openDb(url, {
    poolSize: config.poolSize,
    onError: (error) => log.warn('a database connection broke', describeError(error)),
    onMove: (server) => log.warn('another server of the database takes writes now', { server }),
  });
  const context: Context = {
    db,
    log,
    events: new Events((error) => log.error('a listener of events failed', describeError(error))),
    stream: new EventStream(db),
    notifications: new Notifications(randomUUID(), (error) =>
      log.error('a listener of notifications failed', describeError(error)),
    ),
    lanes: new LaneCatalog(db),
    readyLanes: new ReadyLanes(),
    queueSettings: new QueueSettings(db, config.jobDefaults),
    waitingCounts: new WaitingCounts(db),
    runnerRegistry: new RunnerRegistry(db),
    publishedTypes: new PublishedTypes(db),
    followUps: openFollowUps(log, () => context),
    jobIds: new JobIds(),
    maxPayloadBytes: config.maxPayloadBytes,
    maxLogLines: config.maxLogLines,
    keepMs: config.keepMs,
    webhooks: config.webhooks,
    objects: config.objects ? new ObjectStore(config.objects) : null,
    maxSchedules: config.maxSchedules,
    keepMetricsMs: config.keepMetricsMs,
  };
  logEvents(context.events, log);
  const deliverer = new Deliverer(context, () => deliveries.wake(ROOM_MS));
  const deliveries = deliveryLoop(context, deliverer);
  const woken = {
    bulk: bulkLoop(context),
    settle: settleLoop(context),
    alerts: alertsLoop(context),
    schedules: schedulesLoop(context),
    outbox: outboxLoop(context, deliveries),
    deliveries,
  };
  const loops = {
    monitor: timeoutMonitor(context, config.monitorIntervalMs, config.startsCutOff ?? true),
    due: dueLoop(context),
    pendingWork: pendingWorkLoop(context, woken),
    ...woken,
    runnerRegistry: runnerRegistryLoop(context),
    notifications: notificationsLoop(context),
    retention: retentionLoop(context),
    idleLanes: idleLanesLoop(context),
    rollups: rollupLoop(context),
    events: eventsLoop(context),
    eventPrune: eventPruneLoop(context),
    tickPrune: tickPruneLoop(context),
    webhookTidy: webhookTidyLoop(context),
    objects: objectsLoop(context),
  };
  const processState: ProcessState = {
    version: VERSION,
    settings: config.inForce,
    startedAt: performance.now(),
    isDraining: false,
    monitorLagMs: () => loops.monitor.lagMs(),
    pendingMigrations: onceEmpty(() => pendingMigrations(url)),
  };
  const services = createServices(
    context,
    { ...openAuthentication(context, config.access ?? DEFAULT_ACCESS), wakeDeliveries: () => deliveries.wake(0) },
    processState,
    tracing,
  );
  context.notifications.on('runners', () => {
    const told = context.runnerRegistry.readDraining().then(() => services.waitingHeartbeats.drainingChanged());
    told.catch((error: unknown) => log.warn('could not read which runners drain', describeError(error)));
  });
  context.notifications.on('cancelled', (jobs) => services.waitingHeartbeats.cancelled(jobs));
  context.notifications.on('cancelledMany', () => services.waitingHeartbeats.cancelledMany());
  const allLoops = { ...loops, credentials: credentialsLoop(services.credentialWatch, log) };
  const server = createHttpServer(services);
  let listener: ReturnType<typeof receiveNotifications> | undefined;

  return {
    context,
    services,
    loops: allLoops,
    deliverer,
    server,
    async start() {
      // Limits apply from the first request on.
      await context.queueSettings
        .read()
        .catch((error: unknown) => log.warn('could not read what is set for queues', describeError(error)));
      await context.jobIds
        .adjust(db)
        .catch((error: unknown) => log.warn('could not read the time of the database', describeError(error)));
      await storeSettings(db, {
        maxPayloadBytes: config.maxPayloadBytes,
        defaults: storedDefaults(config.jobDefaults),
      }).catch((error: unknown) =>
        log.warn('could not tell the database what jobs have that SQL creates', describeError(error)),
      );
      const port = await listenOn(server, config);
      listener = receiveNotifications(context, url, VERSION);
      for (const loop of Object.values(allLoops)) loop.start();
      return port;
    },
    async stop(graceMs = 5000) {
      processState.isDraining = true;
      if (config.drainMs > 0) await new Promise((resolve) => setTimeout(resolve, config.drainMs));
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      const delivered = deliverer.close(graceMs);
      services.waitingReads.close();
      services.waitingHeartbeats.close();
      services.eventConnections.close();
      await services.dispatcher.close();
      // The answer to a request that started before the drain leaves its connection open.
      const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
      const cut = setTimeout(() => {
        server.closeAllConnections();
        services.webSockets.cut();
      }, graceMs);
      await closed;
      clearInterval(sweep);
      clearTimeout(cut);
      await services.dispatcher.settled();
      await Promise.all(Object.values(allLoops).map((loop) => loop.stop()));
      await Promise.all(Object.values(context.followUps).map((queue: WorkQueue) => queue.idle()));
      await delivered;
      await context.runnerRegistry
        .writeSeen()
        .catch((error: unknown) => log.debug('the runner registry was not written', describeError(error)));
      await listener?.stop();
      await db.close();
    },
  };
}

function openAuthentication(context: Context, access: Access): Pick<Services, 'access' | 'keys' | 'authenticator'> {
  const keys = new ApiKeyCache(context.db.vital);
  const tokens = access.tokens === null ? null : new TokenVerifier(access.tokens);
  const failures = new FailedLogins(access.failedLoginsPerMinute);
  return {
    access,
    keys,
    authenticator: new Authenticator(keys, tokens, failures, (source) => void reportThrottledLogins(context, source)),
  };
}

function openFollowUps(log: Logger, context: () => Context): FollowUps {
  const open = (work: (context: Context, ids: string[]) => Promise<string[]>): WorkQueue =>
    new WorkQueue(
      (ids) => work(context(), ids),
      (error) => log.warn('what follows the end of jobs is left to the loop', describeError(error)),
    );
  return { dependants: open(freeDependants), workflows: open(endWorkflows), batches: open(advanceBatches) };
}

/** Migrations are never reverted, so once none is pending this is not checked again. */
function onceEmpty(read: () => Promise<string[]>): () => Promise<string[]> {
  let isCurrent = false;
  return async () => {
    if (isCurrent) return [];
    const pending = await read();
    isCurrent = pending.length === 0;
    return pending;
  };
}

function listenOn(server: Server, { port, host }: Pick<Config, 'port' | 'host'>): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}
