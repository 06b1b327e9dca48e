import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { createAlert, deleteAlert, editAlert, findAlert, testAlert } from '../../domain/alerts/manage';
import type { AlertRow } from '../../store/alerts';
import * as views from '../../store/views/alerts';
import { ADMINS, endpoint, OPERATORS, reply } from '../core/endpoint';
import { isUuid, readCursor, replyPage } from '../core/pages';

const params = z.object({ id: protocol.id });

export const alertEndpoints = [
  endpoint({
    method: 'post',
    path: '/alerts',
    summary: 'Create an alert, which notifies when a measure exceeds a threshold and when it recovers',
    roles: ADMINS,
    body: protocol.createAlert,
    audit: ['alert.created'],
    replies: { 201: protocol.alert },
    run: async ({ services, by, body }) => reply(201, render(await createAlert(services.context, by, body))),
  }),
  endpoint({
    method: 'get',
    path: '/alerts',
    summary: 'List alerts with their states, oldest first',
    roles: OPERATORS,
    query: protocol.listAlertsQuery,
    replies: { 200: protocol.alertList },
    async run({ services, query: { limit, cursor } }) {
      const rows = await views.page(services.context.db, readCursor(cursor, isUuid), limit + 1);
      return replyPage(rows, limit, render, (row) => row.id);
    },
  }),
  endpoint({
    method: 'get',
    path: '/alerts/:id',
    summary: 'Read an alert: whether it fires, since when, and its value',
    roles: OPERATORS,
    params,
    replies: { 200: protocol.alert },
    run: async ({ services, params: { id } }) => reply(200, render(await findAlert(services.context, id))),
  }),
  endpoint({
    method: 'patch',
    path: '/alerts/:id',
    summary: 'Change, disable or enable an alert',
    roles: ADMINS,
    params,
    body: protocol.editAlert,
    audit: ['alert.edited'],
    replies: { 200: protocol.alert },
    run: async ({ services, by, params: { id }, body }) =>
      reply(200, render(await editAlert(services.context, by, id, body))),
  }),
  endpoint({
    method: 'delete',
    path: '/alerts/:id',
    summary: 'Delete an alert; if it is firing, it is reported as resolved',
    roles: ADMINS,
    params,
    audit: ['alert.deleted'],
    replies: { 204: z.null() },
    async run({ services, by, params: { id } }) {
      await deleteAlert(services.context, by, id);
      return reply(204, null);
    },
  }),
  endpoint({
    method: 'post',
    path: '/alerts/:id/test',
    summary: 'Test an alert: measure now and notify as if it fired, marked as a test',
    roles: ADMINS,
    params,
    audit: ['alert.tested'],
    replies: { 200: protocol.alertTest },
    run: async ({ services, by, params: { id } }) => reply(200, await testAlert(services.context, by, id)),
  }),
];

function render(row: AlertRow): protocol.Alert {
  const { since, evaluatedAt, createdAt, updatedAt, ...rest } = row;
  return {
    ...rest,
    since: since.toISOString(),
    evaluatedAt: evaluatedAt?.toISOString() ?? null,
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
  };
}
