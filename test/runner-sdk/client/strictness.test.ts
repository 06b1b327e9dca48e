import { getEventListeners } from 'node:events';
import { BatonError, Client, ConfigurationError, defineJob } from '@baton/runner-sdk';
import { FakeCoordinator } from '../fake-coordinator';

let coordinator: FakeCoordinator;
let client: Client;

beforeEach(async () => {
  coordinator = await FakeCoordinator.start();
  client = new Client({ coordinatorUrl: coordinator.url, apiKey: 'key' });
});
afterEach(async () => {
  await client.close();
  await coordinator.stop();
});

const bodies = () => coordinator.requests.flatMap(({ body }) => body.jobs ?? [body]);

describe('an option that is undefined', () => {
  const media = defineJob({ type: 'T', queue: 'media', concurrencyKey: 'acct', maxAttempts: 3, orderKey: 'o' });
  const none = { queue: undefined, concurrencyKey: undefined, maxAttempts: undefined, orderKey: undefined };

  it('is as if it were left out', async () => {
    await client.create(media, {}, { ...none, idempotencyKey: undefined, signal: undefined });
    await client.createMany(media, [{}], { ...none, atomic: undefined, idempotencyKey: undefined });
    for (const body of bodies())
      expect(body).toMatchObject({ queue: 'media', concurrencyKey: 'acct', maxAttempts: 3, orderKey: 'o' });
  });
});

describe('a filter', () => {
  const wrong: [string, object][] = [
    ['undefined', { userId: undefined }],
    ['null', { userId: null }],
    ['an empty list', { status: [] }],
    ['undefined within a list', { status: ['failed', undefined] }],
    ['undefined within arguments', { arguments: { tenant: { id: undefined } } }],
    ['undefined as arguments', { arguments: undefined }],
  ];

  it.each(wrong)('with %s is refused by whatever takes one, before anything is sent', async (_what, given) => {
    const filter = given as never;
    const calls: (() => Promise<unknown>)[] = [
      () => client.list(filter),
      () => client.listAll(filter).next(),
      () => client.deadLetters.list(filter),
      () => client.deadLetters.groups(filter),
      () => client.deadLetters.retryAll(filter),
      () => client.cancelAll(filter, { dryRun: true }),
      () => client.retryAll(filter),
      () => client.purgeAll(filter),
      () => client.prioritiseAll(filter, 1),
      () => client.cleanup(filter),
      () => client.audit(filter),
      () => client.rateLimits(filter),
      () => client.analytics(filter),
      async () => client.events(filter).next(),
    ];
    for (const call of calls) await expect(call()).rejects.toThrow(ConfigurationError);
    expect(coordinator.requests).toHaveLength(0);
  });

  it.each([{}, { all: false }, { all: true, type: 'T' }, { all: undefined }])(
    '%j is no choice of every job',
    async (given) => {
      const choice = given as never;
      for (const call of [client.cancelAll, client.retryAll, client.purgeAll] as const)
        await expect((async () => call.call(client, choice))()).rejects.toThrow(/all/);
      await expect((async () => client.deadLetters.retryAll(choice))()).rejects.toThrow(/all/);
      expect(coordinator.requests).toHaveLength(0);
    },
  );

  it('every job is asked for by name; a page is no filter', async () => {
    await client.cancelAll({ all: true }, { dryRun: true, background: undefined });
    await client.list({ limit: undefined, cursor: undefined });
    expect(coordinator.requests[0]?.body).toEqual({ all: true, dryRun: true });
    expect(coordinator.requests[1]?.call).toBe('GET /jobs');
  });
});

