import { randomUUID } from 'node:crypto';
import { claim as claimJobs } from '../../coordinator/domain/jobs/claim';
import { startCoordinator } from '../support/coordinator';
import { jobIn, STATES, uniqueType } from '../support/factory';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

const claim = (type: string, more: object = {}) => coordinator.api.claim({ runnerId: 'r', types: [type], ...more });
const ids = (jobs: { id: string }[]) => jobs.map(({ id }) => id);

test('a claimed job has all that its runner needs', async () => {
  const type = uniqueType();
  const job = await coordinator.api.create({
    type,
    queue: 'q',
    arguments: { a: 1 },
    timeoutMs: 10_000,
    maxAttempts: 3,
    tags: ['t'],
    metadata: { m: 1 },
    userId: 'ann',
  });
  const [claimed] = await claim(type, { leaseMs: 5000 });
  expect(claimed).toEqual({
    id: job.id,
    type,
    queue: 'q',
    arguments: { a: 1 },
    attempt: 1,
    maxAttempts: 3,
    leaseToken: expect.stringMatching(/^[0-9a-f-]{36}$/),
    leaseExpiresAt: expect.any(String),
    leaseMs: 5000,
    deadlineAt: expect.any(String),
    timeoutMs: 10_000,
    metadata: { m: 1 },
    tags: ['t'],
    userId: 'ann',
    workflowId: null,
    dependencies: {},
    checkpoint: null,
    traceparent: null,
  });
  const { startedAt, leaseExpiresAt, deadlineAt, ...rest } = await coordinator.api.job(job.id);
  expect(rest).toMatchObject({ status: 'running', attempt: 1, runnerId: 'r' });
  expect(JSON.stringify(rest)).not.toContain(claimed?.leaseToken);
  expect(Date.parse(leaseExpiresAt ?? '') - Date.parse(startedAt ?? '')).toBe(5000);
  expect(Date.parse(deadlineAt ?? '') - Date.parse(startedAt ?? '')).toBe(12_500);
});

test('a lease is never longer than the attempt may take', async () => {
  const type = uniqueType();
  await coordinator.api.create({ type, timeoutMs: 1000 });
  const [claimed] = await claim(type, { leaseMs: 600_000 });
  expect(claimed?.leaseExpiresAt).toBe(claimed?.deadlineAt);
});

test.each(STATES)('a job that is %s', async (state) => {
  const { job } = await jobIn(state, coordinator, { retry: { strategy: 'fixed', baseMs: 60_000, jitter: 0 } });
  expect(ids(await claim(job.type))).toEqual(state === 'pending' || state === 'released' ? [job.id] : []);
});

test('an expired job that the monitor has not met yet is not claimed', async () => {
  const { job } = await jobIn('pending', coordinator);
  await coordinator.sql.expireJob(job.id);
  expect(await claim(job.type)).toEqual([]);
});

test('the order is priority, then runAt, then id, over all lanes, and a claim brings no more than max', async () => {
  const type = uniqueType();
  const wanted: string[] = [];
  const create = async (job: object) => (await coordinator.api.create({ type, ...job })).id;
  const [low, a, b] = [
    await create({ priority: 'low' }),
    await create({ queue: 'a' }),
    await create({ queue: 'b', requires: { x: 1 } }),
  ];
  const [c, high, later] = [
    await create({ queue: 'a' }),
    await create({ priority: 'high', queue: 'c' }),
    await create({ queue: 'b' }),
  ];
  await coordinator.sql.query(
    "UPDATE jobs SET run_at = now() - interval '1 hour', position = now() - interval '1 hour' WHERE id = $1",
    [later],
  );
  for (const _round of [1, 2, 3, 4]) wanted.push(...ids(await claim(type, { max: 2, labels: { x: 1 } })));
  expect(wanted.slice(0, 2)).toEqual(expect.arrayContaining([high, later]));
  expect(wanted.slice(2, 4)).toEqual(expect.arrayContaining([a, b]));
  expect(wanted.slice(4)).toEqual(expect.arrayContaining([c, low]));
  expect(wanted.length).toBe(6);
});

