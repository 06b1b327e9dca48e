import { randomUUID } from 'node:crypto';
import type { AuditEntry, CreatedWebhook, Webhook } from '@baton/runner-sdk/protocol';
import { tell } from '../../coordinator/store/events';
import { type Api, expectStatus } from '../support/api';
import { uniqueType } from '../support/factory';
import { WebhookStage } from './stage';

// Who may have which webhooks, and what becomes of their secrets.

let stage: WebhookStage;
let keys: Record<'producer' | 'ann' | 'ben' | 'viewer', Api>;
beforeAll(async () => {
  stage = await WebhookStage.open(1, { mostPerOwner: 6 });
  const key = async (name: string, role: 'producer' | 'user' | 'viewer') =>
    stage.api.as(await stage.api.makeKey({ name, role, ...(role === 'user' ? { userId: name } : {}) }));
  keys = {
    producer: await key('app', 'producer'),
    ann: await key('ann', 'user'),
    ben: await key('ben', 'user'),
    viewer: await key('eye', 'viewer'),
  };
});
afterEach(async () => {
  await stage.closeReceivers();
  await stage.cluster.sql.query('DELETE FROM webhooks');
});
afterAll(() => stage.close());

const wanted = { url: 'https://127.0.0.1:9/hook?token=t', events: ['job.completed'] };
const make = async (api: Api, more: object = {}) =>
  expectStatus(await api.post<CreatedWebhook>('/webhooks', { ...wanted, ...more }), 201);

