import { randomUUID } from 'node:crypto';
import { uniqueType } from '../../support/factory';
import { ALWAYS_EMPTY, type Expected, type Place, plain, type Rows } from './row';

// Things that belong to the system, not to users.

function ofQueue(ok: Expected, missing: Expected, send: Place['send'] = () => ({})): Place {
  return {
    at: ['path name'],
    isOwned: false,
    async make(stage) {
      const name = uniqueType('queue');
      await stage.job(null, 'pending', { queue: name });
      await stage.job(null, 'pending', { queue: name });
      return { name };
    },
    send,
    ok,
    missing,
  };
}

function ofRunner(ok: Expected): Place {
  return { at: ['path id'], isOwned: false, make: async (stage) => ({ id: await stage.runner() }), ok };
}

function ofKey(ok: Expected, send: Place['send'] = () => ({})): Place {
  return { at: ['path id'], isOwned: false, make: async (stage) => ({ id: (await stage.key()).id }), send, ok };
}

function ofAlert(ok: Expected, send: Place['send'] = () => ({})): Place {
  return { at: ['path id'], isOwned: false, make: async (stage) => ({ id: await stage.alert() }), send, ok };
}

function audited(field: 'target' | 'keyId' | 'userId'): Place {
  return {
    at: [`query ${field}`],
    isOwned: false,
    async make(stage) {
      const { id = '' } = await stage.job('ann', 'pending');
      const user = stage.api('user');
      await user.post(`/jobs/${id}/cancel`, {});
      const { body } = await user.get<{ keyId: string }>('/session');
      return { target: id, keyId: body.keyId, userId: 'ann' };
    },
    send: (thing) => ({ query: { [field]: thing[field] ?? '' } }),
    ok: [200, '"items":[{'],
    missing: ALWAYS_EMPTY,
  };
}

export const OPERATOR_ROWS: Rows = {
  'GET /runners': { places: [plain([200, '"items"'])] },
  'POST /runners/:id/drain': { places: [ofRunner([200, '"draining"'])] },
  'POST /runners/:id/resume': { places: [ofRunner([200, '"active"'])] },
  'PUT /runners/:id/types': {
    places: [
      {
        at: ['path id'],
        isOwned: false,
        make: async (stage) => ({ id: await stage.runner() }),
        send: () => ({ json: { types: { PUBLISHED: { arguments: true } } } }),
        ok: [200, '"typeSet"'],
        missing: [200, '"typeSet"'],
      },
    ],
  },
  'GET /types': { places: [plain([200, '"items"'])] },
  'GET /types/:type': {
    places: [
      {
        at: ['path type'],
        isOwned: false,
        async make(stage) {
          const type = uniqueType('published');
          await stage
            .api('admin')
            .call('put', '/runners/publisher/types', { json: { types: { [type]: { arguments: true } } } });
          return { type };
        },
        ok: [200, '"schemas":[{'],
      },
    ],
  },
  'GET /queues': { places: [plain([200, '"items"'])] },
  'GET /queues/:name': { places: [ofQueue([200, '"waiting":2'], [404, '"not_found"'])] },
  'PUT /queues/:name': {
    places: [ofQueue([200, '"concurrency":3'], [200, '"concurrency":3'], () => ({ json: { concurrency: 3 } }))],
    harmless: { 'body concurrencyPerKey': 'a number' },
  },
  'POST /queues/:name/pause': { places: [ofQueue([200, '"paused":{'], [200, '"paused":{'], () => ({ json: {} }))] },
  'POST /queues/:name/resume': {
    places: [
      {
        ...ofQueue([200, '"paused":null'], [404, '"not_found"']),
        async make(stage) {
          const name = uniqueType('queue');
          await stage.api('admin').post(`/queues/${name}/pause`, {});
          return { name };
        },
      },
    ],
  },
  'POST /queues/:name/purge': {
    places: [
      ofQueue([200, '{"count":2}'], [200, '{"count":0}']),
      {
        ...ofQueue([200, '{"count":1}'], [200, '{"count":0}']),
        make: async (stage) => ({
          name: (await stage.job(null, 'pending', { queue: uniqueType('queue') }))['queue'] ?? '',
        }),
      },
    ],
  },
  'GET /queues/:name/scale': { places: [ofQueue([200, '"waiting":2'], [200, '"waiting":0'])] },
  'GET /rate-limits': {
    places: [
      {
        at: ['query userId'],
        others: ['ben'],
        make: (stage, owner) => stage.job(owner, 'pending', { queue: 'mine' }),
        send: ({ userId = '' }) => ({ query: { userId } }),
        ok: [200, '"mine":{"limit":100000'],
        missing: [200, '"remaining":100000'],
      },
    ],
  },
  'POST /alerts': {
    places: [
      plain([201, '"state":"ok"'], () => ({ json: { name: uniqueType('alert'), measure: 'depth', threshold: 1 } })),
    ],
  },
  'GET /alerts': { places: [plain([200, '"items":['])] },
  'GET /alerts/:id': { places: [ofAlert([200, '"state":"ok"'])] },
  'PATCH /alerts/:id': { places: [ofAlert([200, '"threshold":2'], () => ({ json: { threshold: 2 } }))] },
  'DELETE /alerts/:id': { places: [ofAlert([204, ''])] },
  'POST /alerts/:id/test': { places: [ofAlert([200, '"isAbove"'])] },
  'POST /api-keys': {
    places: [plain([201, '"key":"baton_'], () => ({ json: { name: 'made', role: 'user', userId: 'ben' } }))],
    harmless: { 'body userId': 'whom the new key will speak for' },
  },
  'GET /api-keys': { places: [plain([200, '"items":[{'])] },
  'POST /api-keys/:id/rotate': { places: [ofKey([201, '"key":"baton_'], () => ({ json: {} }))] },
  'DELETE /api-keys/:id': { places: [ofKey([200, '"revokedAt":"2'])] },
  'GET /audit': { places: [audited('target'), audited('keyId'), audited('userId')] },
  'POST /session': {
    places: [
      {
        at: ['body apiKey'],
        isOwned: false,
        make: async (stage) => ({ apiKey: (await stage.key()).key }),
        send: ({ apiKey }) => ({ json: { apiKey } }),
        ok: [201, '"viewer"'],
        missing: [401, '"unauthenticated"'],
      },
      {
        at: ['body linkToken'],
        isOwned: false,
        make: async (stage) => {
          const { body } = await stage.api('viewer').post<{ token: string }>('/session/links', {});
          return { linkToken: body.token };
        },
        send: ({ linkToken }) => ({ json: { linkToken } }),
        ok: [201, '"viewer"'],
        missing: [401, '"unauthenticated"'],
      },
    ],
  },
  'POST /session/links': { places: [plain([201, '"path":"/dashboard/'], () => ({ json: {} }))] },
  'GET /session': { places: [plain([200, '"role"'])] },
  'DELETE /session': {
    places: [
      plain([204, '']),
      {
        isCredential: true,
        ...plain(
          [204, ''],
          (thing) => ({ headers: { cookie: `baton_session=${thing['token'] ?? ''}` } }),
          async (stage) => {
            const { headers } = await stage.api('nobody').post('/session', { apiKey: (await stage.key()).key });
            return { token: /baton_session=([^;]+)/.exec(String(headers['set-cookie']))?.[1] ?? randomUUID() };
          },
        ),
      },
    ],
  },
};
