import { randomUUID } from 'node:crypto';
import type { Explanation } from '@baton/runner-sdk/protocol';
import { type Api, expectStatus, storedOf } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { jobIn, uniqueType } from '../support/factory';

// What the matrix of routes cannot ask: what lies behind keys, tokens and answers that name no id.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let ann: Api;
beforeAll(async () => {
  coordinator = await startCoordinator();
  ann = coordinator.api.as(await coordinator.api.makeKey({ name: 'ann', role: 'user', userId: 'ann' }));
});
afterAll(() => coordinator.stop());

test('a unique key or an idempotency key of another user gives nothing away', async () => {
  const [type, key] = [uniqueType(), randomUUID()];
  const bens = await coordinator.api.create({ type, uniqueKey: 'u', userId: 'ben' });
  await coordinator.api.post(
    '/jobs',
    { type: `${type}-keyed`, userId: 'ben' },
    { headers: { 'idempotency-key': key } },
  );
  expect((await ann.create({ type, uniqueKey: 'u' })).id).not.toBe(bens.id);
  expect((await ann.post('/jobs', { type: `${type}-keyed` }, { headers: { 'idempotency-key': key } })).status).toBe(
    201,
  );
});

test('a filter for several users reaches only the own jobs', async () => {
  const type = uniqueType();
  const own = await ann.create({ type });
  const bens = await coordinator.api.create({ type, userId: 'ben' });
  const { items } = expectStatus(
    await ann.get<{ items: { id: string }[] }>(`/jobs?type=${type}&userId=ben&userId=ann`),
    200,
  );
  expect(items.map(({ id }) => id)).toEqual([own.id]);
  expect((await ann.post('/jobs/cancel', { filter: { userId: ['ann', 'ben'], type } })).body).toEqual({ count: 1 });
  expect(await coordinator.api.stored(bens.id)).toEqual(storedOf(bens));
});

test('an explanation counts the jobs of others, and names them to those alone who see them', async () => {
  const [queue, type] = [uniqueType('queue'), uniqueType()];
  expectStatus(
    await coordinator.api.call('put', `/queues/${queue}`, { json: { concurrency: 1, concurrencyPerKey: 1 } }),
    200,
  );
  const keys = { type, queue, concurrencyKey: 'k', orderKey: 'o' };
  const bens = await coordinator.api.create({ ...keys, userId: 'ben' });
  await coordinator.api.claimOne({ runnerId: 'r', types: [type] });
  const [ordered, keyed] = [
    await ann.create({ ...keys, concurrencyKey: undefined }),
    await ann.create({ ...keys, orderKey: undefined }),
  ];
  for (const [job, code] of [
    [ordered, 'held_by_order'],
    [keyed, 'held_by_concurrency_key'],
  ] as const) {
    const toAnn = expectStatus(await ann.get<Explanation>(`/jobs/${job.id}/explain`), 200);
    expect(toAnn.reasons.map((reason) => reason.code)).toEqual(expect.arrayContaining([code, 'queue_concurrency']));
    expect(JSON.stringify(toAnn)).not.toContain(bens.id);
    const toAdmin = expectStatus(await coordinator.api.get<Explanation>(`/jobs/${job.id}/explain`), 200);
    expect(JSON.stringify(toAdmin.reasons.find((reason) => reason.code === code))).toContain(bens.id);
    expect(JSON.stringify(toAdmin.reasons.find((reason) => reason.code === 'queue_concurrency'))).toContain(bens.id);
  }
});

describe('the lease of another job', () => {
  const BODIES = { heartbeat: { progress: { percent: 1 } }, complete: { outcome: 'completed' }, release: {} };

  test.each(Object.entries(BODIES))('does not let %s the own', async (verb, body) => {
    const [mine, theirs] = [await jobIn('running', coordinator), await jobIn('running', coordinator)];
    const before = await Promise.all([mine, theirs].map(({ job }) => coordinator.api.stored(job.id)));
    expect(
      await coordinator.api.refusal('post', `/jobs/${mine.job.id}/${verb}`, {
        leaseToken: theirs.claimed?.leaseToken,
        ...body,
      }),
    ).toEqual([409, 'lease_lost']);
    expect(await Promise.all([mine, theirs].map(({ job }) => coordinator.api.stored(job.id)))).toEqual(before);
  });

  test('does not pass in a list either', async () => {
    const [mine, theirs] = [await jobIn('running', coordinator), await jobIn('running', coordinator)];
    const items = [
      { jobId: mine.job.id, leaseToken: theirs.claimed?.leaseToken },
      { jobId: theirs.job.id, leaseToken: theirs.claimed?.leaseToken },
    ];
    const beats = expectStatus(
      await coordinator.api.post<{ jobs: { code?: string }[] }>('/jobs/heartbeat', { runnerId: 'r', jobs: items }),
      200,
    ).jobs;
    expect(beats.map(({ code }) => code)).toEqual(['lease_lost', undefined]);
    const done = expectStatus(
      await coordinator.api.post<{ results: { code?: string }[] }>('/jobs/complete', {
        completions: items.map((item) => ({ ...item, outcome: 'completed' })),
      }),
      200,
    ).results;
    expect(done.map(({ code }) => code)).toEqual(['lease_lost', undefined]);
    expect((await coordinator.api.job(mine.job.id)).status).toBe('running');
  });
});
