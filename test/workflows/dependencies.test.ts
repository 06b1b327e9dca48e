import { randomUUID } from 'node:crypto';
import type { ClaimedJob, CreateJob, Explanation, Job, JobEvent, Problem } from '@baton/runner-sdk/protocol';
import * as store from '../../coordinator/store/jobs';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { jobIn, uniqueType } from '../support/factory';
import type { Session } from '../support/sql';

// Jobs that are created to wait for others, and what they are handed when they start.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let session: Session;

beforeAll(async () => {
  coordinator = await startCoordinator();
  session = await coordinator.sql.session();
  // What follows at once is looked at here.
  await coordinator.app.loops.pendingWork.stop();
  await coordinator.app.loops.settle.stop();
});
afterAll(async () => {
  await session.end();
  await coordinator.stop();
});

const create = (more: Partial<CreateJob> = {}): Promise<Job> =>
  coordinator.api.create({ type: uniqueType('node'), ...more });
const refusal = async (more: Partial<CreateJob>): Promise<Problem> =>
  expectStatus(await coordinator.api.post<Problem>('/jobs', { type: uniqueType(), ...more }), 400);
const claimed = (job: Job): Promise<ClaimedJob> => coordinator.api.claimOne({ runnerId: 'r', types: [job.type] });

async function finish(job: Job, result: unknown = null): Promise<void> {
  expectStatus(await coordinator.api.complete(await claimed(job), { outcome: 'completed', result }), 200);
}

const NOBODY = '01890000-0000-7000-8000-000000000000';

describe('a job that depends on others', () => {
  test('is blocked until all have ended, says so, and is handed their results', async () => {
    const [one, other] = [await create(), await create()];
    const child = await create({ dependsOn: [one.id, other.id, one.id] });
    expect(child).toMatchObject({ status: 'blocked', dependsOn: [one.id, other.id] });
    expect(await coordinator.api.claim({ runnerId: 'r', types: [child.type] })).toEqual([]);
    await finish(one, { pages: 3 });
    const { reasons } = expectStatus(await coordinator.api.get<Explanation>(`/jobs/${child.id}/explain`), 200);
    expect(reasons[0]).toMatchObject({
      code: 'waits_for_jobs',
      details: { count: 1, jobs: [{ id: other.id, status: 'pending' }] },
    });
    await finish(other);
    const claim = { runnerId: 'r', types: [child.type], claimId: 'lost' };
    const first = await coordinator.api.claimOne(claim);
    expect(first.dependencies).toEqual({
      [one.id]: { id: one.id, status: 'completed', result: { pages: 3 } },
      [other.id]: { id: other.id, status: 'completed', result: null },
    });
    // Asked for again because the answer was lost.
    expect((await coordinator.api.claimOne(claim)).dependencies).toEqual(first.dependencies);
  });

  test('is pending at once when all had completed, and is shown so in a list', async () => {
    const { job: parent } = await jobIn('completed', coordinator);
    const child = await create({ dependsOn: [parent.id] });
    expect(child.status).toBe('pending');
    expect((await claimed(child)).dependencies).toEqual({
      [parent.id]: { id: parent.id, status: 'completed', result: { made: true } },
    });
    const { items } = expectStatus(await coordinator.api.get<{ items: Job[] }>(`/jobs?type=${child.type}`), 200);
    expect(items[0]?.dependsOn).toEqual([parent.id]);
  });

  test('is cancelled at once when one had failed, unless it runs all the same', async () => {
    const { job: parent } = await jobIn('failed', coordinator);
    const strict = await create({ dependsOn: [parent.id] });
    expect(await coordinator.api.job(strict.id)).toMatchObject({ status: 'cancelled', reason: 'dependency_failed' });
    const tolerant = await create({ dependsOn: [parent.id], onDependencyFailure: 'run' });
    expect(tolerant.status).toBe('pending');
    expect((await claimed(tolerant)).dependencies).toEqual({
      [parent.id]: { id: parent.id, status: 'failed', result: null },
    });
  });

  test('keeps its delay and its order', async () => {
    const parent = await create();
    const orderKey = uniqueType('order');
    const delayed = await create({ dependsOn: [parent.id], delayMs: 3_600_000 });
    const first = await create({ dependsOn: [parent.id], orderKey });
    const second = await create({ orderKey, type: first.type });
    expect((await coordinator.sql.one<{ hold: string }>('SELECT hold FROM jobs WHERE id = $1', [second.id])).hold).toBe(
      'order',
    );
    await finish(parent);
    expect(await coordinator.api.claim({ runnerId: 'r', types: [delayed.type] })).toEqual([]);
    const [now, ...others] = await coordinator.api.claim({ runnerId: 'r', types: [first.type], max: 5 });
    expect([now?.id, others.length]).toEqual([first.id, 0]);
  });

  test('tells each thing that happens to it once', async () => {
    const parent = await create();
    const told: Partial<JobEvent>[] = [];
    const child = await create({ dependsOn: [parent.id] });
    coordinator.app.context.events.on((events) => told.push(...events.filter(({ jobId }) => jobId === child.id)));
    await finish(parent);
    await finish(child);
    expect(told.map(({ name, status }) => [name, status])).toEqual([
      ['job.unblocked', 'pending'],
      ['job.claimed', 'running'],
      ['job.completed', 'completed'],
    ]);
  });
});