describe('webhooks', () => {
  test('are made, read, changed, listed in pages and deleted', async () => {
    const { secret, ...made } = await make(stage.api, {
      filter: { queue: 'mail', type: ['a', 'b'] },
      description: 'ours',
    });
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(made).toMatchObject({
      userId: null,
      url: wanted.url,
      events: wanted.events,
      filter: { queue: ['mail'], type: ['a', 'b'] },
      description: 'ours',
      enabled: true,
      disabledAt: null,
      failingSince: null,
    });
    expect(expectStatus(await stage.api.get<Webhook>(`/webhooks/${made.id}`), 200)).toEqual(made);
    const edited = expectStatus(
      await stage.api.patch<Webhook>(`/webhooks/${made.id}`, {
        events: ['job.failed'],
        filter: {},
        enabled: false,
        description: null,
      }),
      200,
    );
    expect(edited).toMatchObject({
      url: wanted.url,
      events: ['job.failed'],
      filter: {},
      enabled: false,
      disabledReason: 'by_hand',
      description: null,
    });
    expect(edited.disabledAt).not.toBeNull();
    const others = [await make(stage.api), await make(stage.api)];
    const first = expectStatus(await stage.api.get<{ items: Webhook[]; nextCursor: string }>('/webhooks?limit=2'), 200);
    const second = expectStatus(
      await stage.api.get<{ items: Webhook[]; nextCursor: string | null }>(
        `/webhooks?limit=2&cursor=${first.nextCursor}`,
      ),
      200,
    );
    expect([...first.items, ...second.items].map(({ id }) => id)).toEqual([made.id, ...others.map(({ id }) => id)]);
    expect(second.nextCursor).toBeNull();
    expect((await stage.api.delete(`/webhooks/${made.id}`)).status).toBe(204);
    expect((await stage.api.get(`/webhooks/${made.id}`)).status).toBe(404);
    expect(await stage.cluster.sql.count('signing_secrets WHERE webhook_id = $1', [made.id])).toBe(0);
  });

  test('show their secret when it is made, and never again', async () => {
    const { id, secret } = await make(stage.api);
    const rotated = expectStatus(await stage.api.post<CreatedWebhook>(`/webhooks/${id}/rotate`, {}), 200);
    const seen = JSON.stringify([
      await stage.api.get('/webhooks'),
      await stage.api.get(`/webhooks/${id}`),
      await stage.api.patch(`/webhooks/${id}`, { description: 'x' }),
      await stage.api.post(`/webhooks/${id}/test`),
      await stage.api.get(`/webhooks/${id}/deliveries`),
      await stage.api.get('/audit?limit=500'),
      stage.one.logged,
    ]);
    for (const one of [secret, rotated.secret]) expect(seen).not.toContain(one.slice('whsec_'.length));
  });

  test.each<[string, object, RegExp]>([
    ['no events', { events: [] }, /events/],
    ['an event that there is not', { events: ['job.done'] }, /events.0/],
    ['a test event', { events: ['webhook.test'] }, /events.0/],
    ['a URL that is none', { url: 'hooks.example.com' }, /must be an http or https URL/],
    ['a URL with credentials', { url: 'https://a:b@hooks.example.com/' }, /without user name and password/],
    ['a URL that leads inward', { url: 'https://192.168.1.1/' }, /BATON_WEBHOOK_ALLOW/],
    ['a port', { url: 'https://hooks.example.com:25/' }, /BATON_WEBHOOK_PORTS/],
    ['plain http', { url: 'http://hooks.example.com/' }, /BATON_WEBHOOK_HTTP/],
    ['a field that there is not', { secret: 'whsec_mine' }, /secret/],
    ['a filter that there is not', { filter: { tag: 'x' } }, /filter/],
    ['a name with NUL', { description: 'a\u0000b' }, /description/],
    ['a queue that is no name', { filter: { queue: 'a b' } }, /filter.queue/],
  ])('are refused with %s', async (_what, fault, message) => {
    const { status, body } = await stage.api.post<{ code: string; detail: string }>('/webhooks', {
      ...wanted,
      ...fault,
    });
    expect([status, body.code, body.detail]).toEqual([400, 'validation_failed', expect.stringMatching(message)]);
    expect(await stage.cluster.sql.count('webhooks')).toBe(0);
    const { id } = await make(stage.api);
    const edited = await stage.api.patch<{ detail: string }>(`/webhooks/${id}`, fault);
    expect([edited.status, edited.body.detail]).toEqual([400, expect.stringMatching(message)]);
  });

  test('are bounded for each owner, also when they are made at once', async () => {
    const statuses = await Promise.all(
      Array.from({ length: 9 }, async () => (await keys.ann.post('/webhooks', wanted)).status),
    );
    expect(statuses.sort()).toEqual([...Array.from({ length: 6 }, () => 201), 409, 409, 409]);
    expect((await keys.ben.post('/webhooks', wanted)).status).toBe(201);
    expect((await stage.api.post('/webhooks', wanted)).status).toBe(201);
  });

  test('are tested only so often at once', async () => {
    const { id } = await make(stage.api);
    await stage.cluster.sql.query('UPDATE webhooks SET disabled_at = NULL WHERE id = $1', [id]);
    const insert = `INSERT INTO webhook_deliveries (id, webhook_id, endpoint, name, at, data, status, next_at, created_at)
      SELECT gen_random_uuid(), $1, 'webhook:' || $1, 'webhook.test', now(), '{}', 'pending', now() + interval '1 day', now() FROM generate_series(1, 5)`;
    await stage.cluster.sql.query(insert.replaceAll('$1', `'${id}'::uuid`));
    expect(await stage.api.refusal('post', `/webhooks/${id}/test`)).toEqual([429, 'rate_limited']);
  });

  test('leave an entry in the audit, without the path of their URL', async () => {
    const { id } = await make(stage.api);
    await stage.api.patch(`/webhooks/${id}`, { enabled: false });
    await stage.api.patch(`/webhooks/${id}`, { enabled: true });
    await stage.api.post(`/webhooks/${id}/rotate`, { graceMs: 0 });
    await stage.api.post(`/webhooks/${id}/test`);
    await stage.api.delete(`/webhooks/${id}`);
    const { items } = expectStatus(await stage.api.get<{ items: AuditEntry[] }>(`/audit?target=${id}`), 200);
    expect(items.map(({ action }) => action)).toEqual([
      'webhook.deleted',
      'webhook.tested',
      'webhook.secret_rotated',
      'webhook.edited',
      'webhook.edited',
      'webhook.created',
    ]);
    expect(items.at(-1)?.details).toEqual({
      origin: 'https://127.0.0.1:9',
      events: ['job.completed'],
      queues: [],
      types: [],
      userIds: [],
    });
    expect(JSON.stringify(items)).not.toContain('token');
  });
});

