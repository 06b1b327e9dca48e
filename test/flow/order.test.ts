import type { ClaimedJob, Job } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { eventually } from '../support/eventually';
import { drawLots } from './lots';
import { numbers, Stage } from './stage';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
});
afterAll(() => stage.close());

const ORDER = { orderKey: 'o' };
const fail = (job: ClaimedJob, retryable = false) =>
  stage.one.api.complete(job, { outcome: 'failed', error: { message: 'by the test', retryable } });
const held = async (id: string | undefined) => (await stage.explain(id ?? '')).reasons[0];

async function only(queue: string, n: number): Promise<ClaimedJob> {
  const jobs = await stage.claim(queue, 10, { waitMs: 2000 });
  expect(numbers(jobs)).toEqual([n]);
  return jobs[0] ?? missing();
}

test('one after the other, over two coordinators, whatever becomes of each', async () => {
  const queue = await stage.queue();
  const orders = ['x', 'y', 'z'];
  const random = drawLots('orders');
  await stage.create(queue, 45, (n) => ({
    orderKey: orders[n % 3] ?? '',
    orderOnFailure: 'skip',
    maxAttempts: 3,
    retry: { strategy: 'fixed', baseMs: 0 },
    arguments: { n, orderKey: orders[n % 3] ?? '' },
  }));
  const last = new Map<string, number>();
  const running = new Set<string>();
  let done = 0;
  const runner = async (on: number): Promise<void> => {
    const { api, runMonitor } = stage.both[on % 2] ?? stage.one;
    while (done < 45) {
      const [job] = await stage.claim(queue, 1, { waitMs: 200 }, stage.both[on % 2]);
      if (job === undefined) continue;
      const { n, orderKey } = job.arguments as { n: number; orderKey: string };
      expect(running.has(orderKey)).toBe(false);
      expect(n).toBeGreaterThanOrEqual(last.get(orderKey) ?? 0);
      running.add(orderKey);
      last.set(orderKey, n);
      const chance = random(10);
      running.delete(orderKey);
      if (chance < 2) await api.post(`/jobs/${job.id}/release`, { leaseToken: job.leaseToken });
      else if (chance < 4) await fail(job, true);
      else if (chance < 5) await fail(job);
      else if (chance < 6) await api.post(`/jobs/${job.id}/cancel`, {});
      else if (chance < 7) await stage.sql.expireLease(job.id).then(runMonitor);
      else await api.complete(job);
      done = await stage.sql.count('jobs WHERE queue = $1 AND finished_at IS NOT NULL', [queue]);
    }
  };
  await Promise.all([0, 1, 2, 3].map(runner));
  expect(await stage.held(queue)).toBe(0);
});

test('of concurrent creates on both coordinators one is let go, and all run in the order of their creation', async () => {
  const queue = await stage.queue();
  const made = await Promise.all(
    Array.from({ length: 12 }, (_, n) => stage.create(queue, 1, { ...ORDER, arguments: { n } }, stage.both[n % 2])),
  );
  expect(made).toHaveLength(12);
  expect(await stage.held(queue)).toBe(11);
  const rows = await stage.sql.query<{ n: number }>(
    "SELECT (arguments ->> 'n')::int AS n FROM jobs WHERE queue = $1 ORDER BY order_seq",
    [queue],
  );
  expect(await stage.drain(queue, { waitMs: 300 })).toEqual(rows.map(({ n }) => n));
});