describe('what cannot be depended on', () => {
  test('is a job that is not there, or belongs to another user: both are told alike', async () => {
    const parent = await create();
    const foreign = await create({ userId: 'ben' });
    const { key } = expectStatus(
      await coordinator.api.post<{ key: string }>('/api-keys', { name: 'ann', role: 'user', userId: 'ann' }),
      201,
    );
    const ann = coordinator.api.as(key);
    const told = async (id: string) => {
      const { body, status } = await ann.post<Problem>('/jobs', { type: 't', dependsOn: [id] });
      return [status, body.code, body.errors?.map(({ path, message }) => [path, message.replace(id, '<id>')])];
    };
    const unknown = [400, 'validation_failed', [['dependsOn.0', 'There is no job with id <id>.']]];
    expect(await told(NOBODY)).toEqual(unknown);
    expect(await told(foreign.id)).toEqual(unknown);
    expect(await told(parent.id)).toEqual(unknown);
    const own = expectStatus(await ann.post<Job>('/jobs', { type: 't' }), 201);
    expectStatus(await ann.post('/jobs', { type: 't', dependsOn: [own.id] }), 201);
  });

  test('is named with its place in a bulk call, of which nothing is stored', async () => {
    const type = uniqueType();
    const parent = await create();
    const jobs = [{ type }, { type, dependsOn: [parent.id, NOBODY] }];
    const { errors } = expectStatus(await coordinator.api.post<Problem>('/jobs/bulk', { jobs }), 400);
    expect(errors?.[0]?.path).toBe('jobs.1.dependsOn.1');
    expect(await coordinator.sql.count('jobs WHERE type = $1', [type])).toBe(0);
    const each = expectStatus(
      await coordinator.api.post<{ jobs: (Job | Problem)[] }>('/jobs/bulk', { jobs, atomic: false }),
      201,
    ).jobs;
    expect(each).toMatchObject([{ status: 'pending' }, { code: 'validation_failed' }]);
  });

  test.each<[string, Partial<CreateJob>, string]>([
    ['too many', { dependsOn: Array.from({ length: 1001 }, () => randomUUID()) }, 'dependsOn'],
    ['what is no id', { dependsOn: ['first'] }, 'dependsOn.0'],
    ['nothing, with a policy', { onDependencyFailure: 'run' }, 'onDependencyFailure'],
    ['an unknown policy', { dependsOn: [NOBODY], onDependencyFailure: 'wait' as 'run' }, 'onDependencyFailure'],
  ])('%s', async (_what, more, path) => {
    const { code, errors } = await refusal(more);
    expect([code, errors?.[0]?.path]).toEqual(['validation_failed', path]);
  });
});

