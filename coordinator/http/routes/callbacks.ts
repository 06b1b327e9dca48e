import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { visibleUser } from '../../domain/auth/caller';
import { callbackSecret, rotateCallbackSecret } from '../../domain/webhooks/callback-secret';
import { resendCallback } from '../../domain/webhooks/redeliver';
import { BatonError } from '../../errors';
import * as views from '../../store/views/jobs';
import * as deliveries from '../../store/views/webhook-deliveries';
import { type Call, CLIENTS, endpoint, READERS, reply } from '../core/endpoint';
import { isUuid, readCursor, replyPage } from '../core/pages';
import { renderDelivery } from '../render/webhooks';

const params = z.object({ id: protocol.id });

/** Deliveries to the `callbackUrl` of jobs, and their signing secret. */
export const callbackEndpoints = [
  endpoint({
    method: 'get',
    path: '/callback-secret',
    summary: 'Read the secret that signs callbacks',
    roles: CLIENTS,
    replies: { 200: protocol.callbackSecret },
    async run({ services, caller }) {
      const userId = visibleUser(caller);
      return reply(200, render(userId, await callbackSecret(services.context, userId)));
    },
  }),
  endpoint({
    method: 'post',
    path: '/callback-secret/rotate',
    summary: 'Rotate the callback secret; callbacks carry both signatures during the grace period',
    roles: ['admin', 'user'],
    body: protocol.rotateSecret,
    audit: ['callback_secret.rotated'],
    replies: { 200: protocol.callbackSecret },
    async run({ services, caller, by, body: { graceMs } }) {
      const userId = visibleUser(caller);
      return reply(200, render(userId, await rotateCallbackSecret(services.context, by, userId, graceMs)));
    },
  }),
  endpoint({
    method: 'get',
    path: '/jobs/:id/callbacks',
    scope: 'job',
    summary: "List the deliveries to a job's callbackUrl, newest first",
    roles: READERS,
    params,
    query: protocol.listDeliveriesQuery,
    replies: { 200: protocol.deliveryList },
    async run(call) {
      const { limit, cursor, status } = call.query;
      const jobId = await findJob(call);
      const rows = await deliveries.page(
        call.services.context.db,
        { jobId },
        status ?? null,
        readCursor(cursor, isUuid),
        limit + 1,
      );
      return replyPage(rows, limit, renderDelivery, (row) => row.id);
    },
  }),
  endpoint({
    method: 'post',
    path: '/jobs/:id/callbacks/resend',
    scope: 'job',
    summary: 'Send the last callback of a job again, with the same id',
    roles: CLIENTS,
    params,
    audit: ['delivery.resent'],
    replies: { 202: protocol.delivery },
    async run(call) {
      const delivery = await resendCallback(call.services.context, call.by, await findJob(call));
      call.services.wakeDeliveries();
      return reply(202, renderDelivery(delivery));
    },
  }),
];

async function findJob({
  services,
  caller,
  params: { id },
}: Call<typeof params, z.ZodType | undefined, z.ZodType | undefined>): Promise<string> {
  const job = await views.get(services.context.db, visibleUser(caller), id);
  if (job === null) throw new BatonError('not_found', `There is no job with id ${id}.`);
  return job.id;
}

function render(
  userId: string | null,
  { secret, createdAt }: { secret: string; createdAt: Date },
): protocol.CallbackSecret {
  return { userId, secret, createdAt: createdAt.toISOString() };
}