test('one claim after the other comes in order', async () => {
  const type = uniqueType();
  const created: string[] = [];
  for (let at = 0; at < 12; at += 1) created.push((await coordinator.api.create({ type, queue: `q${at % 3}` })).id);
  const claimed: string[] = [];
  for (let at = 0; at < 12; at += 1) claimed.push(...ids(await claim(type)));
  expect(claimed).toEqual(created);
});

test('only the types and queues that were asked for', async () => {
  const [type, other] = [uniqueType(), uniqueType()];
  const a = await coordinator.api.create({ type, queue: 'a' });
  const b = await coordinator.api.create({ type, queue: 'b' });
  const c = await coordinator.api.create({ type: other, queue: 'b' });
  expect(ids(await claim(type, { queues: ['b'], max: 9 }))).toEqual([b.id]);
  expect(ids(await coordinator.api.claim({ runnerId: 'r', types: [type, other, 'none'], max: 9 }))).toEqual(
    expect.arrayContaining([a.id, c.id]),
  );
});

test('a backlog that this runner cannot take hides nothing', async () => {
  const type = uniqueType();
  await coordinator.api.post('/jobs/bulk', {
    jobs: Array.from({ length: 700 }, () => ({ type, priority: 50, requires: { gpu: true } })),
  });
  const plain = await coordinator.api.create({ type });
  expect(ids(await claim(type, { max: 10, labels: { gpu: false } }))).toEqual([plain.id]);
});

test('labels: equal, or compared as numbers', async () => {
  const type = uniqueType();
  const job = await coordinator.api.create({ type, requires: { memory: '>=40', region: 'eu' } });
  expect(await claim(type)).toEqual([]);
  expect(await claim(type, { labels: { memory: 39, region: 'eu' } })).toEqual([]);
  expect(await claim(type, { labels: { memory: 64, region: 'us' } })).toEqual([]);
  expect(ids(await claim(type, { labels: { memory: 64, region: 'eu', more: true } }))).toEqual([job.id]);
});

describe('a claim id', () => {
  test('sent again brings the same jobs and tokens, those that still run', async () => {
    const type = uniqueType();
    for (let at = 0; at < 5; at += 1) await coordinator.api.create({ type });
    const claimId = randomUUID();
    const first = await claim(type, { claimId, max: 3 });
    const again = await claim(type, { claimId, max: 3 });
    const sorted = (jobs: { id: string; leaseToken: string; attempt: number }[]) =>
      jobs.map(({ id, leaseToken, attempt }) => [id, leaseToken, attempt]).sort();
    expect(sorted(again)).toEqual(sorted(first));
    const [done, ...rest] = first;
    if (done !== undefined) await coordinator.api.complete(done);
    expect(sorted(await claim(type, { claimId, max: 3, waitMs: 5000 }))).toEqual(sorted(rest));
    expect((await claim(type, { claimId: randomUUID(), max: 9 })).length).toBe(2);
  });

  test('is its runner’s own', async () => {
    const type = uniqueType();
    for (let at = 0; at < 2; at += 1) await coordinator.api.create({ type });
    const claimId = randomUUID();
    const first = await claim(type, { claimId });
    const other = await claim(type, { claimId, runnerId: 'another' });
    expect(other.length).toBe(1);
    expect(ids(other)).not.toEqual(ids(first));
  });

  test('brings others once all of its jobs are over', async () => {
    const type = uniqueType();
    for (let at = 0; at < 2; at += 1) await coordinator.api.create({ type });
    const claimId = randomUUID();
    const [first] = await claim(type, { claimId });
    if (first !== undefined) await coordinator.api.complete(first);
    const [second] = await claim(type, { claimId });
    expect(second?.id).toBeDefined();
    expect(second?.id).not.toBe(first?.id);
  });
});

