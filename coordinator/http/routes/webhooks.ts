import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { visibleUser } from '../../domain/auth/caller';
import { createWebhook, deleteWebhook, editWebhook, rotateSecret } from '../../domain/webhooks/manage';
import { findWebhook, resendDelivery, testWebhook } from '../../domain/webhooks/redeliver';
import * as deliveries from '../../store/views/webhook-deliveries';
import * as views from '../../store/views/webhooks';
import { CLIENTS, endpoint, reply } from '../core/endpoint';
import { isUuid, readCursor, replyPage } from '../core/pages';
import { renderDelivery, renderWebhook } from '../render/webhooks';

const params = z.object({ id: protocol.id });

export const webhookEndpoints = [
  endpoint({
    method: 'post',
    path: '/webhooks',
    summary: 'Create a webhook; only this response and that of a rotation contain its secret',
    roles: CLIENTS,
    body: protocol.createWebhook,
    audit: ['webhook.created'],
    replies: { 201: protocol.createdWebhook },
    async run({ services, caller, by, body }) {
      const { row, secret } = await createWebhook(services.context, caller, by, body);
      return reply(201, { ...renderWebhook(row), secret });
    },
  }),
  endpoint({
    method: 'get',
    path: '/webhooks',
    summary: 'List webhooks, oldest first',
    roles: CLIENTS,
    query: protocol.listWebhooksQuery,
    replies: { 200: protocol.webhookList },
    async run({ services, caller, query: { limit, cursor } }) {
      const rows = await views.page(services.context.db, visibleUser(caller), readCursor(cursor, isUuid), limit + 1);
      return replyPage(rows, limit, renderWebhook, (row) => row.id);
    },
  }),
  endpoint({
    method: 'get',
    path: '/webhooks/:id',
    summary: 'Read a webhook',
    roles: CLIENTS,
    params,
    replies: { 200: protocol.webhook },
    run: async ({ services, caller, params: { id } }) =>
      reply(200, renderWebhook(await findWebhook(services.context, caller, id))),
  }),
  endpoint({
    method: 'patch',
    path: '/webhooks/:id',
    summary: 'Change, disable or enable a webhook',
    roles: CLIENTS,
    params,
    body: protocol.editWebhook,
    audit: ['webhook.edited'],
    replies: { 200: protocol.webhook },
    run: async ({ services, caller, by, params: { id }, body }) =>
      reply(200, renderWebhook(await editWebhook(services.context, caller, by, id, body))),
  }),
  endpoint({
    method: 'delete',
    path: '/webhooks/:id',
    summary: 'Delete a webhook with its secrets and deliveries; pending deliveries are not sent',
    roles: CLIENTS,
    params,
    audit: ['webhook.deleted'],
    replies: { 204: z.null() },
    async run({ services, caller, by, params: { id } }) {
      await deleteWebhook(services.context, caller, by, id);
      return reply(204, null);
    },
  }),
  endpoint({
    method: 'post',
    path: '/webhooks/:id/rotate',
    summary: 'Rotate the secret of a webhook; deliveries carry both signatures during the grace period',
    roles: CLIENTS,
    params,
    body: protocol.rotateSecret,
    audit: ['webhook.secret_rotated'],
    replies: { 200: protocol.createdWebhook },
    async run({ services, caller, by, params: { id }, body }) {
      const { row, secret } = await rotateSecret(services.context, caller, by, id, body.graceMs);
      return reply(200, { ...renderWebhook(row), secret });
    },
  }),
  endpoint({
    method: 'post',
    path: '/webhooks/:id/test',
    summary: 'Send a test event, webhook.test, to a webhook',
    roles: CLIENTS,
    params,
    audit: ['webhook.tested'],
    replies: { 202: protocol.delivery },
    async run({ services, caller, by, params: { id } }) {
      const delivery = await testWebhook(services.context, caller, by, id);
      services.wakeDeliveries();
      return reply(202, renderDelivery(delivery));
    },
  }),
  endpoint({
    method: 'get',
    path: '/webhooks/:id/deliveries',
    summary: 'List the deliveries to a webhook, sent or pending, newest first',
    roles: CLIENTS,
    params,
    query: protocol.listDeliveriesQuery,
    replies: { 200: protocol.deliveryList },
    async run({ services, caller, params: { id }, query: { limit, cursor, status } }) {
      const { id: webhookId } = await findWebhook(services.context, caller, id);
      const rows = await deliveries.page(
        services.context.db,
        { webhookId },
        status ?? null,
        readCursor(cursor, isUuid),
        limit + 1,
      );
      return replyPage(rows, limit, renderDelivery, (row) => row.id);
    },
  }),
  endpoint({
    method: 'post',
    path: '/webhooks/:id/deliveries/:deliveryId/resend',
    summary: 'Send a finished delivery again, with the same id',
    roles: CLIENTS,
    params: params.extend({ deliveryId: protocol.id }),
    audit: ['delivery.resent'],
    replies: { 202: protocol.delivery },
    async run({ services, caller, by, params: { id, deliveryId } }) {
      const delivery = await resendDelivery(services.context, caller, by, id, deliveryId);
      services.wakeDeliveries();
      return reply(202, renderDelivery(delivery));
    },
  }),
];