describe('a user', () => {
  test('sees and touches its own webhooks alone; another’s answer like none', async () => {
    const [anns, bens, ours] = [await make(keys.ann), await make(keys.ben), await make(stage.api)];
    expect(anns.userId).toBe('ann');
    expect((await keys.ann.get<{ items: Webhook[] }>('/webhooks')).body.items.map(({ id }) => id)).toEqual([anns.id]);
    expect((await stage.api.get<{ items: Webhook[] }>('/webhooks')).body.items).toHaveLength(3);
    const calls: [string, string, object?][] = [
      ['get', ''],
      ['patch', '', { enabled: false }],
      ['delete', ''],
      ['post', '/rotate', {}],
      ['post', '/test'],
      ['get', '/deliveries'],
      ['post', `/deliveries/${randomUUID()}/resend`],
    ];
    for (const foreign of [bens.id, ours.id, randomUUID()]) {
      for (const [method, path, json] of calls)
        expect([method, path, ...(await keys.ann.refusal(method, `/webhooks/${foreign}${path}`, json))]).toEqual([
          method,
          path,
          404,
          'not_found',
        ]);
    }
    expect((await stage.api.get<Webhook>(`/webhooks/${bens.id}`)).body).toMatchObject({ enabled: true });
  });

  test('reaches no delivery of another webhook through its own', async () => {
    const [anns, bens] = [await make(keys.ann), await make(keys.ben)];
    const { id } = expectStatus(await keys.ben.post<{ id: string }>(`/webhooks/${bens.id}/test`), 202);
    expect(await keys.ann.refusal('post', `/webhooks/${anns.id}/deliveries/${id}/resend`)).toEqual([404, 'not_found']);
  });

  test('hears of its own jobs, whatever its filter says', async () => {
    const receiver = await stage.receiver();
    const type = uniqueType();
    // So that what happens to others' jobs is written down too.
    const all = await stage.webhook(await stage.receiver(), { events: ['job.created'], filter: { type } });
    const hook = await stage.webhook(receiver, { events: ['job.created'], filter: { type } }, keys.ann);
    for (const userId of ['ben', undefined, 'ann', 'ann'])
      await stage.api.create({ type, ...(userId === undefined ? {} : { userId }) });
    await stage.delivered(all.id, (list) => list.length === 4);
    await stage.delivered(hook.id, (list) => list.length === 2 && list.every(({ status }) => status === 'delivered'));
    expect(receiver.received.map(({ body }) => body.data['userId'])).toEqual(['ann', 'ann']);
    expect(await keys.ann.refusal('post', '/webhooks', { ...wanted, filter: { userId: 'ben' } })).toEqual([
      403,
      'forbidden',
    ]);
    expect(await keys.ann.refusal('patch', `/webhooks/${hook.id}`, { filter: { userId: ['ann', 'ben'] } })).toEqual([
      403,
      'forbidden',
    ]);
  });
});

describe('events that are not of jobs', () => {
  test('reach webhooks of admins, and no others may ask for them or steer those', async () => {
    const receiver = await stage.receiver();
    const { id } = await stage.webhook(receiver, {
      events: ['alert.firing', 'alert.resolved'],
      filter: { queue: 'any' },
    });
    await tell(stage.one.app.context.db, { name: 'alert.firing', userId: null, details: { rule: 'depth', value: 7 } });
    const [received] = await receiver.got(1);
    expect(received?.body).toEqual({
      type: 'alert.firing',
      timestamp: expect.any(String) as string,
      data: { rule: 'depth', value: 7 },
    });
    for (const api of [keys.producer, keys.ann])
      expect(await api.refusal('post', '/webhooks', { ...wanted, events: ['alert.firing'] })).toEqual([
        403,
        'forbidden',
      ]);
    for (const [method, path, json] of [
      ['patch', '', { url: 'https://127.0.0.1/' }],
      ['delete', ''],
      ['post', '/rotate', {}],
    ] as [string, string, object?][]) {
      expect(await keys.producer.refusal(method, `/webhooks/${id}${path}`, json)).toEqual([403, 'forbidden']);
    }
    const anns = await make(keys.ann);
    expect(await stage.api.refusal('patch', `/webhooks/${anns.id}`, { events: ['alert.firing'] })).toEqual([
      403,
      'forbidden',
    ]);
  });

  test('are not for viewers and runners at all', async () => {
    expect(await keys.viewer.refusal('get', '/webhooks')).toEqual([403, 'forbidden']);
    expect(await keys.viewer.refusal('get', '/callback-secret')).toEqual([403, 'forbidden']);
    expect(await keys.producer.refusal('post', '/callback-secret/rotate', {})).toEqual([403, 'forbidden']);
  });
});
