import type { Role, Workflow, WorkflowSummary } from '@baton/runner-sdk/protocol';
import type { Api } from '../support/api';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

// Workflows and keys that are limited to queues and types: such a key sees those whose every job is within its limits.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

const LIMITS = { queues: ['mine'], types: ['work', 'ship'] };
const keyOf = async (role: Role, limits: object = LIMITS): Promise<Api> =>
  coordinator.api.as(
    await coordinator.api.makeKey({ name: role, role, ...limits, ...(role === 'user' ? { userId: 'ann' } : {}) }),
  );

const work = { type: 'work', queue: 'mine' };
const JOBS = { a: work, approve: { gate: {}, dependsOn: ['a'] }, b: { ...work, type: 'ship', dependsOn: ['approve'] } };
const make = async (api: Api, jobs: object, more: object = {}): Promise<Workflow> =>
  expectStatus(await api.post<Workflow>('/workflows', { name: uniqueType('wf'), jobs, ...more }), 201);
const listed = async (api: Api): Promise<string[]> =>
  expectStatus(await api.get<{ items: WorkflowSummary[] }>('/workflows?limit=500'), 200).items.map(({ id }) => id);

test.each(['producer', 'user'] as const)('a limited %s makes and steers workflows within its limits', async (role) => {
  const api = await keyOf(role);
  const { id } = await make(api, JOBS);
  const claimed = await coordinator.api.claimOne({ runnerId: 'r', types: ['work'], queues: ['mine'] });
  await coordinator.api.complete(claimed, { outcome: 'completed' });
  await eventually(
    async () => expectStatus(await api.get<Workflow>(`/workflows/${id}`), 200).jobs['approve']?.gate?.waiting,
    (isWaiting) => isWaiting === true,
  );
  expectStatus(await api.post(`/workflows/${id}/gates/approve/link`, {}), 201);
  const gate = expectStatus(await api.post(`/workflows/${id}/gates/approve`, { outcome: 'opened' }), 200);
  expect(gate).toMatchObject({ status: 'completed', dependsOn: ['a'] });
  expectStatus(await api.post(`/workflows/${id}/jobs`, { jobs: { c: { ...work, dependsOn: ['b'] } } }), 201);
  expectStatus(await api.get(`/workflows/${id}/wait?waitMs=0`), 200);
  expectStatus(await api.post(`/workflows/${id}/cancel`, { key: 'c' }), 200);
  expectStatus(await api.post(`/workflows/${id}/retry`), 200);
  expectStatus(await api.post(`/workflows/${id}/cancel`, {}), 200);
  expect(await listed(api)).toContain(id);
});

test('nothing is made outside of its limits, and it is told which job', async () => {
  const api = await keyOf('producer');
  for (const job of [
    { type: 'work', queue: 'theirs' },
    { type: 'secret', queue: 'mine' },
  ]) {
    const answer = await api.post<{ code: string; errors: { path: string }[] }>('/workflows', {
      name: 'w',
      jobs: { a: work, b: job },
    });
    expect([answer.status, answer.body.code, answer.body.errors[0]?.path]).toEqual([403, 'forbidden', 'jobs.b']);
    const { id } = await make(api, { a: work });
    const added = await api.refusal('post', `/workflows/${id}/jobs`, { jobs: { b: job } });
    expect([added, (await listed(api)).includes(id)]).toEqual([[403, 'forbidden'], true]);
  }
});

test('a workflow with any job outside, even one that was added or deleted, is none to it', async () => {
  const outside = { type: 'secret', queue: 'mine' };
  const viewer = await keyOf('viewer');
  const producer = await keyOf('producer');
  const grown = await make(producer, { a: work });
  expect(await listed(viewer)).toContain(grown.id);
  const mixed = await make(coordinator.api, { a: work, approve: { gate: {} }, b: outside });
  expectStatus(await coordinator.api.post(`/workflows/${grown.id}/jobs`, { jobs: { b: outside } }), 201);
  const added = expectStatus(await coordinator.api.get<Workflow>(`/workflows/${grown.id}`), 200);
  expectStatus(await coordinator.api.post(`/jobs/${added.jobs['b']?.id}/cancel`), 200);
  await coordinator.sql.query('DELETE FROM jobs WHERE id = $1', [added.jobs['b']?.id]);
  for (const { id } of [mixed, grown]) {
    expect([await listed(viewer), await listed(producer)].flat()).not.toContain(id);
    expect(await viewer.refusal('get', `/workflows/${id}`)).toEqual([404, 'not_found']);
    expect(await viewer.refusal('get', `/workflows/${id}/wait`)).toEqual([404, 'not_found']);
    const calls: [string, object?][] = [
      ['jobs', { jobs: { c: work } }],
      ['cancel', {}],
      ['cancel', { key: 'a' }],
      ['retry'],
      ['gates/approve', { outcome: 'opened' }],
      ['gates/approve/link', {}],
    ];
    for (const [path, json] of calls)
      expect([path, await producer.refusal('post', `/workflows/${id}/${path}`, json)]).toEqual([
        path,
        [404, 'not_found'],
      ]);
  }
  const after = expectStatus(await coordinator.api.get<Workflow>(`/workflows/${mixed.id}`), 200);
  expect(Object.values(after.jobs).map(({ status }) => status)).toEqual(['pending', 'blocked', 'pending']);
});

test('a key of the call does not show it what it may not see', async () => {
  const wanted = { name: 'same', idempotencyKey: uniqueType('key'), jobs: { a: { type: 'secret', queue: 'mine' } } };
  expectStatus(await coordinator.api.post('/workflows', wanted), 201);
  const api = await keyOf('producer');
  expect(await api.refusal('post', '/workflows', wanted)).toEqual([403, 'forbidden']);
  const grown = { ...wanted, idempotencyKey: uniqueType('key'), jobs: { a: work } };
  const { id } = expectStatus(await api.post<Workflow>('/workflows', grown), 201);
  expect(expectStatus(await api.post<Workflow>('/workflows', grown), 200).id).toBe(id);
  expectStatus(
    await coordinator.api.post(`/workflows/${id}/jobs`, { jobs: { b: { type: 'secret', queue: 'mine' } } }),
    201,
  );
  expect(await api.refusal('post', '/workflows', grown)).toEqual([404, 'not_found']);
});

test('another user’s workflow is none to a limited key of a user', async () => {
  const api = await keyOf('user');
  const { id } = await make(coordinator.api, { a: work }, { userId: 'ben' });
  expect(await listed(api)).not.toContain(id);
  expect(await api.refusal('get', `/workflows/${id}`)).toEqual([404, 'not_found']);
});
