import { randomUUID } from 'node:crypto';
import type { Job } from '@baton/runner-sdk/protocol';
import { ENDPOINTS } from '../../coordinator/http/server';
import { type Api, expectStatus, storedOf } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { jobIn, type State, uniqueType } from '../support/factory';

// A key of role user sees and touches its own user's jobs; another's answer like none at all.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let ann: Api;
beforeAll(async () => {
  coordinator = await startCoordinator();
  ann = coordinator.api.as(await coordinator.api.makeKey({ name: 'ann', role: 'user', userId: 'ann' }));
});
afterAll(() => coordinator.stop());

const userRoutes = ENDPOINTS.filter(({ path, roles }) => path.startsWith('/jobs/:id') && roles !== 'public' && roles.includes('user'));
const bodyOf = (method: string, path: string) => (method === 'get' || method === 'delete' ? {} : { json: path === '/jobs/:id' ? { priority: 1 } : {} });

test('there are routes to look at', () => {
  expect(userRoutes.map(({ method, path }) => `${method} ${path}`)).toEqual(expect.arrayContaining(['get /jobs/:id', 'delete /jobs/:id', 'patch /jobs/:id', 'get /jobs/:id/logs']));
});

test.each(userRoutes.flatMap(({ method, path }) => (['pending', 'running', 'failed'] as const).map((state): [string, string, State] => [method, path, state])))(
  '%s %s of another user’s job that is %s answers as if there were none',
  async (method, path, state) => {
    for (const userId of ['ben', undefined]) {
      const { job } = await jobIn(state, coordinator, userId === undefined ? {} : { userId });
      const none = randomUUID();
      const [theirs, missing] = await Promise.all([job.id, none].map((id) => ann.call<{ detail: string; requestId: string }>(method, path.replace(':id', id), bodyOf(method, path))));
      expect([theirs?.status, missing?.status]).toEqual([404, 404]);
      expect(theirs?.body.detail.replace(job.id, none)).toBe(missing?.body.detail);
      expect(await coordinator.api.stored(job.id)).toEqual(storedOf(job));
    }
  },
);

test('lists and bulk verbs reach only the own jobs, whatever the filter says', async () => {
  const type = uniqueType();
  const [own, bens] = [await ann.create({ type }), await coordinator.api.create({ type, userId: 'ben' })];
  const listed = async (query: string) => expectStatus(await ann.get<{ items: Job[] }>(`/jobs?type=${type}${query}`), 200).items.map(({ id }) => id);
  expect(own.userId).toBe('ann');
  expect([await listed(''), await listed('&userId=ben'), await listed('&userId=ben&userId=ann')]).toEqual([[own.id], [], [own.id]]);
  expect((await ann.post('/jobs/cancel', { filter: { type } })).body).toEqual({ count: 1 });
  expect((await ann.post('/jobs/retry', { filter: { userId: ['ann', 'ben'], type } })).body).toEqual({ count: 1 });
  expect(await coordinator.api.stored(bens.id)).toEqual(storedOf(bens));
});

test('creates for nobody else, in a list neither', async () => {
  const type = uniqueType();
  expect(await ann.refusal('post', '/jobs', { type, userId: 'ben' })).toEqual([403, 'forbidden']);
  expect(await ann.refusal('post', '/jobs/bulk', { jobs: [{ type }, { type, userId: 'ben' }] })).toEqual([403, 'forbidden']);
  const { body } = await ann.post<{ jobs: { userId?: string; code?: string }[] }>('/jobs/bulk', { jobs: [{ type }, { type, userId: 'ben' }], atomic: false });
  expect(body.jobs.map((job) => job.code ?? job.userId)).toEqual(['ann', 'forbidden']);
  expect(await coordinator.sql.count("jobs WHERE type = $1 AND user_id = 'ben'", [type])).toBe(0);
});

test('a unique key or an idempotency key of another user gives nothing away', async () => {
  const [type, key] = [uniqueType(), randomUUID()];
  const bens = await coordinator.api.create({ type, uniqueKey: 'u', userId: 'ben' });
  await coordinator.api.post('/jobs', { type: `${type}-keyed`, userId: 'ben' }, { headers: { 'idempotency-key': key } });
  expect((await ann.create({ type, uniqueKey: 'u' })).id).not.toBe(bens.id);
  expect((await ann.post('/jobs', { type: `${type}-keyed` }, { headers: { 'idempotency-key': key } })).status).toBe(201);
});

test('does what it may with its own', async () => {
  const job = await ann.create({ type: uniqueType() });
  expect((await ann.patch(`/jobs/${job.id}`, { priority: 5 })).status).toBe(200);
  expect((await ann.post(`/jobs/${job.id}/cancel`)).status).toBe(200);
  expect((await ann.post(`/jobs/${job.id}/retry`)).status).toBe(200);
  expect((await ann.get(`/jobs/${job.id}/attempts`)).status).toBe(200);
});
