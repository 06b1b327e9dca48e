import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { type Caller, visibleUser } from '../../domain/auth/caller';
import { applyNow } from '../../domain/bulk/bulk-operation';
import { wantedRunners } from '../../domain/queues/scale';
import { pauseQueue, resumeQueue, setQueue } from '../../domain/queues/controls';
import { BatonError } from '../../errors';
import * as views from '../../store/views/queues';
import type { Services } from '../core/services';
import { ADMINS, endpoint, OPERATORS, reply } from '../core/endpoint';
import { readCursor, replyPage } from '../core/pages';
import { renderQueue } from '../render/queues';

const params = z.object({ name: protocol.queueName });

export const queueEndpoints = [
  endpoint({
    method: 'get',
    path: '/queues',
    scope: 'kept',
    summary: 'List the queues, with depth, rates, limits and pauses',
    roles: OPERATORS,
    query: protocol.listQueuesQuery,
    replies: { 200: protocol.queueList },
    async run({ services, caller, query: { limit, cursor } }) {
      requireNoTypes(caller);
      const after = readCursor(cursor, (key) => protocol.queueName.safeParse(key).success);
      const queues = (await read(services, null))
        .sort((one, other) => (one.name < other.name ? -1 : 1))
        .filter(({ name }) => sees(caller, name) && (after === null || name > after));
      return replyPage(
        queues.slice(0, limit + 1),
        limit,
        (queue) => queue,
        ({ name }) => name,
      );
    },
  }),
  endpoint({
    method: 'get',
    path: '/queues/:name',
    scope: 'kept',
    summary: 'Read a queue',
    roles: OPERATORS,
    params,
    replies: { 200: protocol.queue },
    async run({ services, caller, params: { name } }) {
      requireQueue(caller, name);
      return reply(200, await readOne(services, name));
    },
  }),
  endpoint({
    method: 'put',
    path: '/queues/:name',
    summary: "Set a queue's limits and defaults; omitted fields are unchanged, null removes a limit",
    roles: ADMINS,
    params,
    body: protocol.setQueue,
    audit: ['queue.set'],
    replies: { 200: protocol.queue },
    async run({ services, by, params: { name }, body }) {
      await setQueue(services.context, by, name, body);
      return reply(200, await readOne(services, name));
    },
  }),
  endpoint({
    method: 'post',
    path: '/queues/:name/pause',
    summary: 'Pause a queue: no more of its jobs are claimed; running jobs continue',
    roles: ADMINS,
    params,
    body: protocol.pauseQueue,
    audit: ['queue.paused'],
    replies: { 200: protocol.queue },
    async run({ services, by, params: { name }, body }) {
      await pauseQueue(services.context, by, name, body.reason ?? null, body.untilAt ?? null);
      return reply(200, await readOne(services, name));
    },
  }),
  endpoint({
    method: 'post',
    path: '/queues/:name/resume',
    summary: 'Resume a paused queue',
    roles: ADMINS,
    params,
    audit: ['queue.resumed'],
    replies: { 200: protocol.queue },
    async run({ services, by, params: { name } }) {
      await resumeQueue(services.context, by, name);
      return reply(200, await readOne(services, name));
    },
  }),
  endpoint({
    method: 'post',
    path: '/queues/:name/purge',
    summary: 'Cancel all waiting jobs of a queue with the reason purged; running jobs continue',
    roles: ADMINS,
    params,
    audit: ['job.cancelled', 'jobs.cancelled'],
    replies: { 200: protocol.bulkCount },
    async run({ services, caller, by, signal, params: { name } }) {
      const filter = { queue: [name], status: ['pending' as const, 'blocked' as const] };
      return reply(200, {
        count: await applyNow(
          services.context,
          {
            verb: 'cancel',
            filter,
            userId: visibleUser(caller),
            parameters: { reason: 'purged' },
            by,
          },
          signal,
        ),
      });
    },
  }),
  endpoint({
    method: 'get',
    path: '/queues/:name/scale',
    scope: 'kept',
    summary: 'Read how many runners a queue needs, for autoscalers',
    roles: OPERATORS,
    params,
    query: protocol.scaleQuery,
    replies: { 200: protocol.scale },
    async run({ services, caller, params: { name }, query }) {
      requireQueue(caller, name);
      const [statistics] = await views.statistics(services.context.db, name);
      const meanRunMs = await views.meanRunMs(services.context.db, name);
      const { waiting = 0, running = 0, oldestAgeMs = null, inPerMinute = 0 } = statistics ?? {};
      const wanted = wantedRunners({ waiting, running, inPerMinute, meanRunMs }, query);
      return reply(200, { waiting, running, wanted, oldestAgeMs, meanRunMs });
    },
  }),
];

function sees({ queues }: Caller, name: string): boolean {
  return queues === null || queues.includes(name);
}

/** The totals of a queue over all types are not shown to a key limited to some types. */
function requireNoTypes(caller: Caller): void {
  if (caller.types !== null)
    throw new BatonError(
      'forbidden',
      `Queues are told of as a whole, and this key is limited to the types ${caller.types.join(', ')}. GET /jobs/count counts what it sees.`,
    );
}

function requireQueue(caller: Caller, name: string): void {
  requireNoTypes(caller);
  if (!sees(caller, name)) throw noQueue(name);
}

function noQueue(name: string): BatonError {
  return new BatonError('not_found', `There is no queue ${name}: no job was created in it, and nothing is set for it.`);
}

async function read(services: Services, only: string | null): Promise<protocol.Queue[]> {
  const [statistics, rows] = await Promise.all([
    views.statistics(services.context.db, only),
    views.settings(services.context.db),
  ]);
  const settings = new Map(rows.map((row) => [row.name, row]));
  return statistics.map((one) => renderQueue(one, settings.get(one.name)));
}

async function readOne(services: Services, name: string): Promise<protocol.Queue> {
  const [queue] = await read(services, name);
  if (queue === undefined) throw noQueue(name);
  return queue;
}
