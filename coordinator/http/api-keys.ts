import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { createKey, rotateKey, revokeKey } from '../domain/auth/manage-keys';
import * as store from '../store/api-keys';
import { ADMINS, endpoint, reply } from './endpoint';
import { readCursor, replyPage } from './pages';
import { renderApiKey } from './render';

const params = z.object({ id: protocol.text(100) });

export const apiKeyEndpoints = [
  endpoint({
    method: 'post',
    path: '/api-keys',
    summary: 'Make an API key; only this answer holds the key itself',
    roles: ADMINS,
    body: protocol.createApiKey,
    audit: ['key.created'],
    replies: { 201: protocol.createdApiKey },
    async run({ desk, by, body }) {
      const { row, key } = await createKey(desk.context, by, body);
      return reply(201, { ...renderApiKey(row), key });
    },
  }),
  endpoint({
    method: 'get',
    path: '/api-keys',
    summary: 'List the API keys, revoked ones included',
    roles: ADMINS,
    query: protocol.listApiKeysQuery,
    replies: { 200: protocol.apiKeyList },
    async run({ desk, query: { limit, cursor } }) {
      const after = readCursor(cursor, protocol.isStorableText);
      const rows = await store.page(desk.context.db, after, limit + 1);
      return replyPage(rows, limit, renderApiKey, (row) => row.id);
    },
  }),
  endpoint({
    method: 'post',
    path: '/api-keys/:id/rotate',
    summary: 'Make a successor of an API key with the same rights; both work until the grace is over',
    roles: ADMINS,
    params,
    body: protocol.rotateApiKey,
    audit: ['key.rotated'],
    replies: { 201: protocol.createdApiKey },
    async run({ desk, by, params: { id }, body }) {
      const { row, key } = await rotateKey(desk.context, by, id, body.graceMs);
      return reply(201, { ...renderApiKey(row), key });
    },
  }),
  endpoint({
    method: 'delete',
    path: '/api-keys/:id',
    summary: 'Revoke an API key; it stops working within five seconds on every coordinator',
    roles: ADMINS,
    params,
    audit: ['key.revoked'],
    replies: { 200: protocol.apiKey },
    run: async ({ desk, by, params: { id } }) => reply(200, renderApiKey(await revokeKey(desk.context, by, id))),
  }),
];
