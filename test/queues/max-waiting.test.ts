import type { Job, Problem } from '@baton/runner-sdk/protocol';
import { Stage } from '../flow/stage';
import { WaitingCounts } from '../../coordinator/state/waiting-counts';
import { eventually } from '../support/eventually';

// A queue that may hold so many waiting jobs takes no more, whatever way they come.

let stage: Stage;
beforeAll(async () => (stage = await Stage.open()));
afterAll(() => stage.close());

const create = (job: object, headers: Record<string, string> = {}) =>
  stage.one.api.post<Omit<Job, 'status'> & Omit<Problem, 'status'>>('/jobs', { type: 'work', ...job }, { headers });
const listed = async (jobs: object[], more: object = {}) => {
  const all = jobs.map((job) => ({ type: 'work', ...job }));
  const { status, body } = await stage.one.api.post<{ jobs: { code?: string }[]; code?: string }>('/jobs/bulk', {
    jobs: all,
    ...more,
  });
  return status === 201 ? body.jobs.map(({ code }) => code ?? 'made') : [String(status), body.code];
};

test('a create over it is 429 queue_full with Retry-After; one that starts, or is cancelled, makes room', async () => {
  const queue = await stage.queue({ maxWaiting: 3, concurrencyPerKey: 1 });
  // In turn, for later, and in an order: all of them wait.
  for (const more of [{}, { delayMs: 3_600_000 }, { orderKey: 'o' }])
    expect((await create({ queue, ...more })).status).toBe(201);
  const refused = await create({ queue });
  expect(refused).toMatchObject({
    status: 429,
    body: { code: 'queue_full', detail: expect.stringContaining('maxWaiting') },
  });
  expect(refused.headers['retry-after']).toBe('1');
  await stage.claim(queue, 1);
  await eventually(async () => (await create({ queue })).status === 201);
  expect((await create({ queue })).status).toBe(429);
  expect((await create({ queue: await stage.queue() })).status).toBe(201);
});

test('a list that is all or none is refused as a whole, and takes no room; judged alone, as many as fit are made', async () => {
  const queue = await stage.queue({ maxWaiting: 3 });
  const job = { queue };
  expect(await listed([job, job, job, job])).toEqual(['429', 'queue_full']);
  expect(await listed([job, job])).toEqual(['made', 'made']);
  expect(await listed([job, job, job], { atomic: false })).toEqual(['made', 'queue_full', 'queue_full']);
});

test('what makes no job of its own is answered as ever', async () => {
  const queue = await stage.queue({ maxWaiting: 1 });
  const key = { 'idempotency-key': queue };
  const { body: first } = await create({ queue, uniqueKey: queue }, key);
  expect(await create({ queue, uniqueKey: queue }, key)).toMatchObject({ status: 200, body: { id: first.id } });
  expect(await create({ queue, uniqueKey: queue })).toMatchObject({ status: 200, body: { id: first.id } });
  expect((await create({ queue }, { 'idempotency-key': `${queue}-2` })).status).toBe(429);
  const call = { 'idempotency-key': `${queue}-call` };
  await stage.set(queue, { maxWaiting: 3 });
  const jobs = [
    { type: 'work', queue },
    { type: 'work', queue },
  ];
  expect((await stage.one.api.post('/jobs/bulk', { jobs }, { headers: call })).status).toBe(201);
  expect((await stage.one.api.post('/jobs/bulk', { jobs }, { headers: call })).status).toBe(200);
});

test('many at once do not go over it', async () => {
  const queue = await stage.queue({ maxWaiting: 10 });
  const answers = await Promise.all(Array.from({ length: 60 }, () => create({ queue })));
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(10);
  await stage.set(queue, { maxWaiting: null });
  expect((await create({ queue })).status).toBe(201);
});

test('another coordinator sees it within a second', async () => {
  const queue = await stage.queue({ maxWaiting: 2 });
  await stage.create(queue, 2, {}, stage.two);
  expect((await create({ queue })).status).toBe(429);
});

test('what is under way counts beside the rows, and what was not stored gives its room back', async () => {
  const { db } = stage.one.app.services.context;
  const counts = new WaitingCounts(db);
  const queue = await stage.queue();
  expect(await counts.reserve(queue, 2, 2)).toBe(2);
  // It is counted anew, and has no rows yet.
  expect(await counts.reserve(queue, 2, 1)).toBe(0);
  await stage.create(queue, 1);
  counts.settle(queue, 2, 1);
  expect(await counts.reserve(queue, 2, 2)).toBe(1);
  counts.settle(queue, 1, 0);
  expect(await counts.reserve(queue, 2, 1)).toBe(1);
});

test('a create that fails, or makes no job, leaves no room taken', async () => {
  const { queueSettings, waitingCounts } = stage.one.app.services.context;
  const queue = await stage.queue({ maxWaiting: 3, userRateLimit: { max: 1, perMs: 3_600_000 } });
  await eventually(() => queueSettings.maxWaiting(queue) === 3);
  const key = { 'idempotency-key': queue };
  const job = { queue, userId: 'ann' };
  expect((await create(job, key)).status).toBe(201);
  expect((await create(job, key)).status).toBe(200);
  expect((await create(job)).body.code).toBe('rate_limited');
  expect(await listed([job, job])).toEqual(['429', 'rate_limited']);
  expect(await waitingCounts.reserve(queue, 3, 3)).toBe(2);
  waitingCounts.settle(queue, 2, 0);
});
