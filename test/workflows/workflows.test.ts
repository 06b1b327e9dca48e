import { randomUUID } from 'node:crypto';
import type { ClaimedJob, Problem, Workflow, WorkflowSummary } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

// Workflows over HTTP: created in one call, looked at, cancelled, retried, and added to.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;

beforeAll(async () => {
  coordinator = await startCoordinator();
});
afterAll(() => coordinator.stop());

const post = <Body = Workflow>(path: string, json?: unknown, headers: Record<string, string> = {}) =>
  coordinator.api.post<Body>(path, json, { headers });
const make = async (jobs: Record<string, unknown>, more: object = {}): Promise<Workflow> =>
  expectStatus(await post('/workflows', { name: 'order', jobs, ...more }), 201);
const read = async (id: string): Promise<Workflow> =>
  expectStatus(await coordinator.api.get<Workflow>(`/workflows/${id}`), 200);
const statuses = async (id: string): Promise<Record<string, string>> =>
  Object.fromEntries(Object.entries((await read(id)).jobs).map(([key, { status }]) => [key, status]));
const settled = (id: string, wanted: Record<string, string>) =>
  eventually(
    () => statuses(id),
    (now) => Object.entries(wanted).every(([key, status]) => now[key] === status),
  );
const claimOne = (type: string, runnerId = 'r'): Promise<ClaimedJob> =>
  coordinator.api.claimOne({ runnerId, types: [type], waitMs: 10_000 });

async function run(type: string, result: unknown = null, outcome: 'completed' | 'failed' = 'completed') {
  const claimed = await claimOne(type);
  const report =
    outcome === 'completed' ? { outcome, result } : { outcome, error: { message: 'no', retryable: false } };
  expectStatus(await coordinator.api.complete(claimed, report), 200);
  return claimed;
}

/** load -> (left, right) -> join */
function diamond(type = uniqueType()) {
  return {
    type,
    jobs: {
      load: { type: `${type}-load` },
      left: { type: `${type}-left`, dependsOn: ['load'] },
      right: { type: `${type}-right`, dependsOn: ['load'] },
      join: { type: `${type}-join`, dependsOn: ['left', 'right'] },
    },
  };
}

describe('a workflow', () => {
  test('runs its jobs in order, hands results on by key, and ends with the last', async () => {
    const { type, jobs } = diamond();
    const made = await make(jobs);
    expect(made).toMatchObject({
      name: 'order',
      status: 'running',
      counts: { total: 4, pending: 1, blocked: 3, running: 0, completed: 0, failed: 0, cancelled: 0 },
      finishedAt: null,
      jobs: {
        load: { status: 'pending', dependsOn: [] },
        join: { type: `${type}-join`, status: 'blocked', dependsOn: ['left', 'right'] },
      },
    });
    const waiting = coordinator.api.get<WorkflowSummary>(`/workflows/${made.id}/wait?waitMs=20000`);
    await run(`${type}-load`, { rows: 2 });
    expect((await claimOne(`${type}-left`)).dependencies).toEqual({
      load: { id: made.jobs['load']?.id, status: 'completed', result: { rows: 2 } },
    });
    await coordinator.api.post(`/jobs/${made.jobs['left']?.id}/cancel`);
    expect(await statuses(made.id)).toMatchObject({ right: 'pending', join: 'cancelled' });
    expectStatus(await post(`/workflows/${made.id}/retry`), 200);
    expect(await statuses(made.id)).toEqual({ load: 'completed', left: 'pending', right: 'pending', join: 'blocked' });
    await run(`${type}-left`);
    await run(`${type}-right`, 7);
    const join = await run(`${type}-join`);
    expect(join.dependencies).toMatchObject({ left: { result: null }, right: { result: 7 } });
    const ended = expectStatus(await waiting, 200);
    expect(ended).toMatchObject({ status: 'completed', counts: { total: 4, completed: 4 } });
    expect(ended.finishedAt).not.toBeNull();
  });

  test('ends failed when a job failed, and cancels what depends on it', async () => {
    const { type, jobs } = diamond();
    const { id } = await make({
      ...jobs,
      after: { type: `${type}-after`, dependsOn: ['join'], onDependencyFailure: 'run' },
    });
    await run(`${type}-load`);
    await run(`${type}-left`, null, 'failed');
    await run(`${type}-right`);
    await settled(id, { join: 'cancelled', after: 'pending' });
    await run(`${type}-after`);
    await eventually(
      () => read(id),
      ({ status }) => status === 'failed',
    );
    expectStatus(await post(`/workflows/${id}/retry`), 200);
    expect(await statuses(id)).toMatchObject({
      load: 'completed',
      left: 'pending',
      right: 'completed',
      join: 'blocked',
    });
    expect((await read(id)).status).toBe('running');
  });

  test('is listed, newest first, by name, status and user', async () => {
    const name = uniqueType('wf');
    const type = uniqueType();
    const [one, two] = [await make({ a: { type } }, { name, userId: 'ann' }), await make({ a: { type } }, { name })];
    expectStatus(await post(`/workflows/${one.id}/cancel`, { reason: 'enough' }), 200);
    const list = async (query: string) =>
      expectStatus(
        await coordinator.api.get<{ items: WorkflowSummary[]; nextCursor: string | null }>(
          `/workflows?name=${name}${query}`,
        ),
        200,
      );
    expect((await list('')).items.map(({ id }) => id)).toEqual([two.id, one.id]);
    expect((await list('&status=running')).items.map(({ id }) => id)).toEqual([two.id]);
    expect((await list('&userId=ann')).items).toMatchObject([{ id: one.id, userId: 'ann', counts: { cancelled: 1 } }]);
    const first = await list('&limit=1');
    expect((await list(`&limit=1&cursor=${first.nextCursor}`)).items.map(({ id }) => id)).toEqual([one.id]);
    const { items } = expectStatus(
      await coordinator.api.get<{ items: { id: string }[] }>(`/jobs?workflowId=${two.id}`),
      200,
    );
    expect(items.map(({ id }) => id)).toEqual([two.jobs['a']?.id]);
  });

  test('is the first one when the same call comes again, and refuses another under its key', async () => {
    const { jobs } = diamond();
    const idempotencyKey = randomUUID();
    const [one, two] = await Promise.all([0, 1].map(() => post('/workflows', { name: 'once', jobs, idempotencyKey })));
    expect([one?.status, two?.status].sort()).toEqual([200, 201]);
    expect(one?.body.id).toBe(two?.body.id);
    const other = await post<Problem>('/workflows', { name: 'other', jobs, idempotencyKey });
    expect([other.status, other.body.code]).toEqual([409, 'idempotency_conflict']);
  });

  test('is cancelled below a key, or whole', async () => {
    const { type, jobs } = diamond();
    const { id } = await make(jobs);
    await run(`${type}-load`);
    const { leaseToken, id: jobId } = await claimOne(`${type}-left`);
    expectStatus(await post(`/workflows/${id}/cancel`, { key: 'left', reason: 'no left' }), 200);
    expect(await statuses(id)).toEqual({ load: 'completed', left: 'cancelled', right: 'pending', join: 'cancelled' });
    const late = await post<Problem>(`/jobs/${jobId}/complete`, { leaseToken, outcome: 'completed' });
    expect(late.body.code).toBe('job_cancelled');
    expect((await coordinator.api.job(jobId)).reason).toBe('no left');
    expectStatus(await post(`/workflows/${id}/cancel`, {}), 200);
    expect((await read(id)).status).toBe('cancelled');
    expect(await coordinator.api.refusal('post', `/workflows/${id}/cancel`, {})).toEqual([409, 'state_conflict']);
    expect(await coordinator.api.refusal('post', `/workflows/${id}/cancel`, { key: 'none' })).toEqual([
      404,
      'not_found',
    ]);
  });
});

