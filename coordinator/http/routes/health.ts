import { z } from 'zod';
import * as protocol from '@baton/runner-sdk/protocol';
import { describeError } from '../../logger';
import * as statistics from '../../store/views/statistics';
import { counts, ping, pingWrite } from '../../store/views/health';
import { countSchedules } from '../../store/views/schedules';
import { typeNames } from '../../store/views/stats';
import type { Services } from '../core/services';
import { endpoint, OPERATORS, reply, replyText } from '../core/endpoint';

/** A monitor that has not finished a round for this long is late. */
const MONITOR_LATE_MS = 30_000;
const READY_WITHIN_MS = 2000;
const HOUR_MS = 3_600_000;
const MOST_TYPES = 500;

export const healthEndpoints = [
  endpoint({
    method: 'get',
    path: '/healthz',
    summary: 'Check that the process is alive; does not use the database',
    roles: 'public',
    replies: { 200: protocol.alive },
    run: async () => Promise.resolve(reply(200, { status: 'ok' })),
  }),
  endpoint({
    method: 'get',
    path: '/readyz',
    summary: 'Check that requests can be served: database reachable and writable, migrations current, not draining',
    roles: 'public',
    replies: { 200: protocol.readiness, 503: protocol.readiness },
    async run({ services }) {
      const reasons = await whyNotReady(services);
      if (reasons.length === 0) return reply(200, { status: 'ready', reasons });
      return reply(503, { status: 'not_ready', reasons }, { 'Retry-After': '1' });
    },
  }),
  endpoint({
    method: 'get',
    path: '/health',
    summary: 'Read counts of jobs and runners, and the health of the database and the timeout monitor',
    roles: OPERATORS,
    replies: { 200: protocol.health },
    async run({ services }) {
      const before = performance.now();
      await ping(services.context.db);
      const latencyMs = Math.round((performance.now() - before) * 100) / 100;
      const [{ jobs, runners, databaseVersion }, processed, lately, types, schedules] = await Promise.all([
        counts(services.context.db),
        statistics.processed(services.context.db),
        statistics.outcomes(services.context.db, { by: 'all', windowMs: HOUR_MS }),
        typeNames(services.context.db, MOST_TYPES),
        countSchedules(services.context.db),
      ]);
      const lagMs = services.processState.monitorLagMs();
      return reply(200, {
        status: lagMs !== null && lagMs < MONITOR_LATE_MS ? 'ok' : 'degraded',
        version: services.processState.version,
        at: new Date().toISOString(),
        uptimeMs: Math.round(performance.now() - services.processState.startedAt),
        database: { latencyMs, version: databaseVersion },
        monitor: { lagMs },
        jobs,
        processed,
        averageRunMs: lately.attempts === 0 ? null : Math.round(lately.runMs / lately.attempts),
        types,
        runners,
        schedules: { ...schedules.byStatus, overdueMs: Math.round(schedules.overdueMs) },
      });
    },
  }),
  endpoint({
    method: 'get',
    path: '/metrics',
    summary: 'Read the metrics of this coordinator in the Prometheus text format; scrape with a key of role viewer',
    roles: OPERATORS,
    replies: { 200: z.string() },
    produces: 'text/plain',
    async run({ services }) {
      return replyText(200, await services.metrics.text());
    },
  }),
];

/** For a load balancer, a database that does not answer in time is unavailable. */
async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

async function whyNotReady(services: Services): Promise<string[]> {
  if (services.processState.isDraining) return ['the coordinator is shutting down'];
  return services.readiness.recall('', () => findOut(services));
}

async function findOut({ context, processState }: Services): Promise<string[]> {
  try {
    await within(READY_WITHIN_MS, pingWrite(context.db));
    const pending = await processState.pendingMigrations();
    return pending.length === 0
      ? []
      : [`migrations are missing: ${pending.join(', ')}; run baton migrate, or npm run migrate in the project`];
  } catch (error) {
    context.log.warn('not ready', describeError(error));
    return [whyNotWritable(error) ?? 'the database cannot be reached'];
  }
}

/** The database answers, but accepts no writes. */
function whyNotWritable(error: unknown): string | undefined {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const state = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (state === '25006') return 'the database is read only';
  if (state === '42501') return "the database's role may not write";
  return undefined;
}
