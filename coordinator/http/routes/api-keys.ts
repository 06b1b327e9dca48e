import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { createKey, rotateKey, revokeKey } from '../../domain/auth/manage-keys';
import * as views from '../../store/views/api-keys';
import { ADMINS, endpoint, reply } from '../core/endpoint';
import { readCursor, replyPage } from '../core/pages';
import { renderApiKey } from '../render/api-keys';

const params = z.object({ id: protocol.text(100) });

export const apiKeyEndpoints = [
  endpoint({
    method: 'post',
    path: '/api-keys',
    summary: 'Create an API key; only this response contains the key',
    roles: ADMINS,
    body: protocol.createApiKey,
    audit: ['key.created'],
    replies: { 201: protocol.createdApiKey },
    async run({ services, by, body }) {
      const { row, key } = await createKey(services.context, by, body);
      return reply(201, { ...renderApiKey(row), key });
    },
  }),
  endpoint({
    method: 'get',
    path: '/api-keys',
    summary: 'List the API keys, including revoked ones',
    roles: ADMINS,
    query: protocol.listApiKeysQuery,
    replies: { 200: protocol.apiKeyList },
    async run({ services, query: { limit, cursor } }) {
      const after = readCursor(cursor, protocol.isStorableText);
      const rows = await views.page(services.context.db, after, limit + 1);
      return replyPage(rows, limit, renderApiKey, (row) => row.id);
    },
  }),
  endpoint({
    method: 'post',
    path: '/api-keys/:id/rotate',
    summary: 'Rotate an API key: create one with the same rights; both are valid during the grace period',
    roles: ADMINS,
    params,
    body: protocol.rotateApiKey,
    audit: ['key.rotated'],
    replies: { 201: protocol.createdApiKey },
    async run({ services, by, params: { id }, body }) {
      const { row, key } = await rotateKey(services.context, by, id, body.graceMs);
      return reply(201, { ...renderApiKey(row), key });
    },
  }),
  endpoint({
    method: 'delete',
    path: '/api-keys/:id',
    summary: 'Revoke an API key; every coordinator refuses it within five seconds',
    roles: ADMINS,
    params,
    audit: ['key.revoked'],
    replies: { 200: protocol.apiKey },
    run: async ({ services, by, params: { id } }) =>
      reply(200, renderApiKey(await revokeKey(services.context, by, id))),
  }),
];