test.each<[string, object]>([
  ['no runner', { runnerId: undefined }],
  ['no types', { types: [] }],
  ['too many types', { types: Array.from({ length: 201 }, (_, at) => `t${at}`) }],
  ['max 0', { max: 0 }],
  ['max 501', { max: 501 }],
  ['a long wait', { waitMs: 50_001 }],
  ['a short lease', { leaseMs: 999 }],
  ['a long lease', { leaseMs: 600_001 }],
  ['no queues', { queues: [] }],
  ['labels that are a list', { labels: ['a'] }],
  ['NUL in the runner’s name', { runnerId: 'a\u0000' }],
])('%s is refused', async (_name, wrong) => {
  expect(await coordinator.api.refusal('post', '/jobs/claim', { runnerId: 'r', types: ['a'], ...wrong })).toEqual([
    400,
    'validation_failed',
  ]);
});

test('fields of a newer runner are ignored', async () => {
  const { job } = await jobIn('pending', coordinator);
  expect(ids(await claim(job.type, { colour: 'blue' }))).toEqual([job.id]);
});

test('complete and claim: one round trip, each report judged alone, and the claim does not wait', async () => {
  const type = uniqueType();
  for (let at = 0; at < 3; at += 1) await coordinator.api.create({ type, arguments: { at } });
  const [one, two] = await claim(type, { max: 2 });
  const { body } = await coordinator.api.post<{
    results: { jobId: unknown; status?: string; code?: string }[];
    jobs: { id: string }[];
  }>('/jobs/complete', {
    completions: [
      { jobId: one?.id, leaseToken: one?.leaseToken, outcome: 'completed', result: 1 },
      { jobId: one?.id, leaseToken: one?.leaseToken, outcome: 'completed', result: 2 },
      { jobId: two?.id, leaseToken: randomUUID(), outcome: 'completed' },
      {
        jobId: two?.id,
        leaseToken: two?.leaseToken,
        outcome: 'completed',
        result: { __proto__: null, ['constructor']: 1 },
      },
      { jobId: randomUUID(), leaseToken: randomUUID(), outcome: 'failed' },
      5,
      { jobId: two?.id, leaseToken: two?.leaseToken, outcome: 'failed', error: { message: 'no', retryable: false } },
    ],
    claim: { runnerId: 'r', types: [type], waitMs: 50_000, max: 5 },
  });
  expect(body.results.map((result) => result.status ?? result.code)).toEqual([
    'completed',
    'state_conflict',
    'lease_lost',
    'validation_failed',
    'not_found',
    'validation_failed',
    'failed',
  ]);
  expect(body.results.map((result) => result.jobId).slice(0, 4)).toEqual([one?.id, one?.id, two?.id, two?.id]);
  expect(body.jobs.length).toBe(1);
  const empty = await coordinator.api.post<{ results: unknown[]; jobs: unknown[] }>('/jobs/complete', {
    completions: [],
    claim: { runnerId: 'r', types: [type], waitMs: 50_000 },
  });
  expect(empty.body).toEqual({ results: [], jobs: [], directives: {} });
});

test('a claim that is given its jobs again does not make the lane seem empty to those that wait beside it', async () => {
  const type = uniqueType();
  const { context } = coordinator.app;
  await coordinator.api.create({ type });
  await coordinator.api.claimOne({ runnerId: 'again', types: [type], claimId: 'c' });
  const lanes = (
    await context.lanes.of([{ queue: 'default', type, priority: 0, requires: null, prefers: null }])
  ).flatMap((lane) => lane ?? []);
  const slot = { runnerId: 'again', claimId: 'c', leaseMs: 30_000 };
  await coordinator.api.create({ type });
  expect((await claimJobs(context, lanes, {}, [slot, slot])).rows.map(({ repeated }) => repeated)).toEqual([true]);
  expect(context.readyLanes.among(lanes)).toEqual(lanes);
  // Another, for whom there was only one where it wanted two, does.
  expect(
    (await claimJobs(context, lanes, {}, [slot, { ...slot, claimId: 'd' }, { ...slot, claimId: 'd' }])).rows,
  ).toMatchObject([{ repeated: true }, { repeated: false }]);
  expect(context.readyLanes.among(lanes)).toEqual([]);
});
