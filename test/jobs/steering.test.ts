import { randomUUID } from 'node:crypto';
import type { CreateJob, Job } from '@baton/runner-sdk/protocol';
import { expectStatus, storedOf } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { jobIn, type State, STATES, STATUS_OF, uniqueType } from '../support/factory';

// What clients do to jobs: cancel, retry, run now, change, delete; one by one and in bulk.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

const make = (state: State, more?: Partial<CreateJob>) => jobIn(state, coordinator, more);
const open = (state: State) => ['blocked', 'pending', 'running'].includes(STATUS_OF[state]);
const waiting = (state: State) => ['blocked', 'pending'].includes(STATUS_OF[state]);

describe('cancel', () => {
  test.each(STATES)('of a job that is %s', async (state) => {
    const { job } = await make(state);
    const answer = await coordinator.api.post<Job & { code?: string }>(`/jobs/${job.id}/cancel`, { reason: 'enough' });
    if (!open(state)) return expect([answer.status, answer.body.code]).toEqual([409, 'state_conflict']);
    expect(answer).toMatchObject({
      status: 200,
      body: { status: 'cancelled', reason: 'enough', leaseExpiresAt: null, deadlineAt: null },
    });
    expect(answer.body.finishedAt).not.toBeNull();
    expect(await coordinator.api.stored(job.id)).toEqual(storedOf(answer.body));
  });

  test('DELETE is the same, without a reason; so is a body left out', async () => {
    const [one, two] = [await make('pending'), await make('pending')];
    expect((await coordinator.api.delete<Job>(`/jobs/${one.job.id}`)).body).toMatchObject({
      status: 'cancelled',
      reason: null,
    });
    expect((await coordinator.api.post<Job>(`/jobs/${two.job.id}/cancel`)).body).toMatchObject({
      status: 'cancelled',
      reason: null,
    });
  });

  test('of a running job is heard by its runner on its next call, whichever that is', async () => {
    const { job, claimed } = await make('running');
    await coordinator.api.post(`/jobs/${job.id}/cancel`);
    const token = { leaseToken: claimed?.leaseToken };
    expect(await coordinator.api.refusal('post', `/jobs/${job.id}/heartbeat`, token)).toEqual([409, 'job_cancelled']);
    expect(await coordinator.api.refusal('post', `/jobs/${job.id}/release`, token)).toEqual([409, 'job_cancelled']);
    expect(
      await coordinator.api.refusal('post', `/jobs/${job.id}/complete`, { ...token, outcome: 'completed', result: 1 }),
    ).toEqual([409, 'job_cancelled']);
    const [attempt] = await coordinator.api.attempts(job.id);
    expect(attempt).toMatchObject({
      outcome: 'cancelled',
      lateResult: { outcome: 'completed', result: 1, at: expect.stringMatching(/Z$/) },
    });
  });
});

test.each(STATES)('retry by hand of a job that is %s', async (state) => {
  const { job } = await make(state, { maxAttempts: 5 });
  const answer = await coordinator.api.post<Job & { code?: string }>(`/jobs/${job.id}/retry`);
  if (open(state) || state === 'completed')
    return expect([answer.status, answer.body.code]).toEqual([409, 'state_conflict']);
  expect(answer).toMatchObject({
    status: 200,
    body: {
      status: 'pending',
      failures: 0,
      attempt: job.attempt,
      reason: null,
      error: null,
      finishedAt: null,
      expiresAt: null,
    },
  });
  const again = await coordinator.api.claimOne({ runnerId: 'again', types: [job.type] });
  expect(again.attempt).toBe(job.attempt + 1);
  expect((await coordinator.api.attempts(job.id)).length).toBe(job.attempt + 1);
});

test('retry by hand starts the count of failures again', async () => {
  const { job } = await make('failed', { maxAttempts: 2, retry: { strategy: 'fixed', baseMs: 0, jitter: 0 } });
  await coordinator.api.post(`/jobs/${job.id}/retry`);
  const failure = { outcome: 'failed', error: { message: 'again' } };
  expect(
    (await coordinator.api.complete(await coordinator.api.claimOne({ runnerId: 'r', types: [job.type] }), failure)).body
      .status,
  ).toBe('pending');
  expect(
    (await coordinator.api.complete(await coordinator.api.claimOne({ runnerId: 'r', types: [job.type] }), failure)).body
      .status,
  ).toBe('failed');
});

test.each(STATES)('run-now of a job that is %s', async (state) => {
  const { job } = await make(state);
  const answer = await coordinator.api.post<Job & { code?: string }>(`/jobs/${job.id}/run-now`);
  if (!waiting(state)) return expect([answer.status, answer.body.code]).toEqual([409, 'state_conflict']);
  expect(answer.status).toBe(200);
  const claims = await coordinator.api.claim({ runnerId: 'now', types: [job.type] });
  expect(claims.length).toBe(state === 'blocked' ? 0 : 1);
});

