import type { Job } from '@baton/runner-sdk/protocol';
import { uniqueType } from '../support/factory';
import { expectStatus } from '../support/api';
import { Stage } from './stage';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
});
afterAll(() => stage.close());

const post = async (job: object, on = stage.one) => {
  const { status, body, headers } = await on.api.post<Job>('/jobs', job);
  return { status, job: body, isDeduplicated: headers['baton-deduplicated'] === 'true' };
};
const LATER = 3_600_000;

test('keep: the first stays as it is', async () => {
  const unique = { type: uniqueType(), uniqueKey: 'u' };
  const first = await post({ ...unique, arguments: { v: 1 }, delayMs: LATER });
  const second = await post({ ...unique, arguments: { v: 2 } }, stage.two);
  expect(second).toMatchObject({
    status: 200,
    isDeduplicated: true,
    job: { id: first.job.id, arguments: { v: 1 }, runAt: first.job.runAt },
  });
});

test('replace: a waiting job takes over arguments, metadata and runAt, however often', async () => {
  const unique = { type: uniqueType(), uniqueKey: 'u', onConflict: 'replace' };
  const first = await post({ ...unique, arguments: { v: 1 }, metadata: { m: 1 }, delayMs: LATER });
  const second = await post({ ...unique, arguments: { v: 2 }, delayMs: 2 * LATER }, stage.two);
  expect(second).toMatchObject({
    status: 200,
    isDeduplicated: true,
    job: { id: first.job.id, arguments: { v: 2 }, metadata: { m: 1 } },
  });
  expect(Date.parse(second.job.runAt)).toBeGreaterThan(Date.parse(first.job.runAt));
  await post({ ...unique, arguments: { v: 3 }, metadata: { m: 3 } });
  const claimed = await stage.one.api.claim({ runnerId: 'r', types: [unique.type], max: 5, waitMs: 5000 });
  expect(claimed).toMatchObject([{ id: first.job.id, arguments: { v: 3 }, metadata: { m: 3 } }]);
});

test('replace, put off again and again: nothing runs until it is quiet', async () => {
  const unique = { type: uniqueType(), uniqueKey: 'u', onConflict: 'replace' };
  await post(unique);
  for (let v = 0; v < 3; v += 1) await post({ ...unique, arguments: { v }, delayMs: LATER }, stage.both[v % 2]);
  expect(await stage.one.api.claim({ runnerId: 'r', types: [unique.type] })).toEqual([]);
  expect(await stage.two.api.claim({ runnerId: 'r', types: [unique.type] })).toEqual([]);
});

test('replace while it runs changes nothing', async () => {
  const unique = { type: uniqueType(), uniqueKey: 'u', onConflict: 'replace' };
  const first = await post({ ...unique, arguments: { v: 1 } });
  await stage.one.api.claimOne({ runnerId: 'r', types: [unique.type] });
  const second = await post({ ...unique, arguments: { v: 2 } });
  expect(second).toMatchObject({
    status: 200,
    isDeduplicated: true,
    job: { id: first.job.id, status: 'running', arguments: { v: 1 } },
  });
  expect((await stage.one.api.job(first.job.id)).arguments).toEqual({ v: 1 });
});

test('replace against a claim that is under way: the claim wins, and nothing runs twice', async () => {
  const unique = { type: uniqueType(), uniqueKey: 'u', onConflict: 'replace' };
  const { job } = await post(unique);
  const session = await stage.sql.session();
  await session.begin();
  await session.query({
    text: "UPDATE jobs SET status = 'running', runner_id = 'r', lease_token = gen_random_uuid(), attempt = 1, lease_ms = 30000, started_at = now(), lease_expires_at = now() + interval '1 hour', deadline_at = now() + interval '1 hour' WHERE id = $1",
    values: [job.id],
  });
  const replacing = post({ ...unique, arguments: { v: 2 } });
  await session.hasWaiter();
  await session.commit();
  await session.end();
  expect(await replacing).toMatchObject({ status: 200, isDeduplicated: true, job: { id: job.id } });
  expect(await stage.one.api.job(job.id)).toMatchObject({ status: 'running', arguments: {} });
});

test('uniqueForMs throttles: the key is held though the job has finished, and no longer than that', async () => {
  const unique = { type: uniqueType(), uniqueKey: 'u', uniqueForMs: LATER };
  const first = await post(unique);
  await stage.one.api.complete(await stage.one.api.claimOne({ runnerId: 'r', types: [unique.type] }));
  expect(await post({ ...unique, onConflict: 'replace', arguments: { v: 2 } })).toMatchObject({
    status: 200,
    isDeduplicated: true,
    job: { id: first.job.id, status: 'completed', arguments: {} },
  });
  await stage.sql.query('UPDATE jobs SET unique_until = now() WHERE id = $1', [first.job.id]);
  const next = await post(unique);
  expect(next.status).toBe(201);
  await stage.sql.query('UPDATE jobs SET unique_until = now() WHERE id = $1', [next.job.id]);
  expect((await post(unique)).job.id).toBe(next.job.id);
});

