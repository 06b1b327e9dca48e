import { randomBytes } from 'node:crypto';
import { FailedLogins, sourceOf } from '../../coordinator/domain/auth/failed-logins';
import { makeKey } from '../../coordinator/domain/auth/keys';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator({ access: { trustProxy: 1 } })));
afterAll(() => coordinator.stop());

const from = async (address: string, key: string) => coordinator.api.as(key).call('get', '/session', { headers: { 'x-forwarded-for': address } });

describe('bad credentials', () => {
  test('are held off after twenty a minute from one address, and good keys get in beside them', async () => {
    const good = await coordinator.api.makeKey({ name: 'good', role: 'viewer' });
    const statuses = [];
    for (let index = 0; index < 25; index += 1) statuses.push((await from('10.0.0.1', makeKey().key)).status);
    expect(statuses).toEqual([...Array.from({ length: 20 }, () => 401), ...Array.from({ length: 5 }, () => 429)]);
    const held = await from('10.0.0.1', makeKey().key);
    expect(Number(held.headers['retry-after'])).toBeGreaterThan(1);
    expect((await from('10.0.0.2', makeKey().key)).status).toBe(401);
    // Seen here for the first time, from the address that is held off.
    expect(await eventually(async () => (await from('10.0.0.1', good)).status, (status) => status === 200, 2000)).toBe(200);
    await Promise.all(Array.from({ length: 300 }, () => from('10.0.0.1', makeKey().key)));
    expect((await from('10.0.0.1', good)).status).toBe(200);
  });

  test('for one key id are held off from wherever they come, and its good key is not', async () => {
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
      statuses.push((await coordinator.api.as(null).post('/session', { apiKey: makeKey().key }, { headers: { 'x-forwarded-for': '10.3.0.1' } })).status);
    }
    expect(statuses.slice(19)).toEqual([401, 429, 429]);
  });

  test('are told to the audit once a minute and source, without the key', async () => {
    const entries = await eventually(
      async () => expectStatus(await coordinator.api.get<{ items: { target: string }[] }>('/audit?action=login.failed'), 200).items,
      (items) => items.some(({ target }) => target === '10.3.0.1'),
    );
    expect(entries.filter(({ target }) => target === '10.0.0.1')).toHaveLength(1);
  });
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
