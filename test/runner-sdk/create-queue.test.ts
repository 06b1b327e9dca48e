import { randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { BatonError } from '@baton/runner-sdk';
import { CreateQueue } from '../../runner-sdk/client/create-queue';
import { eventually } from '../support/eventually';
import { HeldTransport, PATIENT } from './held-transport';

let transport: HeldTransport;
let queue: CreateQueue;

beforeEach(() => {
  transport = new HeldTransport();
  queue = new CreateQueue(transport, 30_000, PATIENT);
});

afterEach(async () => {
  queue.close(new Error('the test is over'));
  await transport.close();
});

const refusal = (status: number, retryAfterMs: number | null = null) =>
  new BatonError({ code: status === 429 ? 'rate_limited' : 'unavailable', status, detail: 'scripted', retryAfterMs });
const POISON = 77;
/** Each call's jobs, by their arguments. */
const sent = () => transport.held.map(({ body }) => body.jobs?.map((job) => job.arguments) ?? [body.arguments]);
const answer = async (at: number) => {
  const call = transport.held[at];
  const jobs = call?.body.jobs;
  call?.answer(
    jobs === undefined
      ? { id: randomUUID(), arguments: call.body.arguments }
      : { jobs: jobs.map((job) => ({ id: randomUUID(), arguments: job.arguments })) },
  );
  await setImmediate();
};
const fail = async (at: number, error: Error) => {
  transport.held[at]?.fail(error);
  await setImmediate();
};
const add = (n: number, order?: string, limits = '') => {
  const job = queue.add({
    json: JSON.stringify({ type: 'a', arguments: n }),
    order: order === undefined ? undefined : { key: order, limits },
  });
  job.catch(() => undefined);
  return job;
};
const state = async (job: Promise<unknown>) => {
  const settled = await Promise.race([
    job.then(
      () => 'created',
      () => 'refused',
    ),
    setImmediate('waiting'),
  ]);
  return settled;
};

it.each([429, 503, 500, 0])('one that %i puts off for long holds up nothing', async (status) => {
  const noisy = add(1);
  await setImmediate();
  await fail(
    0,
    status === 0
      ? new BatonError({ code: 'unreachable', status, detail: '', retryAfterMs: 20_000 })
      : refusal(status, 20_000),
  );
  const other = add(2);
  await setImmediate();
  expect(sent()).toEqual([[1], [2]]);
  await answer(1);
  expect((await other).arguments).toBe(2);
  expect(await state(noisy)).toBe('waiting');
});

it('a call that is not answered is not waited for', async () => {
  queue = new CreateQueue(transport, 30_000, 1);
  const stuck = add(1);
  await setImmediate();
  void add(2);
  await eventually(() => transport.held.length === 2);
  await answer(1);
  expect([sent(), await state(stuck)]).toEqual([[[1], [2]], 'waiting']);
});

it.each([500, 422, 503])('a body that always meets %i costs those that travel with it nothing', async (status) => {
  const random = jest.spyOn(Math, 'random').mockReturnValue(0.01);
  const call = jest.spyOn(transport, 'call').mockImplementation((request) => {
    const body = JSON.parse(request.json ?? '') as { jobs?: { arguments: number }[]; arguments?: number };
    const numbers = body.jobs?.map((job) => job.arguments) ?? [body.arguments];
    if (numbers.includes(POISON)) return Promise.reject(refusal(status));
    const jobs = numbers.map((number) => ({ id: randomUUID(), arguments: number }));
    return Promise.resolve({ status: 201, body: (body.jobs ? { jobs } : jobs[0]) as never, failures: 0 });
  });
  queue = new CreateQueue(transport, 1000, PATIENT);
  const jobs = Array.from({ length: 100 }, (_, n) => add(n));
  const others = jobs.filter((_, n) => n !== POISON);
  expect((await Promise.all(others)).map((job) => job.arguments)).toEqual(
    Array.from({ length: 100 }, (_, n) => n).filter((n) => n !== POISON),
  );
  const calls = call.mock.calls.length;
  await expect(jobs[POISON]).rejects.toMatchObject({ status });
  random.mockRestore();
  // 50 and 50, then parts of 7 and of 1; not one call for each job.
  expect(calls).toBeLessThan(40);
});

it('a refusal of the caller is for all of a call, at once', async () => {
  const jobs = [add(1), add(2)];
  await setImmediate();
  await fail(0, new BatonError({ code: 'unauthenticated', status: 401, detail: 'no such key' }));
  expect(await Promise.all(jobs.map(state))).toEqual(['refused', 'refused']);
  expect(transport.held).toHaveLength(1);
});

it('jobs of an order wait for those before them, and for no others', async () => {
  void add(1, 'a');
  await setImmediate();
  await fail(0, refusal(429, 20_000));
  for (const [n, order] of [
    [2, 'a'],
    [3, 'b'],
    [4, undefined],
  ] as const)
    void add(n, order);
  await setImmediate();
  expect(sent()).toEqual([[1], [3, 4]]);
  await answer(1);
  void add(5, 'b');
  await setImmediate();
  expect(sent()).toEqual([[1], [3, 4], [5]]);
});

it('two of an order travel together only when the same limits refuse both', async () => {
  void add(1, 'a', 'ann');
  void add(2, 'a', 'ann');
  void add(3, 'a', 'bob');
  void add(4, 'a', 'ann');
  void add(5, 'b', 'bob');
  await setImmediate();
  expect(sent()).toEqual([[1, 2, 5]]);
  await answer(0);
  expect(sent()[1]).toEqual([3]);
  await answer(1);
  expect(sent()[2]).toEqual([4]);
});

it('those that were put off fail when the client is closed', async () => {
  const job = add(1);
  await setImmediate();
  await fail(0, refusal(429, 20_000));
  queue.close(new Error('closed'));
  await expect(job).rejects.toThrow('closed');
});
