import { randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { monotonicMs } from '../../runner-sdk/transport/clock';
import { eventually } from '../support/eventually';
import { CreateQueue } from '../../runner-sdk/client/create-queue';
import { Reporter } from '../../runner-sdk/runner/reporter';
import { HeldTransport, PATIENT } from './held-transport';

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

function openReporter() {
  const transport = new HeldTransport();
  const shares: number[] = [];
  let idle = 0;
  const reporter = new Reporter({
    transport,
    logger: quiet,
    prepareClaim: (calls) => (shares.push(calls), null),
    finishClaim() {},
    recoverClaim() {},
    onDirectives() {},
    onDone() {},
    onIdle: () => (idle += 1),
  });
  const push = (count: number) => {
    for (let n = 0; n < count; n += 1) {
      reporter.push({
        completion: { jobId: randomUUID(), leaseToken: randomUUID(), outcome: 'completed' },
        attempt: 1,
        giveUpAtMs: monotonicMs() + 60_000,
      });
    }
  };
  const answer = async (at: number) => {
    const call = transport.held[at];
    call?.answer({
      results: call.body.completions?.map(({ jobId }) => ({ jobId, status: 'completed', attempt: 1 })) ?? [],
      directives: {},
    });
    await setImmediate();
    await setImmediate();
  };
  return {
    transport,
    reporter,
    shares,
    push,
    answer,
    idles: () => idle,
    sizes: () => transport.held.map(({ body }) => body.completions?.length ?? 0),
  };
}

afterEach(() => jest.useRealTimers());

test('a report that waits for its next try is sent at once when the runner ends', async () => {
  jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask', 'hrtime', 'performance'] });
  const { push, answer, transport, reporter } = openReporter();
  push(1);
  await setImmediate();
  for (let tries = 1; tries <= 8; tries += 1) {
    expect(transport.held).toHaveLength(tries);
    transport.held[tries - 1]?.answer({
      results: [{ jobId: transport.held[0]?.body.completions?.[0]?.jobId, code: 'unavailable', detail: 'not now' }],
    });
    await setImmediate();
    // The longest wait there is, but for the last one.
    if (tries < 8) jest.advanceTimersByTime(10_000);
    await setImmediate();
  }
  expect(transport.held).toHaveLength(8);
  reporter.flushNow();
  await setImmediate();
  expect(transport.held).toHaveLength(9);
  await answer(8);
  await reporter.flushed();
});

test('few reports travel in one call at a time, and what comes meanwhile goes in the next', async () => {
  const { push, answer, sizes, idles, reporter, transport } = openReporter();
  push(3);
  await setImmediate();
  push(31);
  await setImmediate();
  expect(sizes()).toEqual([3]);
  expect(idles()).toBe(0);
  await answer(0);
  expect(sizes()).toEqual([3, 31]);
  await answer(1);
  await reporter.flushed();
  expect(idles()).toBe(1);
  await transport.close();
});

test('many reports travel in two calls at once, each with its share of the free slots; never in three', async () => {
  const { push, answer, sizes, shares, idles, reporter, transport } = openReporter();
  push(100);
  await setImmediate();
  await setImmediate();
  expect(sizes()).toEqual([50, 50]);
  expect(shares).toEqual([2, 1]);
  push(40);
  await setImmediate();
  expect(sizes()).toEqual([50, 50]);
  await answer(1);
  expect(sizes()).toEqual([50, 50, 40]);
  expect(reporter.isBusy).toBe(true);
  await answer(0);
  expect(idles()).toBe(0);
  await answer(2);
  await reporter.flushed();
  expect(idles()).toBe(1);
  await transport.close();
});

test('many creates travel in two calls at once, few in one; each gets its own job', async () => {
  const transport = new HeldTransport();
  const queue = new CreateQueue(transport, 10_000, PATIENT);
  const create = (count: number, from = 0) =>
    Array.from({ length: count }, (_, n) => queue.add({ json: JSON.stringify({ type: 'a', arguments: from + n }) }));
  const answer = (at: number) => {
    const call = transport.held[at];
    call?.answer({ jobs: call.body.jobs?.map((job) => ({ id: randomUUID(), arguments: job.arguments })) });
  };
  const first = create(100);
  await setImmediate();
  expect(transport.held.map(({ body }) => body.jobs?.length)).toEqual([50, 50]);
  const second = create(40, 100);
  await setImmediate();
  expect(transport.held).toHaveLength(2);
  answer(1);
  await setImmediate();
  expect(transport.held.map(({ body }) => body.jobs?.length)).toEqual([50, 50, 40]);
  answer(0);
  answer(2);
  expect((await Promise.all([...first, ...second])).map((job) => job.arguments)).toEqual(
    Array.from({ length: 140 }, (_, n) => n),
  );
  const third = create(31);
  await setImmediate();
  expect(transport.held).toHaveLength(4);
  const fourth = create(31, 31);
  await setImmediate();
  expect(transport.held).toHaveLength(4);
  answer(3);
  await setImmediate();
  answer(4);
  await Promise.all([...third, ...fourth]);
  await transport.close();
});

test('jobs of an order never overtake each other, however slow the call that brings the first', async () => {
  const transport = new HeldTransport();
  const queue = new CreateQueue(transport, 10_000, PATIENT);
  const create = (count: number, from: number, isOrdered: boolean) =>
    Array.from({ length: count }, (_, n) =>
      queue.add({
        json: JSON.stringify({ type: 'a', arguments: from + n }),
        order: isOrdered ? { key: 'k', limits: '' } : undefined,
      }),
    );
  const answer = async (at: number) => {
    const call = transport.held[at];
    call?.answer({ jobs: call.body.jobs?.map((job) => ({ id: randomUUID(), arguments: job.arguments })) });
    await setImmediate();
  };
  const sent = () => transport.held.flatMap(({ body }) => body.jobs?.map((job) => job.arguments) ?? []);
  const all = create(100, 0, true);
  await setImmediate();
  expect(transport.held).toHaveLength(1);
  all.push(...create(40, 100, true));
  await setImmediate();
  expect(transport.held).toHaveLength(1);
  for (let at = 0; at < 4; at += 1) await answer(at);
  expect(sent()).toEqual(Array.from({ length: 140 }, (_, n) => n));
  await Promise.all(all);
  // Those without an order go beside them.
  const ordered = create(2, 0, true);
  await setImmediate();
  const free = create(40, 0, false);
  await setImmediate();
  const [before, beside] = transport.held.slice(-2);
  expect([before?.body.jobs?.length, beside?.body.jobs?.length]).toEqual([2, 40]);
  await answer(transport.held.length - 1);
  await answer(transport.held.length - 2);
  await Promise.all([...ordered, ...free]);
  await transport.close();
});

test('a create that was put off is not sent once it is withdrawn', async () => {
  const transport = new HeldTransport();
  const queue = new CreateQueue(transport, 10_000, PATIENT);
  const control = new AbortController();
  const withdrawn = queue.add({ json: '{"type":"a","arguments":1}', signal: control.signal });
  const kept = queue.add({ json: '{"type":"a","arguments":2}' });
  await setImmediate();
  const random = jest.spyOn(Math, 'random').mockReturnValue(1);
  transport.held[0]?.answer({ jobs: [1, 2].map(() => ({ code: 'unavailable', detail: 'not now' })) });
  await setImmediate();
  random.mockRestore();
  control.abort(new Error('withdrawn'));
  await expect(withdrawn).rejects.toThrow('withdrawn');
  await eventually(() => transport.held.length > 1);
  expect(transport.held.slice(1).map(({ body }) => body)).toEqual([{ type: 'a', arguments: 2 }]);
  transport.held[1]?.answer({ id: randomUUID() });
  await kept;
  await transport.close();
});

test('jobs of an order that were put off are sent in their order, before those that were asked for meanwhile', async () => {
  const transport = new HeldTransport();
  const queue = new CreateQueue(transport, 10_000, PATIENT);
  const create = (n: number, isOrdered: boolean) =>
    queue.add({
      json: JSON.stringify({ type: 'a', arguments: n }),
      order: isOrdered ? { key: 'k', limits: '' } : undefined,
    });
  const sent = () => transport.held.map(({ body }) => body.jobs?.map((job) => job.arguments) ?? [body.arguments]);
  const all = [1, 2, 3].map((n) => create(n, true));
  await setImmediate();
  const random = jest.spyOn(Math, 'random').mockReturnValueOnce(1).mockReturnValue(0.1);
  transport.held[0]?.answer({
    jobs: [{ id: randomUUID() }, ...[2, 3].map(() => ({ code: 'rate_limited', detail: 'wait' }))],
  });
  await setImmediate();
  random.mockRestore();
  all.push(create(4, true), create(5, false));
  await setImmediate();
  // One without an order does not wait for them.
  expect(sent()).toEqual([[1, 2, 3], [5]]);
  transport.held[1]?.answer({ id: randomUUID() });
  await eventually(() => transport.held.length === 3);
  expect(sent()[2]).toEqual([2, 3, 4]);
  transport.held[2]?.answer({ jobs: [2, 3, 4].map(() => ({ id: randomUUID() })) });
  await Promise.all(all);
  await transport.close();
});
