import type { ClaimedJob, Job } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { uniqueType } from '../support/factory';
import { Stage } from './stage';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
});
afterAll(() => stage.close());

/** A claim that gives nothing makes its runner known. */
async function runner(
  queue: string,
  more: { types?: string[]; runnerId?: string; labels?: Record<string, string | number>; queues?: string[] } = {},
): Promise<void> {
  await stage.one.api.claim({ runnerId: 'live', types: ['work'], queues: [queue], ...more });
}
const one = async (queue: string, more: object = {}): Promise<Job> =>
  (await stage.create(queue, 1, more))[0] ?? missing();
const claimOne = async (queue: string, types?: string[]): Promise<ClaimedJob> =>
  (await stage.claim(queue, 1, types === undefined ? {} : { types }))[0] ?? missing();
const codes = async (job: { id: string }) => (await stage.explain(job.id)).reasons.map(({ code }) => code);
const first = async (job: { id: string }) => (await stage.explain(job.id)).reasons[0];

test('finished and running', async () => {
  const queue = await stage.queue();
  const job = await one(queue);
  const claimed = await claimOne(queue);
  expect(await stage.explain(job.id)).toMatchObject({
    status: 'running',
    reasons: [{ code: 'running', details: { runnerId: 'runner', attempt: 1 } }],
  });
  await stage.one.api.complete(claimed);
  expect(await stage.explain(job.id)).toMatchObject({ status: 'completed', reasons: [{ code: 'finished' }] });
});

test('scheduled and retry_backoff', async () => {
  const queue = await stage.queue();
  const later = await one(queue, { delayMs: 3_600_000 });
  expect(await first(later)).toMatchObject({ code: 'scheduled', details: { runAt: later.runAt } });
  const job = await one(queue);
  await stage.one.api.complete(await claimOne(queue), { outcome: 'failed', error: { message: 'no' } });
  const { runAt } = await stage.one.api.job(job.id);
  expect(await first(job)).toMatchObject({ code: 'retry_backoff', details: { failures: 1, runAt } });
});

test('held_by_concurrency_key names who holds it', async () => {
  const queue = await stage.queue({ concurrencyPerKey: 1 });
  await stage.create(queue, 1, { concurrencyKey: 'k' });
  const holder = await claimOne(queue);
  const job = await one(queue, { concurrencyKey: 'k' });
  expect(await first(job)).toMatchObject({
    code: 'held_by_concurrency_key',
    details: { concurrencyKey: 'k', limit: 1, running: 1, jobIds: [holder.id] },
  });
});

test('held_by_order names the one before', async () => {
  const queue = await stage.queue();
  const before = await one(queue, { orderKey: 'o' });
  expect(await first(await one(queue, { orderKey: 'o' }))).toMatchObject({
    code: 'held_by_order',
    details: { orderKey: 'o', jobId: before.id, jobStatus: 'pending' },
  });
});

test('queue_paused names by whom, why and until when', async () => {
  const queue = await stage.queue();
  const job = await one(queue);
  const untilAt = new Date(Date.now() + 3_600_000).toISOString();
  const { body } = await stage.two.api.post<{ paused: { by: string } }>(`/queues/${queue}/pause`, {
    reason: 'why not',
    untilAt,
  });
  expect(await first(job)).toMatchObject({
    code: 'queue_paused',
    details: { by: body.paused.by, reason: 'why not', untilAt },
  });
});

test('queue_concurrency names who holds it', async () => {
  const queue = await stage.queue({ concurrency: 2 });
  await stage.create(queue, 3);
  const holders = await stage.claim(queue, 3);
  const job = await stage.sql.one<{ id: string }>("SELECT id FROM jobs WHERE queue = $1 AND status = 'pending'", [
    queue,
  ]);
  expect(await first(job)).toMatchObject({
    code: 'queue_concurrency',
    details: { limit: 2, running: 2, jobIds: holders.map(({ id }) => id).sort() },
  });
});

test('queue_rate_limit tells until when', async () => {
  const queue = await stage.queue({ rateLimit: { max: 1, perMs: 3_600_000 } });
  await stage.create(queue, 2);
  const claimed = await claimOne(queue);
  const job = await stage.sql.one<{ id: string }>('SELECT id FROM jobs WHERE queue = $1 AND id <> $2', [
    queue,
    claimed.id,
  ]);
  const reason = await first(job);
  expect(reason).toMatchObject({ code: 'queue_rate_limit', details: { max: 1, perMs: 3_600_000 } });
  expect(reason?.details['nextInMs']).toBeGreaterThan(3_500_000);
  expect(reason?.details['nextInMs']).toBeLessThanOrEqual(3_600_000);
});

test("a rate limit does not outlast a day by which the database's clock was set back", async () => {
  const queue = await stage.queue({ rateLimit: { max: 2, perMs: 60_000 } });
  await stage.create(queue, 3);
  expect(await stage.claim(queue, 3)).toHaveLength(2);
  const job = await stage.sql.one<{ id: string }>("SELECT id FROM jobs WHERE queue = $1 AND status = 'pending'", [
    queue,
  ]);
  expect(await first(job)).toMatchObject({ code: 'queue_rate_limit' });
  // As if the bucket had been filled tomorrow.
  await stage.sql.query("UPDATE queues SET tokens = 0, tokens_at = now() + interval '1 day' WHERE name = $1", [queue]);
  expect(await stage.claim(queue, 3)).toHaveLength(1);
});

test('no_runner_for_type', async () => {
  const queue = await stage.queue();
  const type = uniqueType();
  await runner(queue);
  const job = await one(queue, { type });
  const reason = await first(job);
  expect(reason).toMatchObject({ code: 'no_runner_for_type', details: { type } });
  expect(reason?.details['typesTaken']).toContain('work');
});

