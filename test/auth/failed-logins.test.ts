import { randomBytes } from 'node:crypto';
import { Authenticator } from '../../coordinator/domain/auth/authenticator';
import { FailedLogins, sourceOf } from '../../coordinator/domain/auth/failed-logins';
import { ApiKeyCache } from '../../coordinator/domain/auth/api-key-cache';
import { hashOf, makeKey } from '../../coordinator/domain/auth/keys';
import { expectStatus } from '../support/api';
import { startCluster, startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator({ access: { trustProxy: 1 } })));
afterAll(() => coordinator.stop());

const from = async (address: string, key: string) =>
  coordinator.api.as(key).call('get', '/session', { headers: { 'x-forwarded-for': address } });

describe('bad credentials', () => {
  test('are throttled after twenty a minute from one address, and good keys get in beside them', async () => {
    const good = await coordinator.api.makeKey({ name: 'good', role: 'viewer' });
    const statuses = [];
    for (let index = 0; index < 25; index += 1) statuses.push((await from('10.0.0.1', makeKey().key)).status);
    expect(statuses).toEqual([...Array.from({ length: 20 }, () => 401), ...Array.from({ length: 5 }, () => 429)]);
    const held = await from('10.0.0.1', makeKey().key);
    expect(Number(held.headers['retry-after'])).toBeGreaterThan(1);
    expect((await from('10.0.0.2', makeKey().key)).status).toBe(401);
    // Seen here for the first time, from the address that is throttled.
    expect(
      await eventually(
        async () => (await from('10.0.0.1', good)).status,
        (status) => status === 200,
        2000,
      ),
    ).toBe(200);
    await Promise.all(Array.from({ length: 300 }, () => from('10.0.0.1', makeKey().key)));
    expect((await from('10.0.0.1', good)).status).toBe(200);
  });

  test('for one key id are throttled from wherever they come, and its good key is not', async () => {
    const good = await coordinator.api.makeKey({ name: 'aimed at', role: 'viewer' });
    const id = good.split('_')[1] ?? '';
    const forged = () => `baton_${id}_${randomBytes(17).toString('hex')}`;
    const statuses = [];
    for (let index = 0; index < 22; index += 1) statuses.push((await from(`10.1.0.${index}`, forged())).status);
    expect(statuses.slice(19)).toEqual([401, 429, 429]);
    expect((await from('10.2.0.1', good)).status).toBe(200);
  });

  test('through POST /session count too', async () => {
    const statuses = [];
    for (let index = 0; index < 22; index += 1) {
      statuses.push(
        (
          await coordinator.api
            .as(null)
            .post('/session', { apiKey: makeKey().key }, { headers: { 'x-forwarded-for': '10.3.0.1' } })
        ).status,
      );
    }
    expect(statuses.slice(19)).toEqual([401, 429, 429]);
  });

  test('are told to the audit once a minute and source, without the key', async () => {
    const entries = await eventually(
      async () =>
        expectStatus(await coordinator.api.get<{ items: { target: string }[] }>('/audit?action=login.failed'), 200)
          .items,
      (items) => items.some(({ target }) => target === '10.3.0.1'),
    );
    expect(entries.filter(({ target }) => target === '10.0.0.1')).toHaveLength(1);
  });
});

test('a good key never waits for the limiter, whatever comes from its address and under its id; bad ones reach the database seldom', async () => {
  const { id, key } = makeKey();
  let asked = 0;
  const row = { id, name: 'good', role: 'viewer', userId: null, queues: [], types: [] };
  const query = <Row>({ values }: { values: unknown[] }) =>
    Promise.resolve(((asked += 1), values.includes(hashOf(key)) ? [row] : []) as Row[]);
  // Nothing is remembered, so that every call of the good key is a new look.
  const authenticator = new Authenticator(new ApiKeyCache({ query }, 0), null, new FailedLogins(20), () => undefined);
  expect((await authenticator.authenticate(key, '10.0.0.9')).caller.keyId).toBe(id);
  let refused = 0;
  for (let round = 0; round < 200; round += 1) {
    for (let index = 0; index < 20; index += 1)
      await authenticator
        .authenticate(index % 2 === 0 ? makeKey().key : forgedFor(id), '10.0.0.9')
        .catch(() => (refused += 1));
    expect((await authenticator.authenticate(key, '10.0.0.9')).caller.keyId).toBe(id);
  }
  expect(refused).toBe(4000);
  // One for each good call, twenty before the address was throttled, and few since.
  expect(asked).toBeLessThan(201 + 20 + 400);
});

const forgedFor = (id: string) => `baton_${id}_${randomBytes(17).toString('hex')}`;

test('each coordinator counts for itself: two of them let twice as many through, and no more', async () => {
  const cluster = await startCluster(2, { access: { trustProxy: 1 } });
  try {
    const statuses: number[] = [];
    for (let index = 0; index < 44; index += 1) {
      const api = cluster.coordinators[index % 2]?.api.as(makeKey().key);
      statuses.push((await api?.call('get', '/session', { headers: { 'x-forwarded-for': '10.9.0.1' } }))?.status ?? 0);
    }
    expect(statuses).toEqual([...Array.from({ length: 40 }, () => 401), 429, 429, 429, 429]);
  } finally {
    await cluster.stop();
  }
});

test('the memory of failures is bounded', () => {
  const failures = new FailedLogins(1);
  for (let index = 0; index < 25_000; index += 1) failures.add(`source ${index}`);
  expect((failures as unknown as { sources: Map<string, unknown> }).sources.size).toBe(10_000);
});

test.each([
  ['10.0.0.1', '10.0.0.1'],
  ['::ffff:10.0.0.1', '10.0.0.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:db8::1', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
])('%s counts as %s', (address, source) => {
  expect(sourceOf(address)).toBe(source);
});
