import { randomUUID } from 'node:crypto';
import type { CreateJob, Job } from '@baton/runner-sdk/protocol';
import { type Api, expectStatus } from '../support/api';
import { uniqueType } from '../support/factory';
import { Stage } from '../flow/stage';

// One idempotency key for a whole call: what is sent twice is there once, all of it or nothing.

let stage: Stage;
let first: Api;
let second: Api;
beforeAll(async () => {
  stage = await Stage.open();
  [first, second] = [stage.one.api, stage.two.api];
});
afterAll(() => stage.close());

type Answer = { jobs: Job[]; code?: string; detail?: string; errors?: { path: string; message: string }[] };
const send = (api: Api, key: string | null, jobs: (CreateJob & { idempotencyKey?: string })[], more: object = {}) =>
  api.post<Answer>('/jobs/bulk', { jobs, ...more }, key === null ? {} : { headers: { 'idempotency-key': key } });
const stored = (type: string) => stage.sql.count('jobs WHERE type = $1', [type]);
const kept = (key: string) => stage.sql.count('idempotency_keys WHERE key = $1', [key]);
const list = (type: string, count = 3): CreateJob[] =>
  Array.from({ length: count }, (_, n) => ({ type, arguments: { n }, tags: [`t${n}`] }));

/** Ways to be stored: in one statement; with jobs that have a turn, a hold or a time; under locks of keys. */
const KINDS: [string, (type: string) => CreateJob[]][] = [
  ['plain', (type) => list(type)],
  [
    'of users, keys and times',
    (type) =>
      list(type).map((job, n) => ({ ...job, userId: `u${n % 2}`, concurrencyKey: 'c', delayMs: n * 3_600_000 })),
  ],
  ['with unique keys', (type) => list(type).map((job, n) => ({ ...job, uniqueKey: `k${n}` }))],
  ['in order', (type) => list(type).map((job) => ({ ...job, orderKey: 'o' }))],
];

describe.each(KINDS)('jobs that are %s', (_kind, of) => {
  test('sent again under the call’s key are the first ones, in their order and as they are now', async () => {
    const [type, key] = [uniqueType(), randomUUID()];
    const made = await send(first, key, of(type));
    expect([made.status, made.body.jobs.map((job) => (job.arguments as { n: number }).n)]).toEqual([201, [0, 1, 2]]);
    await first.post(`/jobs/${made.body.jobs[1]?.id}/cancel`);
    const again = await send(second, key, of(type));
    expect([again.status, again.body.jobs.map(({ id }) => id)]).toEqual([200, made.body.jobs.map(({ id }) => id)]);
    expect(again.body.jobs[1]?.status).toBe('cancelled');
    expect([await stored(type), await kept(key)]).toEqual([3, 1]);
  });

  test('sent many times at once to both coordinators are stored once', async () => {
    const [type, key] = [uniqueType(), randomUUID()];
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, nth) => send(nth % 2 === 0 ? first : second, key, of(type))),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array.from({ length: 9 }, () => 200), 201]);
    expect(new Set(answers.map(({ body }) => JSON.stringify(body.jobs.map(({ id }) => id)))).size).toBe(1);
    expect([await stored(type), await kept(key)]).toEqual([3, 1]);
  });

  test('sent otherwise under the same key are a conflict', async () => {
    const [type, key] = [uniqueType(), randomUUID()];
    await send(first, key, of(type));
    for (const other of [
      of(type).slice(0, 2),
      of(type).toReversed(),
      of(type).map((job) => ({ ...job, priority: 1 })),
    ]) {
      expect(await send(second, key, other)).toMatchObject({ status: 409, body: { code: 'idempotency_conflict' } });
    }
    expect(await stored(type)).toBe(3);
  });

  test('go with the first of them, and are not told in part when another is gone', async () => {
    const [type, key] = [uniqueType(), randomUUID()];
    const { jobs } = (await send(first, key, of(type))).body;
    const remove = async (job: Job | undefined) => {
      await first.post(`/jobs/${job?.id}/cancel`);
      await first.delete(`/jobs/${job?.id}?purge=true`);
    };
    await remove(jobs[1]);
    const missing = await send(second, key, of(type));
    expect(missing).toMatchObject({ status: 409, body: { code: 'idempotency_conflict' } });
    expect(missing.body.detail).toContain('3 jobs, of which 1 were deleted');
    await remove(jobs[0]);
    expect(await kept(key)).toBe(0);
    expect((await send(second, key, of(type))).status).toBe(201);
  });
});