describe('a graph that is none', () => {
  const refused = async (jobs: Record<string, unknown>): Promise<Problem> => {
    const before = await coordinator.sql.count('jobs');
    const problem = expectStatus(await post<Problem>('/workflows', { name: 'bad', jobs }), 400);
    expect(await coordinator.sql.count('jobs')).toBe(before);
    return problem;
  };
  const type = uniqueType();

  test('names the cycle', async () => {
    const { code, detail, errors } = await refused({
      start: { type },
      a: { type, dependsOn: ['start', 'c'] },
      b: { type, dependsOn: ['a'] },
      c: { type, dependsOn: ['b'] },
    });
    expect([code, errors?.[0]?.path]).toEqual(['dependency_cycle', 'jobs.a.dependsOn']);
    expect(detail).toContain('a -> b -> c -> a');
    expect((await refused({ a: { type, dependsOn: ['a'] } })).detail).toContain('a -> a');
  });

  test('names unknown keys, and all that is wrong with its jobs, with their paths', async () => {
    const unknown = await refused({ a: { type }, b: { type, dependsOn: ['a', 'x'] } });
    expect([unknown.code, unknown.errors?.[0]?.path]).toEqual(['validation_failed', 'jobs.b.dependsOn.1']);
    const { errors } = await refused({ a: { type: '' }, b: { type, delayMs: -1 }, c: { gate: { expiresInMs: 0 } } });
    expect(errors?.map(({ path }) => path)).toEqual(['jobs.a.type', 'jobs.b.delayMs', 'jobs.c.gate.expiresInMs']);
    expect((await refused({})).errors?.[0]?.path).toBe('jobs');
    expect((await refused({ 'a key': { type } })).code).toBe('validation_failed');
    expect((await refused({ a: { type, userId: 'ann' } })).errors?.[0]?.path).toBe('jobs.a.userId');
  });

  test('is not stored when one of its jobs cannot be', async () => {
    const holder = await coordinator.api.create({ type, uniqueKey: 'held' });
    const { status, body } = await post<Problem>('/workflows', {
      name: 'bad',
      jobs: { a: { type }, b: { type, uniqueKey: 'held' } },
    });
    expect([status, body.code, body.errors?.[0]?.path]).toEqual([409, 'state_conflict', 'jobs.b.uniqueKey']);
    expect(body.detail).toContain(holder.id);
  });

  test('of too many jobs is refused, and one of as many as may be is stored', async () => {
    const chain = (length: number) =>
      Object.fromEntries(
        Array.from({ length }, (_, index) => [
          `k${index}`,
          { type, runAt: '2100-01-01T00:00:00Z', ...(index === 0 ? {} : { dependsOn: [`k${index - 1}`] }) },
        ]),
      );
    const { errors } = await refused(chain(10_001));
    expect(errors?.[0]?.message).toContain('10000');
    const { id, counts } = await make(chain(10_000));
    expect(counts).toMatchObject({ total: 10_000, pending: 1, blocked: 9_999 });
    expectStatus(await post(`/workflows/${id}/cancel`, {}), 200);
    expect(await coordinator.sql.count("jobs WHERE workflow_id = $1 AND status = 'cancelled'", [id])).toBe(10_000);
  });
});

