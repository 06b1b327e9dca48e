import { randomUUID } from 'node:crypto';
import type { Job, JobCount, JobList, Queue, Role } from '@baton/runner-sdk/protocol';
import { ENDPOINTS } from '../../coordinator/http/server';
import type { Api } from '../support/api';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { TestEventSource } from '../support/event-source';

// Keys of clients that are limited to queues and types: whatever they ask, the rest does not exist.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let inside: Job;
let outside: Job[];
beforeAll(async () => {
  coordinator = await startCoordinator();
  const { api } = coordinator;
  const make = async (queue: string, type: string): Promise<Job> => {
    const { id } = await api.create({ queue, type, userId: 'ann' });
    const held = await api.claimOne({ runnerId: 'r', types: [type], queues: [queue] });
    await api.complete(held, { outcome: 'failed', error: { message: 'no', retryable: false } });
    return api.job(id);
  };
  inside = await make('mine', 'work');
  outside = [await make('theirs', 'work'), await make('mine', 'secret')];
});
afterAll(() => coordinator.stop());

const LIMITED: Role[] = ['producer', 'viewer', 'user'];
const makeKey = (role: Role): Promise<string> =>
  coordinator.api.makeKey({
    name: role,
    role,
    queues: ['mine'],
    types: ['work'],
    ...(role === 'user' ? { userId: 'ann' } : {}),
  });
const keyOf = async (role: Role): Promise<Api> => coordinator.api.as(await makeKey(role));

describe.each(LIMITED)('a %s', (role) => {
  let api: Api;
  let key: string;
  beforeAll(async () => {
    key = await makeKey(role);
    api = coordinator.api.as(key);
  });

  test.each(['/jobs', '/dead-letters', '/jobs?queue=mine&queue=theirs', '/jobs?type=work&type=secret'])(
    '%s lists its own jobs alone',
    async (path) => {
      expect(expectStatus(await api.get<JobList>(path), 200).items.map(({ id }) => id)).toEqual([inside.id]);
    },
  );

  test('counts and groups them alone', async () => {
    expect((await api.get<JobCount>('/jobs/count')).body).toEqual({ count: 1, isMore: false });
    expect((await api.get<JobCount>('/jobs/count?queue=theirs')).body).toEqual({ count: 0, isMore: false });
    const { items } = (await api.get<{ items: { count: number }[] }>('/dead-letters/groups')).body;
    expect(items.map(({ count }) => count)).toEqual([1]);
  });

  test('finds no other job on any route about one', async () => {
    const about = ENDPOINTS.filter(
      ({ path, roles, scope }) => path.includes(':id') && roles !== 'public' && roles.includes(role) && scope === 'job',
    );
    expect(about.length).toBeGreaterThan(6);
    for (const { method, path } of about)
      for (const { id } of outside) {
        const json = ['post', 'patch'].includes(method) ? (method === 'patch' ? { priority: 1 } : {}) : undefined;
        const asked = await api.refusal(method, path.replace(':id', id), json);
        expect([method, path, ...asked]).toEqual([method, path, 404, 'not_found']);
      }
    for (const { id } of outside) expect((await coordinator.api.job(id)).status).toBe('failed');
  });

  test('may call nothing else that tells of more', async () => {
    const others = ENDPOINTS.filter(
      ({ roles, scope }) => roles !== 'public' && roles.includes(role) && scope === undefined,
    );
    for (const { method, path, body } of others) {
      const json = body === undefined ? undefined : {};
      const [status] = await api.refusal(method, path.replace(/:\w+/, randomUUID()), json);
      expect([method, path, [400, 403].includes(status)]).toEqual([method, path, true]);
    }
    expect(await api.refusal('get', '/stats')).toEqual([403, 'forbidden']);
  });

  test('hears of its own jobs alone', async () => {
    const events = await TestEventSource.open(`${coordinator.url}/events`, key);
    await coordinator.api.create({ queue: 'theirs', type: 'work', userId: 'ann' });
    await coordinator.api.create({ queue: 'mine', type: 'secret', userId: 'ann' });
    const { id } = await coordinator.api.create({ queue: 'mine', type: 'work', userId: 'ann', delayMs: 3_600_000 });
    await eventually(() => events.events.length > 0);
    expect(events.events.map(({ jobId }) => jobId)).toEqual([id]);
    events.close();
    await coordinator.api.post('/jobs/cancel', { filter: { status: ['pending'] } });
    await coordinator.sql.query("DELETE FROM jobs WHERE status = 'cancelled'");
  });
});

