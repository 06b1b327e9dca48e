import type { ApiKey, CreateApiKey } from '@baton/runner-sdk/protocol';
import { ApiKeyCache } from '../../coordinator/domain/auth/api-key-cache';
import { installAdminKey, makeKey } from '../../coordinator/domain/auth/keys';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

const create = (wanted: object) => coordinator.api.post<ApiKey & { key: string }>('/api-keys', wanted);

test('a key is shown once and kept as a hash', async () => {
  const { body } = await create({ name: 'mine', role: 'viewer' });
  expect(body).toMatchObject({
    name: 'mine',
    role: 'viewer',
    userId: null,
    queues: [],
    types: [],
    revokedAt: null,
    key: expect.stringMatching(/^baton_\w{12}_\w{34}$/),
  });
  const rows = JSON.stringify(await coordinator.sql.query('SELECT * FROM api_keys'));
  const list = JSON.stringify((await coordinator.api.get('/api-keys')).body);
  const secret = body.key.split('_')[2] ?? body.key;
  expect([rows.includes(secret), list.includes(secret), list.includes(body.id)]).toEqual([false, false, true]);
  expect(JSON.stringify(coordinator.logged)).not.toContain(secret);
});

test('made keys differ, and a typing error is found without asking the database', async () => {
  const made = Array.from({ length: 200 }, () => makeKey());
  expect(new Set(made.map(({ key }) => key)).size).toBe(200);
  let asked = 0;
  const ring = new ApiKeyCache({ query: <Row>() => Promise.resolve(((asked += 1), []) as Row[]) });
  for (const { key } of made) {
    const wrong = key.slice(0, -10) + (key.at(-10) === 'A' ? 'B' : 'A') + key.slice(-9);
    await expect(ring.callerOf(wrong)).rejects.toMatchObject({ code: 'unauthenticated' });
  }
  expect(asked).toBe(0);
  await expect(ring.callerOf(made[0]?.key ?? '')).rejects.toMatchObject({ code: 'unauthenticated' });
  expect(asked).toBe(1);
});

test('a revoked key stops working, and stays in the list', async () => {
  const { body } = await create({ name: 'short', role: 'viewer' });
  const api = coordinator.api.as(body.key);
  expect((await api.get('/jobs')).status).toBe(200);
  expect((await coordinator.api.delete<ApiKey>(`/api-keys/${body.id}`)).body.revokedAt).not.toBeNull();
  await eventually(async () => (await api.get('/jobs')).status === 401, Boolean, 5000);
  expect(
    expectStatus(await coordinator.api.get<{ items: ApiKey[] }>('/api-keys'), 200).items.find(
      ({ id }) => id === body.id,
    )?.revokedAt,
  ).not.toBeNull();
  expect(await coordinator.api.refusal('delete', '/api-keys/none')).toEqual([404, 'not_found']);
});

test('an expired key does not work', async () => {
  const { body } = await create({ name: 'old', role: 'viewer', expiresAt: '2020-01-01T00:00:00Z' });
  expect((await coordinator.api.as(body.key).get('/jobs')).status).toBe(401);
});

test('the configured admin key replaces the one that was configured before, and comes back after a revoke', async () => {
  const [first, second] = ['first-configured-key-000', 'second-configured-key-00'];
  const works = async (key: string) => {
    await new ApiKeyCache(coordinator.app.context.db).callerOf(key);
    return true;
  };
  const { db } = coordinator.app.context;
  await installAdminKey(db, 'embedded', first);
  expect(await works(first)).toBe(true);
  await installAdminKey(db, 'embedded', second);
  await expect(works(first)).rejects.toMatchObject({ code: 'unauthenticated' });
  await coordinator.api.delete('/api-keys/embedded');
  await expect(works(second)).rejects.toMatchObject({ code: 'unauthenticated' });
  await installAdminKey(db, 'embedded', second);
  expect(await works(second)).toBe(true);
});

test('coordinators that start at the same moment all make the configured admin key usable', async () => {
  const { db } = coordinator.app.context;
  for (let round = 0; round < 10; round += 1) {
    await coordinator.sql.query("DELETE FROM api_keys WHERE id = 'embedded'");
    await Promise.all(
      Array.from({ length: 8 }, () => installAdminKey(db, 'embedded', `the-same-key-in-round-${round}`)),
    );
  }
});