test('a call that is refused leaves its key free', async () => {
  const [type, key] = [uniqueType(), randomUUID()];
  const taken = randomUUID();
  await first.post('/jobs', { type }, { headers: { 'idempotency-key': taken } });
  const tooLarge = { type, arguments: 'x'.repeat(2_000_000) };
  const refused = await send(first, key, [...list(type), tooLarge]);
  expect([refused.status, await stored(type), await kept(key)]).toEqual([413, 1, 0]);
  expect((await send(first, key, list(type))).status).toBe(201);
});

test('what a unique key came down to is told again, and the key goes with a job that the call made', async () => {
  const [type, key] = [uniqueType(), randomUUID()];
  const holder = expectStatus(await first.post<Job>('/jobs', { type, uniqueKey: 'u' }), 201);
  const jobs = [{ type, uniqueKey: 'u' }, { type }];
  const made = (await send(first, key, jobs)).body.jobs;
  expect(made[0]?.id).toBe(holder.id);
  await first.complete(await first.claimOne({ runnerId: 'r', types: [type] }), { outcome: 'completed' });
  expect((await send(second, key, jobs)).body.jobs.map(({ id }) => id)).toEqual(made.map(({ id }) => id));
  expect(
    await stage.sql.one<{ id: string }>('SELECT job_id AS id FROM idempotency_keys WHERE key = $1', [key]),
  ).toEqual({ id: made[1]?.id });
  const [only, onlyKey] = [[{ type: uniqueType(), uniqueKey: 'u' }], randomUUID()];
  const alone = await first.post<Job>('/jobs', only[0]);
  for (const status of [201, 200])
    expect(await send(first, onlyKey, only)).toMatchObject({ status, body: { jobs: [{ id: alone.body.id }] } });
});

test('a key of a call is none of a single job, and the other way round', async () => {
  const [type, key, other] = [uniqueType(), randomUUID(), randomUUID()];
  const one = (api: Api, its: string) => api.post<Answer>('/jobs', { type }, { headers: { 'idempotency-key': its } });
  await send(first, key, [{ type }]);
  expect(await one(second, key)).toMatchObject({ status: 409, body: { code: 'idempotency_conflict' } });
  await one(first, other);
  expect(await send(second, other, [{ type }])).toMatchObject({ status: 409, body: { code: 'idempotency_conflict' } });
  expect(await send(second, null, [{ type, idempotencyKey: key }])).toMatchObject({
    status: 409,
    body: { code: 'idempotency_conflict' },
  });
});

test('a key belongs to its user', async () => {
  const [type, key] = [uniqueType(), randomUUID()];
  const ann = first.as(await first.makeKey({ name: 'ann', role: 'user', userId: 'ann' }));
  const ben = second.as(await first.makeKey({ name: 'ben', role: 'user', userId: 'ben' }));
  const answers = [
    await send(ann, key, list(type)),
    await send(ben, key, list(type)),
    await send(first, key, list(type)),
    await send(ann, key, list(type)),
  ];
  expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 200]);
  expect(answers[3]?.body.jobs.map(({ userId }) => userId)).toEqual(['ann', 'ann', 'ann']);
});

test('a call has a key, or its jobs have keys; calls that are judged job by job have none', async () => {
  const [type, key] = [uniqueType(), randomUUID()];
  const both = await send(first, key, [{ type }, { type, idempotencyKey: 'own' }]);
  expect([both.status, both.body.code, both.body.errors]).toEqual([
    400,
    'validation_failed',
    [{ path: 'jobs.1.idempotencyKey', message: 'must be left out when the call has the header Idempotency-Key' }],
  ]);
  const each = await send(first, key, [{ type }], { atomic: false });
  expect([each.status, each.body.code, each.body.errors?.[0]?.path]).toEqual([
    400,
    'validation_failed',
    'header Idempotency-Key',
  ]);
  expect((await send(first, 'a b', [{ type }])).status).toBe(400);
  expect(await stored(type)).toBe(0);
});