test('bulk verbs touch its own jobs alone, and so do those in the background', async () => {
  const api = await keyOf('producer');
  const { body } = await api.post<{ count: number }>('/jobs/retry', { all: true, dryRun: true });
  expect(body.count).toBe(1);
  const later = await api.post<{ id: string; matched: number }>('/jobs/retry', {
    filter: { type: 'secret' },
    background: true,
  });
  expect(later.body.matched).toBe(0);
  const all = await coordinator.api.post<{ id: string }>('/jobs/retry', { filter: { type: 'none' }, background: true });
  expect((await api.get(`/bulk-operations/${later.body.id}`)).status).toBe(200);
  expect((await api.get(`/bulk-operations/${all.body.id}`)).status).toBe(404);
});

test('creates only what it sees, alone, in lists and by replays', async () => {
  const api = await keyOf('producer');
  expect(await api.refusal('post', '/jobs', { queue: 'theirs', type: 'work' })).toEqual([403, 'forbidden']);
  expect(await api.refusal('post', '/jobs', { queue: 'mine', type: 'secret' })).toEqual([403, 'forbidden']);
  expect(await api.refusal('post', '/jobs/bulk', { jobs: [{ queue: 'theirs', type: 'work' }] })).toEqual([
    403,
    'forbidden',
  ]);
  expect(await api.refusal('post', '/jobs/replay', { all: true, queue: 'theirs' })).toEqual([403, 'forbidden']);
  expect((await api.post('/jobs', { queue: 'mine', type: 'work', delayMs: 3_600_000 })).status).toBe(201);
});

test('is told of the limits on creating in its own queues alone', async () => {
  for (const queue of ['mine', 'theirs'])
    expectStatus(
      await coordinator.api.call('put', `/queues/${queue}`, { json: { userRateLimit: { max: 50, perMs: 60_000 } } }),
      200,
    );
  for (const role of LIMITED) {
    const api = await keyOf(role);
    const told = expectStatus(await api.get<object>('/rate-limits?userId=ann'), 200);
    expect([role, Object.keys(told)]).toEqual([role, ['mine']]);
  }
  expect(Object.keys(expectStatus(await coordinator.api.get<object>('/rate-limits?userId=ann'), 200))).toEqual([
    'mine',
    'theirs',
  ]);
  for (const queue of ['mine', 'theirs'])
    expectStatus(await coordinator.api.call('put', `/queues/${queue}`, { json: { userRateLimit: null } }), 200);
});

test('a unique key that another queue holds is not told of, and not taken over', async () => {
  const api = await keyOf('producer');
  const unique = { type: 'work', uniqueKey: 'u', onConflict: 'replace' as const, delayMs: 3_600_000 };
  const held = await coordinator.api.create({ ...unique, queue: 'theirs', arguments: { first: true } });
  const { status, body } = await api.post('/jobs', { ...unique, queue: 'mine', arguments: { second: true } });
  expect(status).toBe(409);
  expect(JSON.stringify(body)).not.toContain(held.id);
  expect((await coordinator.api.job(held.id)).arguments).toEqual({ first: true });
});

test('an idempotency key that led to a job of another queue does not tell of it', async () => {
  const api = await keyOf('producer');
  const job = { type: 'work', uniqueKey: 'led', delayMs: 3_600_000 };
  const held = await coordinator.api.create({ ...job, queue: 'theirs' });
  for (const [path, body] of [
    ['/jobs', { ...job, queue: 'mine' }],
    ['/jobs/bulk', { jobs: [{ ...job, queue: 'mine' }] }],
  ] as const) {
    const headers = { 'idempotency-key': `led-${path}` };
    expect((await coordinator.api.post(path, body, { headers })).status).toBeLessThan(300);
    const answer = await api.post<{ code: string }>(path, body, { headers });
    expect([path, answer.status, answer.body.code]).toEqual([path, 409, 'state_conflict']);
    expect(JSON.stringify(answer.body)).not.toContain(held.id);
  }
});

test('queues: a key of some queues sees these, a key of some types none', async () => {
  const { api } = coordinator;
  const byQueue = api.as(await api.makeKey({ name: 'q', role: 'viewer', queues: ['mine'] }));
  expect((await byQueue.get<{ items: Queue[] }>('/queues')).body.items.map(({ name }) => name)).toEqual(['mine']);
  expect((await byQueue.get('/queues/theirs')).status).toBe(404);
  expect((await byQueue.get('/queues/mine/scale')).status).toBe(200);
  const byType = api.as(await api.makeKey({ name: 't', role: 'viewer', types: ['work'] }));
  expect(await byType.refusal('get', '/queues')).toEqual([403, 'forbidden']);
});

test('an admin cannot be limited', async () => {
  expect(await coordinator.api.refusal('post', '/api-keys', { name: 'a', role: 'admin', queues: ['mine'] })).toEqual([
    400,
    'validation_failed',
  ]);
});