describe('a failed job', () => {
  test('blocks those behind it, visibly, until it is retried', async () => {
    const queue = await stage.queue();
    const jobs = await stage.create(queue, 3, ORDER);
    await fail(await only(queue, 0));
    expect(await stage.claim(queue, 10)).toEqual([]);
    expect(await held(jobs[2]?.id)).toMatchObject({
      code: 'held_by_order',
      details: { orderKey: 'o', jobId: jobs[0]?.id, jobStatus: 'failed' },
    });
    const [late] = await stage.create(queue, 1, { ...ORDER, arguments: { n: 9 } });
    expect((await held(late?.id))?.code).toBe('held_by_order');
    expectStatus(await stage.two.api.post(`/jobs/${jobs[0]?.id}/retry`), 200);
    expect(await stage.drain(queue, { waitMs: 300 })).toEqual([0, 1, 2, 9]);
  });

  test('blocks until it is deleted', async () => {
    const queue = await stage.queue();
    const jobs = await stage.create(queue, 2, ORDER);
    await fail(await only(queue, 0));
    expect((await stage.one.api.delete(`/jobs/${jobs[0]?.id}?purge=true`)).status).toBe(204);
    await only(queue, 1);
  });

  test('is skipped where its create says so; retried later, it waits for the one that runs', async () => {
    const queue = await stage.queue();
    const jobs = await stage.create(queue, 3, { ...ORDER, orderOnFailure: 'skip' });
    await fail(await only(queue, 0));
    const running = await only(queue, 1);
    expectStatus(await stage.one.api.post(`/jobs/${jobs[0]?.id}/retry`), 200);
    expect(await stage.claim(queue, 10)).toEqual([]);
    expect(await held(jobs[0]?.id)).toMatchObject({ code: 'held_by_order' });
    await stage.one.api.complete(running);
    expect(await stage.drain(queue, { waitMs: 300 })).toEqual([0, 2]);
  });

  test('that is tried again keeps its turn meanwhile', async () => {
    const queue = await stage.queue();
    const jobs = await stage.create(queue, 2, { ...ORDER, retry: { strategy: 'fixed', baseMs: 3_600_000 } });
    await fail(await only(queue, 0), true);
    expect(await stage.claim(queue, 10)).toEqual([]);
    expect(await held(jobs[1]?.id)).toMatchObject({
      code: 'held_by_order',
      details: { jobId: jobs[0]?.id, jobStatus: 'pending' },
    });
    expectStatus(await stage.one.api.post(`/jobs/${jobs[0]?.id}/run-now`), 200);
    expect(await stage.drain(queue, { waitMs: 300 })).toEqual([0, 1]);
  });
});

describe('the first of an order', () => {
  test.each<[string, (queue: string, jobs: Job[]) => Promise<unknown>]>([
    ['is cancelled while it waits', async (_queue, [first]) => stage.two.api.post(`/jobs/${first?.id}/cancel`, {})],
    [
      'is cancelled while it runs',
      async (queue) => stage.two.api.post(`/jobs/${(await only(queue, 0)).id}/cancel`, {}),
    ],
    ['expires', async (_queue, [first]) => stage.sql.expireJob(first?.id ?? '').then(() => stage.two.runMonitor())],
  ])('%s: the next goes on, and no other', async (_name, end) => {
    const queue = await stage.queue();
    await end(queue, await stage.create(queue, 3, ORDER));
    await only(queue, 1);
  });

  test('is for later: the others wait for it', async () => {
    const queue = await stage.queue();
    const [first] = await stage.create(queue, 2, (n) => (n === 0 ? { ...ORDER, delayMs: 3_600_000 } : ORDER));
    expect(await stage.claim(queue, 10)).toEqual([]);
    await stage.sql.makeDue(first?.id ?? '');
    expect(
      await eventually(
        () => stage.drain(queue, { waitMs: 300 }),
        (order) => order.length > 0,
      ),
    ).toEqual([0, 1]);
  });
});

test('one that is held is cancelled, purged or expires: the others keep their order', async () => {
  const queue = await stage.queue();
  const jobs = await stage.create(queue, 5, ORDER);
  await stage.one.api.post(`/jobs/${jobs[1]?.id}/cancel`, {});
  await stage.one.api.delete(`/jobs/${jobs[1]?.id}?purge=true`);
  await stage.sql.expireJob(jobs[2]?.id ?? '');
  await stage.one.runMonitor();
  expect(await stage.drain(queue, { waitMs: 300 })).toEqual([0, 3, 4]);
});

test('order and concurrency keys together', async () => {
  const queue = await stage.queue({ concurrencyPerKey: 1 });
  await stage.create(queue, 12, (n) => ({ orderKey: `o${n % 2}`, concurrencyKey: `k${n % 3}` }));
  const order: number[] = [];
  for (let empty = 0; empty < 2;) {
    const jobs = await stage.claim(queue, 10, { waitMs: 300 });
    empty = jobs.length === 0 ? empty + 1 : 0;
    expect(jobs.length).toBeLessThanOrEqual(2);
    order.push(...numbers(jobs));
    for (const job of jobs) expectStatus(await stage.one.api.complete(job), 200);
  }
  expect(order).toHaveLength(12);
  for (const rest of [0, 1])
    expect(order.filter((n) => n % 2 === rest)).toEqual([0, 1, 2, 3, 4, 5].map((n) => n * 2 + rest));
  expect(await stage.held(queue)).toBe(0);
});

function missing(): never {
  throw new Error('missing');
}
