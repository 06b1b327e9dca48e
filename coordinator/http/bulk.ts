import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { type Actor, type Caller, visibleUser } from '../domain/auth/caller';
import { applyInBackground, applyNow, type Bulk, countMatching } from '../domain/jobs/in-bulk';
import { BatonError } from '../errors';
import * as store from '../store/bulk';
import type { Desk } from './desk';
import { ADMINS, CLIENTS, endpoint, reply, type Reply } from './endpoint';
import { renderBulkOperation } from './render';
import { reading } from './reading';

const replies = { 200: protocol.bulkCount, 202: protocol.bulkOperation };

export const bulkEndpoints = [
  endpoint({
    method: 'post',
    path: '/jobs/cancel',
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
    summary: 'Retry by hand all jobs that match a filter',
    roles: CLIENTS,
    body: protocol.bulkRetry,
    audit: ['job.retried', 'jobs.retried', 'bulk.requested'],
    replies,
    run: (call) => applyBulk(call, 'retry', call.body, {}),
  }),
  endpoint({
    method: 'post',
    path: '/jobs/prioritise',
    summary: 'Change the priority of all waiting jobs that match a filter',
    roles: CLIENTS,
    body: protocol.bulkPrioritise,
    audit: ['job.edited', 'jobs.prioritised', 'bulk.requested'],
    replies,
    run: (call) => applyBulk(call, 'prioritise', call.body, { priority: call.body.priority }),
  }),
  endpoint({
    method: 'post',
    path: '/jobs/purge',
    summary: 'Delete for good all finished jobs that match a filter',
    roles: ADMINS,
    body: protocol.bulkPurge,
    audit: ['job.deleted', 'jobs.deleted', 'bulk.requested'],
    replies,
    run: (call) => applyBulk(call, 'purge', call.body, {}),
  }),
  endpoint({
    method: 'get',
    path: '/bulk-operations/:id',
    summary: 'Watch a verb that is applied to many jobs in the background',
    roles: CLIENTS,
    params: z.object({ id: protocol.id }),
    replies: { 200: protocol.bulkOperation },
    async run({ desk, caller, params: { id } }) {
      const operation = await store.get(desk.context.db, visibleUser(caller), id);
      if (operation === null) throw new BatonError('not_found', `There is no bulk operation with id ${id}.`);
      return reply(200, renderBulkOperation(operation));
    },
  }),
];

export interface Choice {
  /** Left out: every job, which the call has asked for in so many words. */
  filter?: protocol.JobFilter | undefined;
  dryRun: boolean;
  background: boolean;
}

export async function applyBulk(
  call: { desk: Desk; caller: Caller; by: Actor; readonly signal: AbortSignal },
  verb: store.BulkVerb,
  { filter = {}, dryRun, background }: Choice,
  parameters: Bulk['parameters'],
): Promise<Reply> {
  const { desk, caller, by } = call;
  const bulk: Bulk = { verb, filter, userId: visibleUser(caller), parameters, by };
  if (dryRun) return reply(200, { count: await countMatching(reading(call).context, bulk) });
  if (background) return reply(202, renderBulkOperation(await applyInBackground(desk.context, bulk)));
  return reply(200, { count: await applyNow(desk.context, bulk) });
}
