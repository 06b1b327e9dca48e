import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { type Actor, type Caller, visibleUser } from '../../domain/auth/caller';
import { covers, coversFilter, scopeText, withinScope } from '../../domain/auth/scope';
import {
  applyInBackground,
  applyNow,
  type BulkRequest,
  cancelOperation,
  countMatching,
} from '../../domain/bulk/bulk-operation';
import { replay } from '../../domain/bulk/replay';
import { BatonError } from '../../errors';
import type { BulkOperationRow, BulkVerb } from '../../store/bulk';
import * as views from '../../store/views/bulk';
import type { Services } from '../core/services';
import { readIdempotencyKey } from './create';
import { ADMINS, CLIENTS, endpoint, reply, type Reply } from '../core/endpoint';
import { renderBulkOperation } from '../render/bulk-operations';
import { reading } from '../core/reading';

const replies = { 200: protocol.bulkCount, 202: protocol.bulkOperation };

export const bulkEndpoints = [
  endpoint({
    method: 'post',
    path: '/jobs/cancel',
    scope: 'kept',
    summary: 'Cancel all jobs that match a filter',
    roles: CLIENTS,
    body: protocol.bulkCancel,
    audit: ['job.cancelled', 'jobs.cancelled', 'bulk.requested'],
    replies,
    run: (call) =>
      applyBulk(call, 'cancel', call.body, call.body.reason === undefined ? {} : { reason: call.body.reason }),
  }),
  endpoint({
    method: 'post',
    path: '/jobs/retry',
    scope: 'kept',
    summary: 'Retry all failed or cancelled jobs that match a filter',
    roles: CLIENTS,
    body: protocol.bulkRetry,
    audit: ['job.retried', 'jobs.retried', 'bulk.requested'],
    replies,
    run: (call) => applyBulk(call, 'retry', call.body, {}),
  }),
  endpoint({
    method: 'post',
    path: '/jobs/prioritise',
    scope: 'kept',
    summary: 'Change the priority of all waiting jobs that match a filter',
    roles: CLIENTS,
    body: protocol.bulkPrioritise,
    audit: ['job.edited', 'jobs.prioritised', 'bulk.requested'],
    replies,
    run: (call) => applyBulk(call, 'prioritise', call.body, { priority: call.body.priority }),
  }),
  endpoint({
    method: 'post',
    path: '/jobs/replay',
    scope: 'kept',
    summary: 'Create all finished jobs that match a filter again, as new jobs, in the background',
    roles: CLIENTS,
    headers: {
      'Idempotency-Key':
        'The same call again is the same operation, however often it is sent; to create the jobs once more, send another key.',
    },
    body: protocol.bulkReplay,
    takes: 'job',
    audit: ['bulk.requested'],
    replies,
    async run(call) {
      const { services, caller, by, body, header } = call;
      const { filter: wanted = {}, all: _all, dryRun, ...changes } = body;
      requireReachable(caller, changes.queue);
      const filter = withinScope(caller, wanted);
      const bulk: BulkRequest = { verb: 'replay', filter, userId: visibleUser(caller), parameters: changes, by };
      if (dryRun) return reply(200, { count: await countMatching(reading(call).context, bulk) });
      const key = readIdempotencyKey(header('idempotency-key'));
      return reply(202, renderBulkOperation(await replay(services.context, bulk, key ?? '')));
    },
  }),
  endpoint({
    method: 'post',
    path: '/jobs/purge',
    summary: 'Delete permanently all finished jobs that match a filter',
    roles: ADMINS,
    body: protocol.bulkPurge,
    audit: ['job.deleted', 'jobs.deleted', 'bulk.requested'],
    replies,
    run: (call) => applyBulk(call, 'purge', call.body, {}),
  }),
  endpoint({
    method: 'get',
    path: '/bulk-operations/:id',
    scope: 'kept',
    summary: 'Read the progress of a bulk operation in the background',
    roles: CLIENTS,
    params: z.object({ id: protocol.id }),
    replies: { 200: protocol.bulkOperation },
    run: async ({ services, caller, params: { id } }) =>
      reply(200, renderBulkOperation(await findOperation(services, caller, id))),
  }),
  endpoint({
    method: 'post',
    path: '/bulk-operations/:id/cancel',
    scope: 'kept',
    summary: 'End a bulk operation in the background before it has changed all jobs',
    roles: CLIENTS,
    params: z.object({ id: protocol.id }),
    audit: ['bulk.cancelled'],
    replies: { 200: protocol.bulkOperation },
    async run({ services, caller, by, params: { id } }) {
      await findOperation(services, caller, id);
      return reply(200, renderBulkOperation(await cancelOperation(services.context, by, id)));
    },
  }),
];

async function findOperation({ context }: Services, caller: Caller, id: string): Promise<BulkOperationRow> {
  const operation = await views.get(context.db, visibleUser(caller), id);
  if (operation === null || !coversFilter(caller, operation.filter))
    throw new BatonError('not_found', `There is no bulk operation with id ${id}.`);
  return operation;
}

function requireReachable(caller: Caller, queue: string | undefined): void {
  if (queue !== undefined && !covers({ ...caller, types: null }, { queue, type: '' }))
    throw new BatonError('forbidden', `This key may not create jobs in the queue ${queue}: ${scopeText(caller)}.`);
}

export interface Choice {
  /** Undefined: every job, which the call requested explicitly. */
  filter?: protocol.JobFilter | undefined;
  dryRun: boolean;
  background: boolean;
}

export async function applyBulk(
  call: { services: Services; caller: Caller; owner: string; by: Actor; readonly signal: AbortSignal },
  verb: BulkVerb,
  { filter = {}, dryRun, background }: Choice,
  parameters: BulkRequest['parameters'],
): Promise<Reply> {
  const { services, caller, by } = call;
  const bulk: BulkRequest = { verb, filter: withinScope(caller, filter), userId: visibleUser(caller), parameters, by };
  const { context } = reading(call);
  if (dryRun) return reply(200, { count: await countMatching(context, bulk) });
  if (background) return reply(202, renderBulkOperation(await applyInBackground(services.context, bulk)));
  return reply(200, { count: await applyNow(services.context, { ...bulk, search: context.db }, call.signal) });
}