describe('an idempotency key', () => {
  const bad = ['', 1001, 'a\nb', 'ä', ' ', null, 'x'.repeat(256)];

  it.each(bad)('%j is refused alike, alone, in company and of many', async (given) => {
    const idempotencyKey = given as string;
    const create = () => client.create('T', {}, { idempotencyKey });
    const film = defineJob({ type: 'T' });
    const settled = await Promise.allSettled([
      create(),
      create(),
      create(),
      client.createMany(film, [1], { idempotencyKey }),
      client.createMany(film, [1], { idempotencyKey, atomic: false }),
    ]);
    for (const one of settled)
      expect(one).toMatchObject({
        status: 'rejected',
        reason: { name: 'BatonError', code: 'validation_failed', errors: [{ path: 'idempotencyKey' }] },
      });
    expect(coordinator.requests).toHaveLength(0);
  });

  it('of many that are judged alone leaves room for their places', async () => {
    const film = defineJob({ type: 'T' });
    const idempotencyKey = 'x'.repeat(254);
    await client.createMany(film, [1], { idempotencyKey });
    await expect(client.createMany(film, [1], { idempotencyKey, atomic: false })).rejects.toMatchObject({
      code: 'validation_failed',
    });
  });
});

describe('createMany', () => {
  const film = defineJob({ type: 'T' });
  const large = Array.from({ length: 1000 }, (_, index) => ({ index, pad: 'x'.repeat(20_000) }));

  it('splits what is judged alone, in its order, under one key', async () => {
    const jobs = await client.createMany(film, [...large, { index: 1000, pad: '' }], {
      atomic: false,
      idempotencyKey: 'k',
    });
    expect(jobs).toHaveLength(1001);
    const sent = bodies() as { arguments: { index: number }; idempotencyKey: string }[];
    expect(sent.map((job) => [job.arguments.index, job.idempotencyKey])).toEqual(
      Array.from({ length: 1001 }, (_, index) => [index, `k.${index}`]),
    );
    for (const { text } of coordinator.requests) expect(text.length).toBeLessThan(1_100_000);
  });

  it.each([
    ['of more than 16 MiB', large],
    ['of more than 1000', Array.from({ length: 1001 }, () => 1)],
  ])('refuses all or none %s with the limits', async (_what, list) => {
    await expect(client.createMany(film, list)).rejects.toMatchObject({
      code: 'payload_too_large',
      detail: expect.stringMatching(/1000 jobs and 16 MiB.*atomic: false/),
    });
    expect(coordinator.requests).toHaveLength(0);
  });

  it('leaves the error of a request in the place of each of its jobs', async () => {
    coordinator.script('POST /jobs/bulk', 'pass', { status: 413, body: { code: 'payload_too_large', detail: 'no' } });
    const jobs = await client.createMany(film, large.slice(0, 120), { atomic: false });
    const refused = jobs.map((job) => job instanceof BatonError);
    expect([refused[0], refused[49], refused[60], refused[119]]).toEqual([false, true, true, false]);
    coordinator.script('POST /jobs/bulk', { status: 413, body: { code: 'payload_too_large', detail: 'no' } });
    await expect(client.createMany(film, [1], { atomic: false })).rejects.toMatchObject({ status: 413 });
    expect(await client.createMany(film, [])).toEqual([]);
  });

  it('of an order does not overtake creates that were put off, nor is it overtaken', async () => {
    const ordered = defineJob({ type: 'T', orderKey: 'o' });
    // The first and the other, which travel together.
    coordinator.script('POST /jobs/bulk', { status: 503, headers: { 'retry-after': '0' } });
    await Promise.all([
      client.create(ordered, 1),
      client.createMany(ordered, [2, 3]),
      client.create(ordered, 4),
      client.create('OTHER', 0, { orderKey: 'p' }),
    ]);
    const taken = coordinator.requests.slice(1).flatMap(({ body }) => body.jobs ?? [body]);
    const numbers = taken.map((job: { arguments: number }) => job.arguments).filter((n: number) => n !== 0);
    expect(numbers).toEqual([1, 2, 3, 4]);
  });
});

it('a signal that many calls share is listened to once', async () => {
  const control = new AbortController();
  const { signal } = control;
  const creates = Array.from({ length: 50 }, (_, n) => client.create('T', n, { signal }));
  expect(getEventListeners(signal, 'abort').length).toBeLessThanOrEqual(1);
  await Promise.all(creates);
  control.abort();
  await expect(client.create('T', 1, { signal })).rejects.toBe(signal.reason);
});
