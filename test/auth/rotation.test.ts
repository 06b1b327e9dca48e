import { randomUUID } from 'node:crypto';
import type { ApiKey, CreatedApiKey } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

const make = async (more: object = {}) =>
  expectStatus(await coordinator.api.post<CreatedApiKey>('/api-keys', { name: 'key', role: 'runner', ...more }), 201);
const rotate = async (id: string, more: object = {}) =>
  expectStatus(await coordinator.api.post<CreatedApiKey>(`/api-keys/${id}/rotate`, more), 201);
const who = async (key: string) => (await coordinator.api.as(key).get('/session')).status;

describe('rotation', () => {
  test('makes a successor with the same rights; both work until the grace is over', async () => {
    const old = await make({ queues: ['a'], types: ['x'] });
    const successor = await rotate(old.id, { graceMs: 60_000 });
    expect(successor).toMatchObject({
      name: 'key',
      role: 'runner',
      queues: ['a'],
      types: ['x'],
      expiresAt: null,
      rotatedFrom: old.id,
    });
    expect(await Promise.all([who(old.key), who(successor.key)])).toEqual([200, 200]);
    const rest = await coordinator.sql.one<{ left: number }>(
      'SELECT extract(epoch FROM expires_at - created_at)::int AS left FROM api_keys WHERE id = $1',
      [old.id],
    );
    expect(rest.left).toBeGreaterThanOrEqual(60);
    await coordinator.sql.query('UPDATE api_keys SET expires_at = now() WHERE id = $1', [old.id]);
    await eventually(async () => (await who(old.key)) === 401, Boolean, 5000);
    expect(await who(successor.key)).toBe(200);
  });

  test('keeps the length of life, and never lengthens the old key', async () => {
    const soon = new Date(Date.now() + 3_600_000).toISOString();
    const old = await make({ expiresAt: soon });
    const successor = await rotate(old.id, { graceMs: 86_400_000 });
    expect(Math.abs(Date.parse(successor.expiresAt ?? '') - Date.parse(soon))).toBeLessThan(60_000);
    const keys = expectStatus(await coordinator.api.get<{ items: ApiKey[] }>('/api-keys?limit=500'), 200).items;
    expect(keys.find(({ id }) => id === old.id)?.expiresAt).toBe(soon);
  });

  test('is refused for keys that are gone, over or configured', async () => {
    const revoked = await make();
    expectStatus(await coordinator.api.delete(`/api-keys/${revoked.id}`), 200);
    const refused = (id: string) => coordinator.api.refusal('post', `/api-keys/${id}/rotate`, {});
    expect(await refused(revoked.id)).toEqual([409, 'state_conflict']);
    expect(await refused('configured')).toEqual([409, 'state_conflict']);
    expect(await refused('none')).toEqual([404, 'not_found']);
  });
});

test('a runner’s key touches only jobs of its queues and types, whatever token it brings', async () => {
  const type = uniqueType();
  const limited = coordinator.api.as((await make({ queues: ['mine'], types: [type] })).key);
  const foreign = await coordinator.api.create({ type, queue: 'theirs' });
  const own = await coordinator.api.create({ type, queue: 'mine' });
  const [one, two] = await coordinator.api.claim({ runnerId: 'r', types: [type], max: 2 });
  const tokens = new Map([one, two].map((job) => [job?.id, job?.leaseToken]));
  const of = (id: string) => ({ leaseToken: tokens.get(id) ?? '' });
  const missing = randomUUID();
  for (const verb of ['heartbeat', 'complete', 'release']) {
    const body = { ...of(foreign.id), ...(verb === 'complete' ? { outcome: 'completed' } : {}) };
    const refused = await limited.post<{ requestId: string }>(`/jobs/${foreign.id}/${verb}`, body);
    const absent = await limited.post<{ requestId: string }>(`/jobs/${missing}/${verb}`, body);
    expect([refused.status, { ...refused.body, requestId: '' }]).toEqual([404, { ...absent.body, requestId: '' }]);
  }
  const items = [foreign.id, own.id].map((jobId) => ({ jobId, ...of(jobId) }));
  const beats = expectStatus(
    await limited.post<{ jobs: { code?: string }[] }>('/jobs/heartbeat', { runnerId: 'r', jobs: items }),
    200,
  ).jobs;
  expect(beats.map(({ code }) => code)).toEqual(['not_found', undefined]);
  const done = expectStatus(
    await limited.post<{ results: { code?: string; status?: string }[] }>('/jobs/complete', {
      completions: items.map((item) => ({ ...item, outcome: 'completed' })),
    }),
    200,
  ).results;
  expect(done.map(({ code, status }) => code ?? status)).toEqual(['not_found', 'completed']);
  expect((await coordinator.api.job(foreign.id)).status).toBe('running');
});
