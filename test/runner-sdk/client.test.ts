import { z } from 'zod';
import { BatonError, Client, defineJob, JobCancelledError, JobFailedError } from '@baton/runner-sdk';
import { Transport } from '../../runner-sdk/transport/transport';
import { FakeCoordinator, type Recorded } from './fake-coordinator';

const Movie = z.object({ title: z.string(), released: z.coerce.date() });
const syncMovie = defineJob({
  type: 'TMDB_SYNC',
  arguments: z.object({ movieId: z.int(), refuse: z.boolean().optional() }),
  result: Movie,
  timeoutMs: 60_000,
  queue: 'films',
  maxAttempts: 3,
});

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

const keysOf = ({ body, headers }: Recorded): string[] =>
  body.jobs?.map((job: { idempotencyKey: string }) => job.idempotencyKey) ?? [headers['idempotency-key']];

describe('create', () => {
  it('sends one job with the defaults of its definition, overruled by the options, and a key', async () => {
    const job = await client.create(syncMovie, { movieId: 603 }, { priority: 'high', maxAttempts: 5 });
    expect(job.id).toBe('job-1');
    const [request] = coordinator.calls('POST /jobs');
    expect(request?.body).toEqual({
      type: 'TMDB_SYNC',
      arguments: { movieId: 603 },
      queue: 'films',
      timeoutMs: 60_000,
      maxAttempts: 5,
      priority: 'high',
    });
    expect(request?.headers['idempotency-key']).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("takes an untyped job and a key of one's own", async () => {
    await client.create('PING', undefined, { idempotencyKey: 'mine' });
    expect(coordinator.calls('POST /jobs')[0]).toMatchObject({
      body: { type: 'PING' },
      headers: { 'idempotency-key': 'mine' },
    });
  });

  it('refuses arguments that do not fit before anything is sent', async () => {
    const refusal = client.create(syncMovie, { movieId: 'x' } as never);
    await expect(refusal).rejects.toMatchObject({
      code: 'invalid_arguments',
      errors: [{ path: 'movieId', message: expect.any(String) }],
    });
    await expect(client.create('PING', { big: 1n })).rejects.toMatchObject({ code: 'invalid_arguments' });
    expect(coordinator.requests).toHaveLength(0);
  });

  it('sends what is asked for in one turn in one call', async () => {
    const jobs = await Promise.all([1, 2, 3].map((movieId) => client.create(syncMovie, { movieId })));
    expect(jobs.map((job) => job.arguments.movieId)).toEqual([1, 2, 3]);
    expect(coordinator.requests.map(({ call }) => call)).toEqual(['POST /jobs/bulk']);
    expect(coordinator.requests[0]?.body).toMatchObject({ atomic: false });
    expect(new Set(keysOf(coordinator.requests[0] as Recorded)).size).toBe(3);
  });

  it('sends what is asked for while a call is in flight together, when that is over', async () => {
    const first = client.create(syncMovie, { movieId: 1 });
    await coordinator.until('the first call', () => coordinator.requests.length === 1);
    await Promise.all([first, client.create(syncMovie, { movieId: 2 }), client.create(syncMovie, { movieId: 3 })]);
    expect(coordinator.requests.map(({ call }) => call)).toEqual(['POST /jobs', 'POST /jobs/bulk']);
  });

  it('rejects each refused job alone', async () => {
    const results = await Promise.allSettled([
      client.create(syncMovie, { movieId: 1 }),
      client.create(syncMovie, { movieId: 2, refuse: true }),
      client.create(syncMovie, { movieId: 3 }),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(results[1]).toMatchObject({
      reason: { code: 'validation_failed', status: 400, detail: 'scripted refusal' },
    });
  });

  it.each(['drop_request', 'drop_reply', { status: 503, headers: { 'retry-after': '0' } }] as const)(
    'after %j sends the same jobs with the same keys',
    async (answer) => {
      coordinator.script('POST /jobs', answer);
      await client.create(syncMovie, { movieId: 1 });
      coordinator.script('POST /jobs/bulk', answer);
      await Promise.all([client.create(syncMovie, { movieId: 2 }), client.create(syncMovie, { movieId: 3 })]);
      const [one, again, bulk, bulkAgain] = coordinator.requests as [Recorded, Recorded, Recorded, Recorded];
      expect(again.text).toBe(one.text);
      expect(keysOf(again)).toEqual(keysOf(one));
      expect(bulkAgain.text).toBe(bulk.text);
      expect(coordinator.requests).toHaveLength(4);
    },
  );

  it('after a 500 sends the jobs of a call each alone, with the same keys', async () => {
    coordinator.script('POST /jobs/bulk', { status: 500 });
    await Promise.all([client.create(syncMovie, { movieId: 2 }), client.create(syncMovie, { movieId: 3 })]);
    const [bulk, ...alone] = coordinator.requests as [Recorded, Recorded, Recorded];
    expect(alone.map(({ call }) => call)).toEqual(['POST /jobs', 'POST /jobs']);
    expect(alone.flatMap(keysOf).sort()).toEqual(keysOf(bulk).sort());
  });

  it('a withdrawn create is not sent', async () => {
    const first = client.create(syncMovie, { movieId: 1 });
    const control = new AbortController();
    const second = client.create(syncMovie, { movieId: 2 }, { signal: control.signal });
    control.abort(new Error('changed my mind'));
    await expect(second).rejects.toThrow('changed my mind');
    await first;
    expect(coordinator.requests.map(({ text }) => text).join()).not.toContain('"movieId":2');
  });

  it('jobs of an order are sent in the order of their creates, though the arguments of some are checked longer', async () => {
    const slow = defineJob({
      type: 'SLOW',
      arguments: z.object({ n: z.int().refine(() => new Promise<boolean>((resolve) => setImmediate(resolve, true))) }),
      orderKey: 'k',
    });
    await Promise.all([
      client.create(slow, { n: 1 }),
      client.create('PLAIN', { n: 2 }, { orderKey: 'k' }),
      client.create(slow, { n: 3 }),
      client.create('PLAIN', { n: 4 }, { orderKey: 'k' }),
    ]);
    const sent = coordinator.requests.flatMap(({ body }) => body.jobs ?? [body]);
    expect(sent.map((job: { arguments: { n: number } }) => job.arguments.n)).toEqual([1, 2, 3, 4]);
  });

  it('jobs of an order share a request only if a limit on lanes that refuses one refuses those behind it', async () => {
    const order = { orderKey: 'k' };
    await Promise.all([
      client.create('KNOWN', 1, order),
      client.create('NEW', 2, order),
      client.create('NEW', 3, order),
      client.create('KNOWN', 4, order),
      client.create('KNOWN', 5, { ...order, priority: 'high' }),
      client.create('KNOWN', 6, { ...order, priority: 'high', requires: { gpu: true } }),
    ]);
    const sent = coordinator.requests.map(({ body }) =>
      (body.jobs ?? [body]).map((job: { arguments: number }) => job.arguments),
    );
    expect(sent).toEqual([[1], [2, 3], [4], [5], [6]]);
  });

  it('creates many, all or none, or each alone', async () => {
    expect(await client.createMany(syncMovie, [{ movieId: 1 }, { movieId: 2 }])).toHaveLength(2);
    expect((await client.createMany('BY_NAME', [{ any: 1 }, null])).map(({ type }) => type)).toEqual([
      'BY_NAME',
      'BY_NAME',
    ]);
    expect(coordinator.requests[0]?.body).toMatchObject({
      atomic: true,
      jobs: [{ arguments: { movieId: 1 }, queue: 'films' }, {}],
    });
    const [good, bad] = await client.createMany(syncMovie, [{ movieId: 3 }, { movieId: 4, refuse: true }], {
      atomic: false,
    });
    expect(good).toMatchObject({ type: 'TMDB_SYNC' });
    expect(bad).toBeInstanceOf(BatonError);
  });

  it.each(['drop_request', 'drop_reply', { status: 503, headers: { 'retry-after': '0' } }] as const)(
    'after %j sends the same call with the same key',
    async (answer) => {
      coordinator.script('POST /jobs/bulk', answer);
      await client.createMany(syncMovie, [{ movieId: 1 }, { movieId: 2 }]);
      coordinator.script('POST /jobs/bulk', answer);
      await client.createMany(syncMovie, [{ movieId: 3 }, { movieId: 4 }], { atomic: false });
      const [all, allAgain, each, eachAgain] = coordinator.requests as [Recorded, Recorded, Recorded, Recorded];
      expect([allAgain.text, eachAgain.text]).toEqual([all.text, each.text]);
      expect(all.headers['idempotency-key']).toMatch(/^[\w-]{36}$/);
      expect(allAgain.headers['idempotency-key']).toBe(all.headers['idempotency-key']);
      expect(all.text).not.toContain('idempotencyKey');
      expect(each.headers['idempotency-key']).toBeUndefined();
      expect(new Set(keysOf(each)).size).toBe(2);
    },
  );

  it('sends the key of many that it is given', async () => {
    await client.createMany(syncMovie, [{ movieId: 1 }, { movieId: 2 }], { idempotencyKey: 'night-7' });
    await client.createMany(syncMovie, [{ movieId: 1 }, { movieId: 2 }], { idempotencyKey: 'night-8', atomic: false });
    expect(coordinator.requests[0]?.headers['idempotency-key']).toBe('night-7');
    expect(keysOf(coordinator.requests[1] as Recorded)).toEqual(['night-8.0', 'night-8.1']);
  });
});

describe('refusals', () => {
  const problem = {
    type: 'x',
    title: 'Conflict',
    status: 409,
    detail: 'It has finished.',
    code: 'state_conflict',
    errors: [],
    requestId: 'r-1',
  };

  it.each([400, 401, 403, 404, 409, 413, 415])('%i is final: one request', async (status) => {
    coordinator.script('GET /jobs/x', { status, body: { ...problem, status } });
    await expect(client.get('x')).rejects.toMatchObject({
      name: 'BatonError',
      status,
      code: 'state_conflict',
      detail: 'It has finished.',
      requestId: 'r-1',
    });
    expect(coordinator.requests).toHaveLength(1);
  });

  it('gives up when the budget is spent', async () => {
    const hasty = new Client({ coordinatorUrl: coordinator.url, apiKey: 'key', budgetMs: 50 });
    coordinator.script('GET /jobs/x', ...Array<{ status: number }>(100).fill({ status: 500 }));
    await expect(hasty.get('x')).rejects.toMatchObject({ status: 500, code: 'unexpected_reply' });
    await hasty.close();
  });

  it('does not wait for a Retry-After that its budget cannot pay', async () => {
    coordinator.script('GET /jobs/x', {
      status: 429,
      headers: { 'retry-after': '3600' },
      body: { ...problem, status: 429, code: 'rate_limited' },
    });
    await expect(client.get('x')).rejects.toMatchObject({ code: 'rate_limited', retryAfterMs: 3_600_000 });
  });

  it('says of an answer that does not come that it did not come in time', async () => {
    coordinator.script('GET /jobs/x/wait', 'hang');
    const hasty = new Transport({ urls: [coordinator.url], apiKey: 'key' });
    const call = hasty.call({ method: 'GET', path: '/jobs/x/wait', timeoutMs: 50, budgetMs: 0 });
    await expect(call).rejects.toMatchObject({
      code: 'unreachable',
      detail: `${coordinator.url} did not answer within 50 ms`,
    });
    await hasty.close();
  });

  it('ends calls in flight, and those between two tries, when it is closed', async () => {
    coordinator.script('GET /jobs/x', 'hang');
    coordinator.script('GET /jobs/y', { status: 503, headers: { 'retry-after': '20' } });
    const calls = [client.get('x'), client.get('y')].map((call) =>
      call.then(
        () => 'answered',
        (error: BatonError) => error.code,
      ),
    );
    await coordinator.until('both calls', () => coordinator.requests.length === 2);
    await client.close();
    expect(await Promise.all(calls)).toEqual(['unreachable', 'unreachable']);
    expect(coordinator.requests).toHaveLength(2);
  }, 5000);

  it('takes a cancel whose answer was lost for done', async () => {
    coordinator.script('POST /jobs/x/cancel', 'drop_reply', { status: 409, body: problem });
    coordinator.script('GET /jobs/x', { status: 200, body: { id: 'x', status: 'cancelled' } });
    expect(await client.cancel('x')).toMatchObject({ status: 'cancelled' });
    coordinator.script('POST /jobs/x/cancel', { status: 409, body: problem });
    await expect(client.cancel('x')).rejects.toMatchObject({ code: 'state_conflict' });
  });

  it('does not make a key twice', async () => {
    coordinator.script('POST /api-keys', 'drop_reply');
    await expect(client.apiKeys.create({ name: 'ci', role: 'viewer' })).rejects.toMatchObject({ code: 'unreachable' });
    expect(coordinator.requests).toHaveLength(1);
  });
});

describe('several URLs', () => {
  it('moves to the next one when one is gone, and stays with it', async () => {
    const other = await FakeCoordinator.start();
    const both = new Client({ coordinatorUrl: `${coordinator.url},${other.url}`, apiKey: 'key' });
    await both.create('PING');
    await coordinator.stop();
    await both.create('PING');
    await both.create('PING');
    expect([coordinator.requests.length, other.requests.length]).toEqual([1, 2]);
    await both.close();
    await other.stop();
  });

  it('leaves one that says 503, though it asks to wait', async () => {
    const other = await FakeCoordinator.start();
    const both = new Client({ coordinatorUrl: [coordinator.url, other.url], apiKey: 'key' });
    coordinator.script('POST /jobs', { status: 503, headers: { 'retry-after': '3600' } });
    await both.create('PING');
    expect([coordinator.requests.length, other.requests.length]).toEqual([1, 1]);
    await both.close();
    await other.stop();
  });
});

describe('wait', () => {
  const finished = {
    id: 'x',
    type: 'TMDB_SYNC',
    failures: 3,
    maxAttempts: 3,
    error: { message: 'no such film' },
    reason: 'expired',
  };
  const answers = (...bodies: object[]) =>
    coordinator.script('GET /jobs/x/wait', ...bodies.map((body) => ({ status: 200, body: { ...finished, ...body } })));

  it('asks until the job has finished, and gives its result as the definition says', async () => {
    answers(
      { status: 'running' },
      { status: 'pending' },
      { status: 'completed', result: { title: 'The Matrix', released: '1999-03-31' } },
    );
    const movie = await client.wait('x', { definition: syncMovie });
    expect(movie.released.getUTCFullYear()).toBe(1999);
    expect(coordinator.requests).toHaveLength(3);
  });

  it('knows the definition of what create returned', async () => {
    const job = await client.create(syncMovie, { movieId: 603 });
    coordinator.script(`GET /jobs/${job.id}/wait`, {
      status: 200,
      body: { ...finished, status: 'completed', result: { title: 1 } },
    });
    await expect(client.wait(job)).rejects.toMatchObject({
      code: 'invalid_result',
      errors: [{ path: 'title' }, { path: 'released' }],
    });
  });

  it('throws for a job that failed or was cancelled', async () => {
    answers({ status: 'failed' }, { status: 'cancelled' });
    await expect(client.wait('x')).rejects.toThrow(JobFailedError);
    await expect(client.wait('x')).rejects.toThrow(JobCancelledError);
  });

  it('gives up after its timeout, or when told', async () => {
    answers(...Array<object>(200).fill({ status: 'running' }));
    await expect(client.wait('x', { timeoutMs: 60 })).rejects.toMatchObject({ code: 'wait_timeout' });
    coordinator.script('GET /jobs/y/wait', 'hang');
    const control = new AbortController();
    const waiting = client.wait('y', { signal: control.signal });
    await coordinator.until('the poll', () => coordinator.calls('GET /jobs/y/wait').length === 1);
    control.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
  });
});

it('lists page after page', async () => {
  coordinator.script(
    'GET /jobs',
    { status: 200, body: { items: [{ id: 'a' }, { id: 'b' }], nextCursor: 'c1' } },
    { status: 200, body: { items: [{ id: 'c' }], nextCursor: null } },
  );
  const ids: string[] = [];
  for await (const { id } of client.listAll({ status: ['failed', 'cancelled'], arguments: { movieId: 603 } }))
    ids.push(id);
  expect(ids).toEqual(['a', 'b', 'c']);
});

describe('queues and bulk verbs', () => {
  const sent = () => coordinator.requests.map(({ call, body }) => [call, body]);

  it.each<[string, () => Promise<unknown>, string, unknown]>([
    ['queue', () => client.queue('a b'), 'GET /queues/a%20b', undefined],
    [
      'setQueue',
      () => client.setQueue('films', { concurrency: 3, rateLimit: null }),
      'PUT /queues/films',
      { concurrency: 3, rateLimit: null },
    ],
    ['pauseQueue', () => client.pauseQueue('films', { reason: 'why' }), 'POST /queues/films/pause', { reason: 'why' }],
    ['pauseQueue without a reason', () => client.pauseQueue('films'), 'POST /queues/films/pause', {}],
    ['resumeQueue', () => client.resumeQueue('films'), 'POST /queues/films/resume', undefined],
    ['scale', () => client.scale('films', { targetMs: 5000 }), 'GET /queues/films/scale', undefined],
    ['explain', () => client.explain('some-id'), 'GET /jobs/some-id/explain', undefined],
    ['bulkOperation', () => client.bulkOperation('some-id'), 'GET /bulk-operations/some-id', undefined],
  ])('%s', async (_name, call, expected, body) => {
    await call();
    expect(sent()).toEqual([[expected, body]]);
  });

  it('queues, and how many a purge cancelled', async () => {
    coordinator.script('GET /queues', { status: 200, body: { items: [{ name: 'films' }] } });
    coordinator.script('POST /queues/films/purge', { status: 200, body: { count: 7 } });
    expect(await client.queues()).toEqual([{ name: 'films' }]);
    expect(await client.purgeQueue('films')).toBe(7);
  });

  it('counts, or answers with the operation that goes on in the background', async () => {
    const filter = { type: 'SYNC', status: 'pending' as const };
    for (const verb of ['cancel', 'retry', 'purge', 'prioritise'])
      coordinator.script(`POST /jobs/${verb}`, { status: 200, body: { count: 2 } });
    expect(await client.cancelAll(filter, { reason: 'old', dryRun: true })).toBe(2);
    expect(await client.retryAll(filter)).toBe(2);
    expect(await client.purgeAll(filter)).toBe(2);
    expect(await client.prioritiseAll(filter, 'high')).toBe(2);
    coordinator.script('POST /jobs/cancel', { status: 202, body: { id: 'some-id', status: 'running' } });
    expect((await client.cancelAll(filter, { background: true })).status).toBe('running');
    expect(sent().map(([, body]) => body)).toEqual([
      { filter, reason: 'old', dryRun: true },
      { filter },
      { filter },
      { filter, priority: 'high' },
      { filter, background: true },
    ]);
  });

  it('sends keys, orders and preferences of the definition and of the create', async () => {
    const ordered = defineJob({
      type: 'ORDERED',
      orderKey: 'o',
      orderOnFailure: 'skip',
      concurrencyKey: 'k',
      prefers: { gpu: true },
    });
    await client.create(ordered, undefined, {
      uniqueKey: 'u',
      uniqueForMs: 1000,
      onConflict: 'replace',
      concurrencyKey: 'other',
    });
    expect(coordinator.calls('POST /jobs')[0]?.body).toEqual({
      type: 'ORDERED',
      orderKey: 'o',
      orderOnFailure: 'skip',
      concurrencyKey: 'other',
      prefers: { gpu: true },
      uniqueKey: 'u',
      uniqueForMs: 1000,
      onConflict: 'replace',
    });
  });
});