const endings: Record<string, (job: Job, type: string) => Promise<unknown>> = {
  'was cancelled': ({ id }) => stage.one.api.post(`/jobs/${id}/cancel`, {}),
  'was cancelled while it ran': async ({ id }, type) => {
    await stage.one.api.claimOne({ runnerId: 'r', types: [type] });
    await stage.one.api.post(`/jobs/${id}/cancel`, {});
  },
  failed: async (_job, type) =>
    stage.one.api.complete(await stage.one.api.claimOne({ runnerId: 'r', types: [type] }), {
      outcome: 'failed',
      error: { message: 'no', retryable: false },
    }),
  expired: async ({ id }) => {
    await stage.sql.query("UPDATE jobs SET expires_at = now() - interval '1 s' WHERE id = $1", [id]);
    await stage.one.app.loops.monitor.runOnce();
    expect((await stage.one.api.job(id)).reason).toBe('expired');
  },
  'was deleted': async ({ id }, type) => {
    await stage.one.api.complete(await stage.one.api.claimOne({ runnerId: 'r', types: [type] }));
    await stage.one.api.delete(`/jobs/${id}?purge=true`);
  },
};

test.each(Object.keys(endings))('uniqueForMs: a job that %s holds no window, in a list neither', async (how) => {
  const unique = { type: uniqueType(), uniqueKey: 'u', uniqueForMs: LATER };
  for (const more of [{}, { onConflict: 'replace', arguments: { v: 2 } }]) {
    const first = await post({ ...unique, ...more });
    expect(first.status).toBe(201);
    await endings[how]?.(first.job, unique.type);
  }
  const { jobs } = expectStatus(await stage.one.api.post<{ jobs: Job[] }>('/jobs/bulk', { jobs: [unique] }), 201);
  expect(jobs[0]?.status).toBe('pending');
  expect((await post(unique)).job.id).toBe(jobs[0]?.id);
});

test('uniqueForMs: what failed and is retried by hand holds its key again, and its window once it has completed', async () => {
  const unique = { type: uniqueType(), uniqueKey: 'u', uniqueForMs: LATER };
  const { job } = await post(unique);
  await endings['failed']?.(job, unique.type);
  await stage.one.api.post(`/jobs/${job.id}/retry`);
  expect((await post(unique)).job.id).toBe(job.id);
  await stage.one.api.complete(await stage.one.api.claimOne({ runnerId: 'r', types: [unique.type] }));
  expect((await post(unique)).job.id).toBe(job.id);
});

test('concurrent creates on both coordinators make one job, with the arguments of one of them', async () => {
  const unique = { type: uniqueType(), uniqueKey: 'u', onConflict: 'replace', delayMs: LATER };
  const answers = await Promise.all(
    Array.from({ length: 16 }, (_, v) => post({ ...unique, arguments: { v } }, stage.both[v % 2])),
  );
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
  expect(new Set(answers.map(({ job }) => job.id)).size).toBe(1);
  expect(await stage.sql.count('jobs WHERE type = $1', [unique.type])).toBe(1);
});

test('in one list: the last that replaces counts; users have keys of their own', async () => {
  const unique = { type: uniqueType(), uniqueKey: 'u', delayMs: LATER };
  const jobs = [
    { ...unique, arguments: { v: 1 } },
    { ...unique, onConflict: 'replace', arguments: { v: 2 } },
    { ...unique, userId: 'A', arguments: { v: 3 } },
  ];
  const made = expectStatus(await stage.one.api.post<{ jobs: Job[] }>('/jobs/bulk', { jobs }), 201).jobs;
  expect(made[1]?.id).toBe(made[0]?.id);
  expect(made[2]?.id).not.toBe(made[0]?.id);
  expect((await stage.one.api.job(made[0]?.id ?? '')).arguments).toEqual({ v: 2 });
});

test('what only goes with a unique key is refused without one', async () => {
  expect(await stage.one.api.refusal('post', '/jobs', { type: 't', onConflict: 'replace' })).toEqual([
    400,
    'validation_failed',
  ]);
  expect(await stage.one.api.refusal('post', '/jobs', { type: 't', uniqueForMs: 5 })).toEqual([
    400,
    'validation_failed',
  ]);
});

test('a held job that is replaced is due again, and runs once', async () => {
  const queue = await stage.queue({ concurrencyPerKey: 1 });
  const unique = { type: 'work', queue, concurrencyKey: 'k', uniqueKey: queue, onConflict: 'replace' };
  await stage.create(queue, 1, { concurrencyKey: 'k' });
  const [running] = await stage.claim(queue);
  await post({ ...unique, arguments: { n: 1 } });
  await post({ ...unique, arguments: { n: 2 }, delayMs: LATER });
  await post({ ...unique, arguments: { n: 3 } });
  expect(await stage.claim(queue, 5)).toEqual([]);
  await stage.one.api.complete(running ?? { id: '', leaseToken: '' });
  expect(await stage.drain(queue, { waitMs: 500 })).toEqual([3]);
});