test('no_runner_for_queue names the closest', async () => {
  const [queue, other, type] = [await stage.queue(), await stage.queue(), uniqueType()];
  await runner(other, { types: [type], runnerId: `of-${other}` });
  expect(await first(await one(queue, { type }))).toMatchObject({
    code: 'no_runner_for_queue',
    details: { queue, closest: [`of-${other}`], queuesTaken: [other] },
  });
});

test('no_runner_for_labels names the closest, and what they miss', async () => {
  const [queue, type] = [await stage.queue(), uniqueType()];
  await runner(queue, { types: [type], runnerId: `far-${type}`, labels: { memory: 8 } });
  await runner(queue, { types: [type], runnerId: `near-${type}`, labels: { memory: 8, region: 'eu' } });
  const requires = { memory: '>=40', region: 'eu' };
  expect(await first(await one(queue, { type, requires }))).toMatchObject({
    code: 'no_runner_for_labels',
    details: {
      requires,
      closest: [
        { runnerId: `near-${type}`, missing: { memory: '>=40' } },
        { runnerId: `far-${type}`, missing: requires },
      ],
    },
  });
});

test('a runner that was not heard for a minute is not alive', async () => {
  const [queue, type] = [await stage.queue(), uniqueType()];
  await runner(queue, { types: [type], runnerId: `gone-${type}` });
  const job = await one(queue, { type });
  expect(await codes(job)).toEqual(['in_line']);
  await stage.sql.query("UPDATE runners SET last_seen_at = now() - interval '2 minutes' WHERE id = $1", [
    `gone-${type}`,
  ]);
  expect(await codes(job)).toEqual(['no_runner_for_type']);
});

test('runners_draining', async () => {
  const [queue, type] = [await stage.queue(), uniqueType()];
  await runner(queue, { types: [type], runnerId: `drain-${type}` });
  const job = await one(queue, { type });
  await stage.explain(job.id);
  expectStatus(await stage.one.api.post(`/runners/drain-${type}/drain`), 200);
  expect(await first(job)).toMatchObject({ code: 'runners_draining', details: { runnerIds: [`drain-${type}`] } });
});

test('prefers_other_runners', async () => {
  const [queue, type] = [await stage.queue(), uniqueType()];
  await runner(queue, { types: [type] });
  expect(await first(await one(queue, { type, prefers: { gpu: true } }))).toMatchObject({
    code: 'prefers_other_runners',
    details: { prefers: { gpu: true } },
  });
});

test('in_line counts those before it, whatever their priority', async () => {
  const [queue, type] = [await stage.queue(), uniqueType()];
  await runner(queue, { types: [type] });
  const jobs = await stage.create(queue, 6, (n) => ({ type, priority: n < 2 ? 10 : n < 5 ? 0 : -10 }));
  const ahead = await Promise.all(jobs.map(async (job) => (await first(job))?.details['ahead']));
  expect(ahead).toEqual([0, 1, 2, 3, 4, 5]);
});

test('several causes at once are all named, the job’s own first', async () => {
  const queue = await stage.queue({ concurrencyPerKey: 1, concurrency: 1 });
  await stage.create(queue, 1, { concurrencyKey: 'k' });
  await claimOne(queue);
  const job = await one(queue, { concurrencyKey: 'k' });
  await stage.one.api.post(`/queues/${queue}/pause`, {});
  expect(await codes(job)).toEqual(['held_by_concurrency_key', 'queue_paused', 'queue_concurrency']);
});

test('a user sees why an own job waits; another’s is not there', async () => {
  const queue = await stage.queue();
  const job = await one(queue, { userId: 'ann' });
  const ann = stage.one.api.as(await stage.one.api.makeKey({ name: 'ann', role: 'user', userId: 'ann' }));
  const bob = stage.one.api.as(await stage.one.api.makeKey({ name: 'bob', role: 'user', userId: 'bob' }));
  expect((await ann.get(`/jobs/${job.id}/explain`)).status).toBe(200);
  expect(await bob.refusal('get', `/jobs/${job.id}/explain`)).toEqual([404, 'not_found']);
});

test('a user is told nothing of runners, nor of who paused a queue', async () => {
  const [queue, other, type] = [await stage.queue(), await stage.queue(), uniqueType()];
  const ann = stage.one.api.as(await stage.one.api.makeKey({ name: 'ann', role: 'user', userId: 'ann' }));
  const told = async (more: object) => {
    const job = await one(queue, { userId: 'ann', ...more });
    return JSON.stringify(expectStatus(await ann.get(`/jobs/${job.id}/explain`), 200));
  };
  const secret = /secret|liveRunners|typesTaken|queuesTaken|closest|runnerIds/;
  expect(await told({ type })).not.toMatch(secret);
  await runner(other, { types: [type], runnerId: `secret-${type}` });
  expect(await told({ type })).not.toMatch(secret);
  await runner(queue, { types: [type], runnerId: `secret-${type}`, labels: { secret: 'label' } });
  expect(await told({ type, requires: { memory: '>=40' } })).not.toMatch(secret);
  expectStatus(await stage.one.api.post(`/runners/secret-${type}/drain`), 200);
  expectStatus(await stage.one.api.post(`/queues/${queue}/pause`, { reason: 'a secret' }), 200);
  const draining = await told({ type });
  expect(draining).toContain('runners_draining');
  expect(draining).toContain('queue_paused');
  expect(draining).not.toMatch(/secret|admin key|runnerIds/);
});

function missing(): never {
  throw new Error('missing');
}
