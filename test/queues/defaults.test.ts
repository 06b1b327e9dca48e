import type { Job, Queue } from '@baton/runner-sdk/protocol';
import { readConfig } from '../../coordinator/config/config';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { uniqueType } from '../support/factory';

// What a create leaves out is as its queue says, else as the settings say, else as the contract says.

const RETRY = { strategy: 'fixed', baseMs: 60_000, maxMs: 3_600_000, jitter: 1 };
const settings = readConfig({
  BATON_DEFAULT_MAX_ATTEMPTS: '4',
  BATON_DEFAULT_TIMEOUT_MS: '9000',
  BATON_DEFAULT_RETRY: '{"strategy":"linear","baseMs":7}',
}).jobDefaults;

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator({ jobDefaults: settings })));
afterAll(() => coordinator.stop());

const set = async (queue: string, json: object): Promise<Queue> =>
  expectStatus(await coordinator.api.call<Queue>('put', `/queues/${queue}`, { json }), 200);
const told = ({ priority, maxAttempts, timeoutMs, retry }: Job) => ({ priority, maxAttempts, timeoutMs, retry });

test('the settings fill what no queue does', async () => {
  const expected = { priority: 0, maxAttempts: 4, timeoutMs: 9000, retry: { ...RETRY, strategy: 'linear', baseMs: 7 } };
  const job = await coordinator.api.create({ type: 't' });
  expect(told(job)).toEqual(expected);
  expect(told(await coordinator.api.job(job.id))).toEqual(expected);
});

test.each(['alone', 'in a list', 'handed to a waiting claim'])(
  "the queue's defaults fill what a create leaves out, %s, and what it says counts",
  async (how) => {
    const [queue, type] = [uniqueType(), uniqueType()];
    const defaults = { priority: 5, maxAttempts: 2, timeoutMs: 1234, retry: RETRY };
    expect((await set(queue, { defaults })).defaults).toEqual(defaults);
    const waiting =
      how === 'handed to a waiting claim'
        ? coordinator.api.claim({ runnerId: 'r', types: [type], waitMs: 20_000 })
        : null;
    const jobs = [
      { type, queue },
      {
        type,
        queue,
        priority: 'low' as const,
        maxAttempts: 1,
        timeoutMs: 5,
        retry: { strategy: 'fixed' as const, jitter: 0 },
      },
    ];
    const made =
      how === 'in a list'
        ? expectStatus(await coordinator.api.post<{ jobs: Job[] }>('/jobs/bulk', { jobs }), 201).jobs
        : [await coordinator.api.create(jobs[0] ?? { type }), await coordinator.api.create(jobs[1] ?? { type })];
    const expected = [
      defaults,
      { priority: -10, maxAttempts: 1, timeoutMs: 5, retry: { ...RETRY, baseMs: 4000, jitter: 0 } },
    ];
    expect(made.map(told)).toEqual(expected);
    expect(await Promise.all(made.map(async ({ id }) => told(await coordinator.api.job(id))))).toEqual(expected);
    const [first] = (await waiting) ?? (await coordinator.api.claim({ runnerId: 'r', types: [type] }));
    expect(first).toMatchObject({ id: made[0]?.id, maxAttempts: 2, timeoutMs: 1234 });
  },
);

test('defaults are replaced as a whole, taken away by null, and stay where they are not named', async () => {
  const queue = uniqueType();
  await set(queue, { defaults: { maxAttempts: 2, priority: 1 } });
  expect((await set(queue, { concurrency: 5 })).defaults).toEqual({ maxAttempts: 2, priority: 1 });
  expect((await set(queue, { defaults: { timeoutMs: 77 } })).defaults).toEqual({ timeoutMs: 77 });
  expect(told(await coordinator.api.create({ type: 't', queue }))).toMatchObject({
    priority: 0,
    maxAttempts: 4,
    timeoutMs: 77,
  });
  expect((await set(queue, { defaults: null })).defaults).toBeNull();
  expect(told(await coordinator.api.create({ type: 't', queue })).timeoutMs).toBe(9000);
  for (const defaults of [{}, { maxAttempts: 0 }, { maxAttemts: 3 }, 5])
    expect(await coordinator.api.refusal('put', `/queues/${queue}`, { defaults })).toEqual([400, 'validation_failed']);
});

test.each(['{', '{"strategy":"x"}', '5', '{"strategy":"fixed","baseMs":-1}'])(
  'BATON_DEFAULT_RETRY=%s is refused',
  (text) => {
    expect(() => readConfig({ BATON_DEFAULT_RETRY: text })).toThrow(
      /^BATON_DEFAULT_RETRY is .* must be a retry policy as JSON/,
    );
  },
);