describe('PATCH', () => {
  test.each(STATES)('of a job that is %s', async (state) => {
    const { job } = await make(state);
    const answer = await coordinator.api.patch<Job & { code?: string }>(`/jobs/${job.id}`, {
      priority: 'high',
      tags: ['new'],
    });
    if (!waiting(state)) return expect([answer.status, answer.body.code]).toEqual([409, 'state_conflict']);
    expect(answer).toMatchObject({ status: 200, body: { priority: 10, tags: ['new'], runAt: job.runAt } });
    expect(await coordinator.api.stored(job.id)).toEqual(storedOf(answer.body));
  });

  test('of the priority changes who is first', async () => {
    const type = uniqueType();
    await coordinator.api.create({ type });
    const last = await coordinator.api.create({ type, requires: { here: true } });
    await coordinator.api.patch(`/jobs/${last.id}`, { priority: 50 });
    const claimed = await coordinator.api.claim({ runnerId: 'r', types: [type], labels: { here: true } });
    expect(claimed.map(({ id }) => id)).toEqual([last.id]);
  });

  test('of runAt makes it wait, or, in the past, makes it due', async () => {
    const { job } = await make('pending');
    await coordinator.api.patch(`/jobs/${job.id}`, { runAt: '2099-01-01T00:00:00Z' });
    expect(await coordinator.api.claim({ runnerId: 'r', types: [job.type] })).toEqual([]);
    const { body } = await coordinator.api.patch<Job>(`/jobs/${job.id}`, { runAt: '2001-01-01T00:00:00Z' });
    expect(body.runAt).toBe(body.updatedAt);
    expect((await coordinator.api.claim({ runnerId: 'r', types: [job.type] })).length).toBe(1);
  });

  test.each([
    [{}],
    [{ status: 'completed' }],
    [{ priority: 101 }],
    [{ type: 'other' }],
    [{ runAt: '0000-01-01T00:00:00Z' }],
  ])('refuses %j', async (changes) => {
    const { job } = await make('pending');
    expect((await coordinator.api.patch(`/jobs/${job.id}`, changes)).status).toBe(400);
  });
});

describe('delete for good', () => {
  test.each(STATES)('of a job that is %s', async (state) => {
    const { job } = await make(state);
    const answer = await coordinator.api.delete<{ code?: string } | null>(`/jobs/${job.id}?purge=true`);
    if (open(state)) return expect([answer.status, answer.body?.code]).toEqual([409, 'state_conflict']);
    expect([answer.status, answer.body]).toEqual([204, null]);
    expect(await coordinator.api.refusal('get', `/jobs/${job.id}`)).toEqual([404, 'not_found']);
    expect(await coordinator.sql.count('attempts WHERE job_id = $1', [job.id])).toBe(0);
  });

  test('takes logs and idempotency keys along, and is for admins', async () => {
    const key = randomUUID();
    const type = uniqueType();
    const { body } = await coordinator.api.post<Job>('/jobs', { type }, { headers: { 'idempotency-key': key } });
    await coordinator.api.complete(await coordinator.api.claimOne({ runnerId: 'r', types: [type] }), {
      outcome: 'completed',
      logs: [{ level: 'info', message: 'bye' }],
    });
    const producer = coordinator.api.as(await coordinator.api.makeKey({ name: 'p', role: 'producer' }));
    expect(await producer.refusal('delete', `/jobs/${body.id}?purge=true`)).toEqual([403, 'forbidden']);
    expect((await coordinator.api.delete(`/jobs/${body.id}?purge=true`)).status).toBe(204);
    expect(await coordinator.sql.count('job_logs WHERE job_id = $1', [body.id])).toBe(0);
    expect((await coordinator.api.post('/jobs', { type }, { headers: { 'idempotency-key': key } })).status).toBe(201);
  });
});

describe('in bulk', () => {
  const bulk = async (verb: 'cancel' | 'retry', filter: object) =>
    expectStatus(await coordinator.api.post<{ count: number }>(`/jobs/${verb}`, { filter }), 200).count;

  test('cancel takes all that match and can be cancelled, and says how many', async () => {
    const tag = uniqueType('tag');
    const made = await Promise.all(STATES.map((state) => make(state, { tags: [tag] })));
    expect(await bulk('cancel', { tag })).toBe(STATES.filter(open).length);
    const statuses = await Promise.all(made.map(async ({ job }) => (await coordinator.api.job(job.id)).status));
    expect(statuses).toEqual(STATES.map((state) => (open(state) ? 'cancelled' : STATUS_OF[state])));
    expect(await bulk('cancel', { tag })).toBe(0);
  });

  test('retry takes all that match and can be retried', async () => {
    const tag = uniqueType('tag');
    await Promise.all(STATES.map((state) => make(state, { tags: [tag] })));
    expect(await bulk('retry', { tag, status: ['completed', 'pending'] })).toBe(0);
    expect(await bulk('retry', { tag, status: 'failed' })).toBe(1);
    expect(await bulk('retry', { tag })).toBe(2);
  });

  test('more than one batch', async () => {
    const type = uniqueType();
    for (let at = 0; at < 2; at += 1)
      await coordinator.api.post('/jobs/bulk', { jobs: Array.from({ length: 600 }, () => ({ type })) });
    expect(await bulk('cancel', { type })).toBe(1200);
    expect(await bulk('retry', { type })).toBe(1200);
  });

  test('retry of two jobs with one unique key: one is retried, the other stays', async () => {
    const type = uniqueType();
    for (let at = 0; at < 2; at += 1) {
      const { body } = await coordinator.api.post<Job>('/jobs', { type, uniqueKey: 'u' });
      await coordinator.api.post(`/jobs/${body.id}/cancel`);
    }
    expect(await bulk('retry', { type })).toBe(1);
  });

  test.each([
    [{}],
    [{ filter: {} }],
    [{ filter: { arguments: {} } }],
    [{ filter: { type: [] } }],
    [{ all: false }],
    [{ all: true, filter: { type: 'a' } }],
    [{ filter: { typo: 'a' } }],
    [{ filter: { status: 'gone' } }],
    [{ filter: [] }],
  ])('refuses %j', async (body) => {
    expect((await coordinator.api.post('/jobs/cancel', body)).status).toBe(400);
  });
});