test('the same create again brings the first job, though what it depends on is gone', async () => {
  const { job: parent } = await jobIn('completed', coordinator);
  const job = { type: uniqueType(), dependsOn: [parent.id] };
  const headers = { 'idempotency-key': randomUUID() };
  const first = expectStatus(await coordinator.api.post<Job>('/jobs', job, { headers }), 201);
  expect((await coordinator.api.delete(`/jobs/${parent.id}?purge=true`)).status).toBe(204);
  expect(expectStatus(await coordinator.api.post<Job>('/jobs', job, { headers }), 200).id).toBe(first.id);
  expect((await claimed(first)).dependencies).toEqual({
    [parent.id]: { id: parent.id, status: 'completed', result: null },
  });
});

describe('the end of a parent and the create of its child, at one moment', () => {
  test('a child that is stored first is freed by the end', async () => {
    const parent = await create();
    const lease = await claimed(parent);
    const child = await create();
    await session.begin();
    await store.lockParents(session, [parent.id]);
    const ended = coordinator.api.complete(lease, { outcome: 'completed' });
    await session.hasWaiter();
    // As the create stores it, which would have waited no longer than this.
    await session.query({
      text: "UPDATE jobs SET status = 'blocked', position = NULL, depends_on = $2 WHERE id = $1",
      values: [child.id, [parent.id]],
    });
    await session.query({ text: 'INSERT INTO dependencies VALUES ($1, $2)', values: [child.id, parent.id] });
    await session.commit();
    expectStatus(await ended, 200);
    expect((await coordinator.api.job(child.id)).status).toBe('pending');
  });

  test('a parent that ends first is seen by the create', async () => {
    const parent = await create();
    const { id, leaseToken } = await claimed(parent);
    await session.begin();
    await store.complete(session, [{ jobId: id, leaseToken, result: '7', metrics: null }], false);
    const created = create({ dependsOn: [parent.id] });
    await session.hasWaiter();
    await session.commit();
    expect((await created).status).toBe('pending');
  });
});

describe('results that are too large to be handed over', () => {
  const text = (bytes: number) => 'x'.repeat(bytes);

  test('are read by the lease, and by nothing else', async () => {
    const parents = await Promise.all([1, 2, 3].map(() => create()));
    const results = [text(200_000), text(100_000), text(50_000)];
    for (const [index, parent] of parents.entries()) await finish(parent, results[index]);
    const child = await create({ dependsOn: parents.map(({ id }) => id) });
    const { leaseToken, dependencies } = await claimed(child);
    const [large, middle, small] = parents.map(({ id }) => dependencies[id]);
    expect([middle?.result, small?.result]).toEqual(results.slice(1));
    expect(large).toEqual({ id: parents[0]?.id, status: 'completed', resultUrl: expect.any(String) as string });
    const { api } = coordinator;
    const url = large?.resultUrl ?? '';
    const read = (token: string | null, at = url) =>
      api.call<{ result?: unknown; code?: string }>(
        'get',
        at,
        token === null ? {} : { headers: { 'baton-lease': token } },
      );
    expect((await read(leaseToken)).body).toEqual({ id: parents[0]?.id, status: 'completed', result: results[0] });
    expect([(await read(null)).status, (await read('token')).status]).toEqual([400, 400]);
    expect((await read(randomUUID())).body.code).toBe('lease_lost');
    expect((await read(leaseToken, `/jobs/${child.id}/dependencies/${child.id}/result`)).body.code).toBe('not_found');
    const { key } = expectStatus(
      await api.post<{ key: string }>('/api-keys', { name: 'other', role: 'runner', types: ['other'] }),
      201,
    );
    const beyond = await api.as(key).call('get', url, { headers: { 'baton-lease': leaseToken } });
    expect(beyond.status).toBe(404);
    expectStatus(await api.complete({ id: child.id, leaseToken }, { outcome: 'completed' }), 200);
    expect((await read(leaseToken)).body.code).toBe('lease_lost');
  });
});