test('an admin key may be configured that is usable already, but not one of another role', async () => {
  const { db } = coordinator.app.context;
  const [admin, viewer] = [
    await create({ name: 'known', role: 'admin' }),
    await create({ name: 'seer', role: 'viewer' }),
  ];
  await installAdminKey(db, 'embedded', admin.body.key);
  expect((await new ApiKeyCache(db).callerOf(admin.body.key)).role).toBe('admin');
  await expect(installAdminKey(db, 'embedded', viewer.body.key)).rejects.toMatchObject({ code: 'state_conflict' });
});

test.each<[object]>([
  [{ name: 'a' }],
  [{ role: 'viewer' }],
  [{ name: '', role: 'viewer' }],
  [{ name: 'a', role: 'root' }],
  [{ name: 'a', role: 'user' }],
  [{ name: 'a', role: 'viewer', userId: 'ann' }],
  [{ name: 'a', role: 'admin', types: ['x'] }],
  [{ name: 'a', role: 'runner', types: ['a b'] }],
  [{ name: 'a', role: 'viewer', id: 'mine' }],
  [{ name: 'a\u0000', role: 'viewer' }],
])('refuses %j', async (wanted) => {
  expect(await coordinator.api.refusal('post', '/api-keys', wanted)).toEqual([400, 'validation_failed']);
});

describe('a runner’s key', () => {
  const limited = async (more: Partial<CreateApiKey>) =>
    coordinator.api.as(await coordinator.api.makeKey({ name: 'limited', role: 'runner', ...more }));

  test('of certain types and queues claims only those', async () => {
    const type = uniqueType();
    const a = await coordinator.api.create({ type, queue: 'a' });
    await coordinator.api.create({ type, queue: 'b' });
    const runner = await limited({ types: [type], queues: ['a'] });
    const claim = (more: object) => ({ runnerId: 'r', types: [type], max: 9, ...more });
    expect(await runner.refusal('post', '/jobs/claim', claim({ types: [type, 'other'] }))).toEqual([403, 'forbidden']);
    expect(await runner.refusal('post', '/jobs/claim', claim({ queues: ['a', 'b'] }))).toEqual([403, 'forbidden']);
    expect((await runner.claim({ runnerId: 'r', types: [type], max: 9 })).map(({ id }) => id)).toEqual([a.id]);
  });

  test('creates, reads and steers nothing', async () => {
    const runner = await limited({});
    const { id } = await coordinator.api.create({ type: uniqueType() });
    for (const [method, path] of [
      ['post', '/jobs'],
      ['get', `/jobs/${id}`],
      ['post', `/jobs/${id}/cancel`],
      ['get', '/runners'],
      ['get', '/api-keys'],
    ] as const) {
      expect(await runner.refusal(method, path, method === 'post' ? {} : undefined)).toEqual([403, 'forbidden']);
    }
  });

  test('that repeats a claim gets back only what it may claim', async () => {
    const [type, other] = [uniqueType(), uniqueType()];
    const [own] = [
      await coordinator.api.create({ type, queue: 'a' }),
      await coordinator.api.create({ type, queue: 'b' }),
      await coordinator.api.create({ type: other, queue: 'a' }),
    ];
    const wide = await limited({});
    const claim = { runnerId: 'changing', claimId: uniqueType('claim'), types: [type, other], max: 9 };
    expect(await wide.claim(claim)).toHaveLength(3);
    const narrow = await limited({ types: [type], queues: ['a'] });
    const again = await narrow.claim({ ...claim, types: [type] });
    expect(again.map(({ id }) => id)).toEqual([own.id]);
    const elsewhere = await limited({ types: [type], queues: ['c'] });
    // It is answered at once, though it would wait, and the jobs stay with whoever holds them.
    expect(await elsewhere.claim({ ...claim, types: [type], waitMs: 50_000 })).toEqual([]);
    expect((await coordinator.api.job(own.id)).status).toBe('running');
  });
});

test('a key that would be limited to nothing is refused', async () => {
  for (const limit of [{ queues: [] }, { types: [] }]) {
    expect((await create({ name: 'none', role: 'runner', ...limit })).status).toBe(400);
  }
});
