import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { createKey } from '../domain/auth/keys';
import { BatonError } from '../errors';
import * as store from '../store/api-keys';
import { ADMINS, endpoint, reply } from './endpoint';
import { readCursor, toPage } from './pages';
import { renderApiKey } from './render';

export const apiKeyEndpoints = [
  endpoint({
    method: 'post',
    path: '/api-keys',
    summary: 'Make an API key; only this answer holds the key itself',
    roles: ADMINS,
    body: protocol.createApiKey,
    replies: { 201: protocol.createdApiKey },
    async run({ desk, body }) {
      const { row, key } = await createKey(desk.context, body);
      return reply(201, { ...renderApiKey(row), key }, { 'Cache-Control': 'no-store' });
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
      return reply(200, toPage(rows, limit, renderApiKey, (row) => row.id));
    },
  }),
  endpoint({
    method: 'delete',
    path: '/api-keys/:id',
    summary: 'Revoke an API key; it stops working within five seconds on every coordinator',
    roles: ADMINS,
    params: z.object({ id: protocol.text(100) }),
    replies: { 200: protocol.apiKey },
    async run({ desk, params: { id } }) {
      const isRevoked = await store.revoke(desk.context.db, id);
      const row = isRevoked ? await store.get(desk.context.db, id) : null;
      if (row === null) throw new BatonError('not_found', `There is no API key with id ${id}.`);
      return reply(200, renderApiKey(row));
    },
  }),
];
