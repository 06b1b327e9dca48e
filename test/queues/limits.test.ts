import type { ClaimedJob } from '@baton/runner-sdk/protocol';
import { drawLots } from '../flow/lots';
import { Stage } from '../flow/stage';
import { eventually } from '../support/eventually';
import { Witness } from './witness';

// Limits are true at every instant, over two coordinators, whatever ends the jobs.

let stage: Stage;
let witness: Witness;
beforeAll(async () => {
  stage = await Stage.open();
  witness = await Witness.install(stage.sql);
});
afterAll(() => stage.close());

const KEYS = ['a', 'b', 'c'];

/** Claims on both coordinators at once and ends what came, each in a way drawn by lot, until nothing is left. */
async function work(queue: string, random: (below: number) => number): Promise<void> {
  const zombies: ClaimedJob[] = [];
  const end = async (job: ClaimedJob): Promise<void> => {
    const { api, runMonitor } = stage.both[random(2)] ?? stage.one;
    switch (random(6)) {
      case 0:
        await api.post(`/jobs/${job.id}/release`, { leaseToken: job.leaseToken });
        return;
      case 1:
        await api.complete(job, { outcome: 'failed', error: { message: 'by lot' } });
        return;
      case 2:
        await api.post(`/jobs/${job.id}/cancel`, {});
        return;
      case 3:
        await stage.sql.expireLease(job.id);
        await runMonitor();
        zombies.push(job);
        return;
      default:
        await api.complete(job);
    }
  };
  const runner = async (on: number): Promise<void> => {
    for (let empty = 0; empty < 2;) {
      const jobs = await stage.claim(
        queue,
        1 + random(4),
        { waitMs: 150, runnerId: `runner-${on}` },
        stage.both[on % 2],
      );
      empty = jobs.length === 0 ? empty + 1 : 0;
      await Promise.all(jobs.map(end));
    }
  };
  await Promise.all([0, 1, 2, 3].map(runner));
  for (const zombie of zombies) expect((await stage.one.api.complete(zombie)).status).toBe(409);
}

test.each<[string, { concurrency?: number; concurrencyPerKey?: number }]>([
  ['of the queue', { concurrency: 3 }],
  ['of the queue, of one', { concurrency: 1 }],
  ['of keys', { concurrencyPerKey: 1 }],
  ['of both', { concurrency: 4, concurrencyPerKey: 2 }],
])('the limit %s is never exceeded, and nothing is left held', async (_name, limits) => {
  const random = drawLots(`the limits ${JSON.stringify(limits)}`);
  const queue = await stage.queue(limits);
  await stage.create(queue, 45, (n) => ({
    priority: random(2) * 10,
    retry: { strategy: 'fixed', baseMs: 0 },
    maxAttempts: 50,
    type: 'work',
    concurrencyKey: KEYS[n % 3],
  }));
  await work(queue, random);
  await eventually(
    async () => {
      await work(queue, random);
      return stage.sql.count("jobs WHERE queue = $1 AND status NOT IN ('completed', 'cancelled')", [queue]);
    },
    (left) => left === 0,
  );
  expect(await stage.held(queue)).toBe(0);
  const most = await witness.most(queue);
  expect(most.queue).toBeLessThanOrEqual(limits.concurrency ?? Infinity);
  expect(most.key).toBeLessThanOrEqual(limits.concurrencyPerKey ?? Infinity);
  // The limit was what kept them back, not the load.
  expect(limits.concurrency === undefined ? most.key : most.queue).toBe(limits.concurrency ?? limits.concurrencyPerKey);
});

test('a lowered limit holds for every job that starts from then on, a raised one at once', async () => {
  const queue = await stage.queue({ concurrency: 5 });
  await stage.create(queue, 20);
  const first = await stage.claim(queue, 20);
  expect(first).toHaveLength(5);
  await stage.set(queue, { concurrency: 2 }, stage.two);
  for (const job of first.slice(0, 3)) await stage.one.api.complete(job);
  expect(await stage.claim(queue, 20)).toEqual([]);
  await stage.one.api.complete(first[3] ?? fail());
  expect(await stage.claim(queue, 20, {}, stage.two)).toHaveLength(1);
  const waiting = stage.claim(queue, 20, { waitMs: 10_000 }, stage.two);
  await stage.set(queue, { concurrency: 9 });
  expect(await waiting).toHaveLength(7);
  await stage.set(queue, { concurrency: null });
  expect(await stage.claim(queue, 20)).toHaveLength(7);
});

test('a coordinator that has not heard of a limit gives nothing rather than too much', async () => {
  const queue = await stage.queue();
  await stage.create(queue, 10);
  await stage.sql.query('INSERT INTO queues (name, concurrency) VALUES ($1, 2)', [queue]);
  expect(await stage.claim(queue, 10)).toEqual([]);
  await stage.one.app.context.queueSettings.read();
  expect(await stage.claim(queue, 10)).toHaveLength(2);
});

function fail(): never {
  throw new Error('missing');
}