describe('jobs that are added', () => {
  test('by a running job go on after it, and its workflow ends with them', async () => {
    const type = uniqueType();
    const { id } = await make({ plan: { type } });
    const { key } = expectStatus(
      await coordinator.api.post<{ key: string }>('/api-keys', { name: 'runner', role: 'runner' }),
      201,
    );
    const runner = coordinator.api.as(key);
    const plan = await claimOne(type);
    const jobs = {
      a: { type: `${type}-a`, dependsOn: ['plan'] },
      b: { type: `${type}-b`, dependsOn: ['a'] },
    };
    const add = (lease: string | null) =>
      runner.post<Workflow>(
        `/workflows/${id}/jobs`,
        { jobs },
        lease === null ? {} : { headers: { 'baton-lease': lease } },
      );
    expect((await add(null)).body).toMatchObject({ code: 'forbidden' });
    expect((await add(randomUUID())).body).toMatchObject({ code: 'not_found' });
    const added = expectStatus(await add(plan.leaseToken), 201);
    expect(added.jobs).toMatchObject({ a: { status: 'blocked' }, b: { status: 'blocked', dependsOn: ['a'] } });
    // A handler that is run again adds nothing twice.
    expect(expectStatus(await add(plan.leaseToken), 201).jobs).toEqual(added.jobs);
    expectStatus(await coordinator.api.complete(plan, { outcome: 'completed', result: 1 }), 200);
    expect((await run(`${type}-a`)).dependencies).toMatchObject({ plan: { result: 1 } });
    await run(`${type}-b`);
    await eventually(
      () => read(id),
      ({ status }) => status === 'completed',
    );
    const late = await post<Problem>(`/workflows/${id}/jobs`, { jobs: { c: { type } } });
    expect([late.status, late.body.code]).toEqual([409, 'state_conflict']);
  });

  test('after one that has ended start, or are cancelled, at once', async () => {
    const type = uniqueType();
    const { id } = await make({ good: { type: `${type}-good` }, bad: { type: `${type}-bad` }, open: { type } });
    await run(`${type}-good`, 5);
    await run(`${type}-bad`, null, 'failed');
    expectStatus(
      await post(`/workflows/${id}/jobs`, {
        jobs: {
          next: { type: `${type}-next`, dependsOn: ['good'] },
          never: { type, dependsOn: ['bad'] },
          anyway: { type, dependsOn: ['bad', 'good'], onDependencyFailure: 'run' },
        },
      }),
      201,
    );
    await settled(id, { next: 'pending', never: 'cancelled', anyway: 'pending' });
    expect((await run(`${type}-next`)).dependencies).toMatchObject({ good: { result: 5 } });
    const { errors } = expectStatus(
      await post<Problem>(`/workflows/${id}/jobs`, { jobs: { x: { type, dependsOn: ['nothing'] } } }),
      400,
    );
    expect(errors?.[0]?.path).toBe('jobs.x.dependsOn.0');
  });
});

test("another user's workflow is not there", async () => {
  const { id } = await make({ a: { type: uniqueType() }, ok: { gate: {} } }, { userId: 'ben' });
  const { key } = expectStatus(
    await coordinator.api.post<{ key: string }>('/api-keys', { name: 'ann', role: 'user', userId: 'ann' }),
    201,
  );
  const ann = coordinator.api.as(key);
  for (const [method, path, body] of [
    ['get', `/workflows/${id}`],
    ['get', `/workflows/${id}/wait`],
    ['post', `/workflows/${id}/cancel`, {}],
    ['post', `/workflows/${id}/retry`],
    ['post', `/workflows/${id}/jobs`, { jobs: { b: { type: 't' } } }],
    ['post', `/workflows/${id}/gates/ok`, { outcome: 'opened' }],
    ['post', `/workflows/${id}/gates/ok/link`, {}],
  ] as const)
    expect([path, await ann.refusal(method, path, body)]).toEqual([path, [404, 'not_found']]);
  const own = expectStatus(await ann.post<Workflow>('/workflows', { name: 'own', jobs: { a: { type: 't' } } }), 201);
  expect(own.userId).toBe('ann');
  expect(await ann.refusal('post', '/workflows', { name: 'own', userId: 'ben', jobs: { a: { type: 't' } } })).toEqual([
    403,
    'forbidden',
  ]);
});
