import { Client, ConfigurationError, defineJob, NonRetryableError, Runner } from '@baton/runner-sdk';
import { z } from 'zod';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

// Handlers that take many jobs together, each of which stays an attempt of its own.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let client: Client;
const runners: Runner[] = [];
beforeAll(async () => {
  coordinator = await startCoordinator();
  client = new Client({ coordinatorUrl: coordinator.url, apiKey: coordinator.adminKey, proxy: false });
});
afterAll(async () => {
  await Promise.all(runners.map((runner) => runner.stop()));
  await client.close();
  await coordinator.stop();
});

function open(concurrency: number): Runner {
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  const runner = new Runner({
    ...{ coordinatorUrl: coordinator.url, apiKey: coordinator.adminKey, proxy: false, logger, abortGraceMs: 0 },
    concurrency: { min: concurrency, max: concurrency },
  });
  runners.push(runner);
  return runner;
}
const define = () =>
  defineJob({ type: uniqueType('many'), arguments: z.object({ n: z.int() }), result: z.object({ n: z.int() }) });

test('jobs are handed over together, at most so many, each with an outcome of its own', async () => {
  const job = define();
  const sizes: number[] = [];
  const runner = open(8).handleMany(job, { max: 4, lingerMs: 60_000 }, (jobs) => {
    sizes.push(jobs.length);
    return jobs.map(({ arguments: { n } }) => (n === 2 ? new NonRetryableError('two is none') : { n: n * 10 }));
  });
  const made = await client.createMany(
    job,
    Array.from({ length: 8 }, (_, n) => ({ n })),
  );
  await runner.start();
  const ended = await Promise.allSettled(made.map((one) => client.wait(one, { timeoutMs: 30_000 })));
  expect(ended.map((one) => (one.status === 'fulfilled' ? one.value.n : (one.reason as Error).name))).toEqual([
    ...[0, 10, 'JobFailedError', 30, 40, 50, 60, 70],
  ]);
  expect(sizes).toEqual([4, 4]);
});

test('fewer go when the first has waited long enough, and what the handler throws fails all of them', async () => {
  const job = define();
  let calls = 0;
  const runner = open(8).handleMany(job, { max: 100, lingerMs: 20 }, (jobs) => {
    calls += 1;
    if (calls === 1) throw new NonRetryableError(`no to ${jobs.length}`);
    return [];
  });
  await runner.start();
  const first = await client.create(job, { n: 1 });
  await expect(client.wait(first, { timeoutMs: 30_000 })).rejects.toThrow('no to 1');
  const second = await client.create(job, { n: 1 }, { maxAttempts: 1 });
  await expect(client.wait(second, { timeoutMs: 30_000 })).rejects.toThrow('returned 0 outcomes');
});

test('one of them is cancelled, and the others complete', async () => {
  const job = define();
  let begun: readonly { job: { id: string; signal: AbortSignal } }[] = [];
  let finish = () => {};
  const runner = open(3).handleMany(job, { max: 3, lingerMs: 60_000 }, async (jobs) => {
    begun = jobs;
    await new Promise<void>((resolve) => (finish = resolve));
    return jobs.map(({ arguments: args }) => args);
  });
  const made = await client.createMany(job, [{ n: 1 }, { n: 2 }, { n: 3 }]);
  await runner.start();
  await eventually(
    () => begun.length,
    (count) => count === 3,
  );
  const [first, ...others] = made;
  await client.cancel(first?.id ?? '');
  await eventually(
    () => begun.filter(({ job: { signal } }) => signal.aborted).map(({ job: { id } }) => id),
    (ids) => ids.length === 1 && ids[0] === first?.id,
  );
  finish();
  expect(await Promise.all(others.map((one) => client.wait(one, { timeoutMs: 30_000 })))).toEqual([{ n: 2 }, { n: 3 }]);
  expect((await client.get(first?.id ?? '')).status).toBe('cancelled');
});

test('what is out of range is refused', () => {
  expect(() => open(1).handleMany(define(), { max: 0 }, () => [])).toThrow(ConfigurationError);
  expect(() => open(1).handleMany(define(), { max: 2, lingerMs: -1 }, () => [])).toThrow('lingerMs');
});
