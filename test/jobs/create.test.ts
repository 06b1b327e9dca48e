import { DEFAULT_RETRY, type Job, job } from '@baton/runner-sdk/protocol';
import { storedOf } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { uniqueType } from '../support/factory';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

const HOUR_MS = 3_600_000;
const post = (job: unknown, headers?: Record<string, string>) =>
  coordinator.api.post<Job>('/jobs', job, headers === undefined ? {} : { headers });
const dueInMs = async (id: string) =>
  (
    await coordinator.sql.one<{ ms: number }>(
      'SELECT extract(epoch FROM run_at - created_at)::float8 * 1000 AS ms FROM jobs WHERE id = $1',
      [id],
    )
  ).ms;

test('a job of its type alone has every default', async () => {
  const type = uniqueType();
  const { status, body } = await post({ type });
  expect(status).toBe(201);
  expect(body).toEqual({
    // What has no default is there, and null.
    ...Object.fromEntries(Object.keys(job.shape).map((name) => [name, null])),
    id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/),
    type,
    queue: 'default',
    status: 'pending',
    priority: 0,
    arguments: {},
    attempt: 0,
    failures: 0,
    maxAttempts: 11,
    retry: DEFAULT_RETRY,
    timeoutMs: 300_000,
    runAt: body.createdAt,
    tags: [],
    dependsOn: [],
    createdAt: expect.any(String),
    updatedAt: body.createdAt,
  });
});

test('what is answered is what is read again, all fields sent', async () => {
  const sent = {
    type: uniqueType(),
    queue: 'mail',
    arguments: { a: [1, null, 'ä😀'], b: { c: true } },
    priority: -7,
    delayMs: 1000,
    timeoutMs: 1,
    maxAttempts: 1,
    retry: { strategy: 'linear', baseMs: 5, maxMs: 10, jitter: 0.5 },
    uniqueKey: 'k',
    uniqueForMs: 5000,
    expiresAt: '2099-01-01T01:00:00+01:00',
    requires: { region: 'eu', memory: '>=40' },
    tags: ['b', 'a'],
    metadata: { trace: 1 },
    userId: 'ann',
  };
  const { body } = await post(sent);
  const { delayMs: _delayMs, uniqueForMs: _uniqueForMs, ...kept } = sent;
  expect(body).toMatchObject({ ...kept, expiresAt: '2099-01-01T00:00:00.000Z' });
  expect(await coordinator.api.stored(body.id)).toEqual(storedOf(body));
});

test.each([
  ['high', 10],
  ['normal', 0],
  ['low', -10],
  [100, 100],
  [-100, -100],
])('priority %s is %i', async (priority, number) => {
  expect((await post({ type: uniqueType(), priority })).body.priority).toBe(number);
});

describe('when it runs', () => {
  test('delayMs counts from now, by the database’s clock', async () => {
    const { body } = await post({ type: uniqueType(), delayMs: HOUR_MS });
    expect(await dueInMs(body.id)).toBe(HOUR_MS);
  });

  test('runAt in the future is kept', async () => {
    const runAt = '2098-05-04T03:02:01.500Z';
    expect((await post({ type: uniqueType(), runAt: '2098-05-04T05:02:01.5+02:00' })).body.runAt).toBe(runAt);
  });

  test.each([
    ['of any length', `2098-05-04T03:02:01.5${'0'.repeat(300)}Z`, '2098-05-04T03:02:01.500Z'],
    ['that would be rounded into the year 10000', '9999-12-31T23:59:59.9999999Z', '9999-12-31T23:59:59.999Z'],
  ])('a fraction of a second %s is cut, not refused', async (_which, runAt, kept) => {
    const { status, body } = await post({ type: uniqueType(), runAt, expiresAt: runAt });
    expect([status, body.runAt, body.expiresAt]).toEqual([201, kept, kept]);
    expect(await coordinator.api.stored(body.id)).toEqual(storedOf(body));
  });

  test('runAt in the past means now, so that nothing gets in front of what waits', async () => {
    const { body } = await post({ type: uniqueType(), runAt: '2001-01-01T00:00:00Z' });
    expect(await dueInMs(body.id)).toBe(0);
  });

  test('runAt and delayMs together are refused', async () => {
    const answer = await post({ type: uniqueType(), delayMs: 1, runAt: '2098-05-04T03:02:01Z' });
    expect(answer).toMatchObject({ status: 400, body: { code: 'validation_failed', errors: [{ path: 'delayMs' }] } });
  });
});

test.each([
  [{ strategy: 'exponential' }, { strategy: 'exponential', baseMs: 4000, factor: 2, maxMs: HOUR_MS, jitter: 1 }],
  [
    { strategy: 'linear', jitter: 0 },
    { strategy: 'linear', baseMs: 4000, maxMs: HOUR_MS, jitter: 0 },
  ],
  [
    { strategy: 'fixed', baseMs: 0 },
    { strategy: 'fixed', baseMs: 0, maxMs: HOUR_MS, jitter: 1 },
  ],
])('retry %j is filled in', async (retry, filled) => {
  const { body } = await post({ type: uniqueType(), retry });
  expect((await coordinator.api.job(body.id)).retry).toEqual(filled);
});

test.each<[string, object, string]>([
  ['no type', { type: undefined }, 'type'],
  ['a type with a space', { type: 'a b' }, 'type'],
  ['a queue that is empty', { queue: '' }, 'queue'],
  ['priority out of range', { priority: 101 }, 'priority'],
  ['a priority word', { priority: 'urgent' }, 'priority'],
  ['a time without zone', { runAt: '2026-01-01T00:00:00' }, 'runAt'],
  ['the year 0', { runAt: '0000-01-01T00:00:00Z' }, 'runAt'],
  ['an offset that no place has', { expiresAt: '2026-01-01T00:00:00+23:59' }, 'expiresAt'],
  ['a time past the year 9999', { runAt: '9999-12-31T23:59:59-01:00' }, 'runAt'],
  ['a negative delay', { delayMs: -1 }, 'delayMs'],
  ['a delay in fractions', { delayMs: 1.5 }, 'delayMs'],
  ['no timeout', { timeoutMs: 0 }, 'timeoutMs'],
  ['a timeout over a week', { timeoutMs: 604_800_001 }, 'timeoutMs'],
  ['no attempts', { maxAttempts: 0 }, 'maxAttempts'],
  ['a strategy that is none', { retry: { strategy: 'never' } }, 'retry.strategy'],
  ['a factor for fixed', { retry: { strategy: 'fixed', factor: 2 } }, 'retry.factor'],
  ['jitter over 1', { retry: { strategy: 'fixed', jitter: 2 } }, 'retry.jitter'],
  ['uniqueForMs without key', { uniqueForMs: 5 }, 'uniqueForMs'],
  ['metadata that is a list', { metadata: [] }, 'metadata'],
  ['a label that is an object', { requires: { a: {} } }, 'requires.a'],
  ['too many tags', { tags: Array.from({ length: 51 }, String) }, 'tags'],
  ['a field that is not one', { typ: 'a' }, 'typ'],
  ['a status of its own', { status: 'completed' }, 'status'],
  ['a lease token', { leaseToken: '00000000-0000-4000-8000-000000000000' }, 'leaseToken'],
])('%s is refused, and the answer names it', async (_name, wrong, path) => {
  const type = uniqueType();
  const { status, body } = await coordinator.api.post<{ code: string; errors: { path: string }[] }>('/jobs', {
    type,
    ...wrong,
  });
  expect([status, body.code]).toEqual([400, 'validation_failed']);
  expect(body.errors.map((error) => error.path)).toContain(path);
  expect(await coordinator.sql.count('jobs WHERE type = $1', [type])).toBe(0);
});

test('arguments over the limit are refused', async () => {
  const answer = await post({ type: uniqueType(), arguments: { text: 'x'.repeat(262_144) } });
  expect(answer).toMatchObject({ status: 413, body: { code: 'payload_too_large', errors: [{ path: 'arguments' }] } });
});

describe('in bulk', () => {
  const bulk = (jobs: unknown[], atomic?: boolean) =>
    coordinator.api.post<{
      jobs: (Job & { code?: string; errors?: { path: string }[] })[];
      code?: string;
      errors?: { path: string }[];
    }>('/jobs/bulk', { jobs, ...(atomic === undefined ? {} : { atomic }) });

  test('all are created, in their order', async () => {
    const type = uniqueType();
    const { status, body } = await bulk(Array.from({ length: 1000 }, (_, at) => ({ type, arguments: { at } })));
    expect(status).toBe(201);
    expect(body.jobs.map((job) => (job.arguments as { at: number }).at)).toEqual(
      Array.from({ length: 1000 }, (_, at) => at),
    );
    const claimed = await coordinator.api.claim({ runnerId: 'r', types: [type], max: 500 });
    expect(new Set(claimed.map((job) => (job.arguments as { at: number }).at))).toEqual(
      new Set(Array.from({ length: 500 }, (_, at) => at)),
    );
  });

  test('atomic: one bad job refuses all, and every bad one is named', async () => {
    const type = uniqueType();
    const { status, body } = await bulk([{ type }, { type, priority: 1000 }, { type: 'a b' }, 5]);
    expect(status).toBe(400);
    expect(body.errors?.map((error) => error.path)).toEqual(['jobs.1.priority', 'jobs.2.type', 'jobs.3']);
    expect(await coordinator.sql.count('jobs WHERE type = $1', [type])).toBe(0);
  });

  test('atomic: what only the database can refuse refuses all', async () => {
    const type = uniqueType();
    const idempotencyKey = uniqueType('key');
    await coordinator.api.post('/jobs', { type: `${type}-first` }, { headers: { 'idempotency-key': idempotencyKey } });
    const { status, body } = await bulk([{ type }, { type, idempotencyKey }]);
    expect([status, body.code]).toEqual([409, 'idempotency_conflict']);
    expect(await coordinator.sql.count('jobs WHERE type = $1', [type])).toBe(0);
  });

  test('atomic: one job over the limit refuses all', async () => {
    const type = uniqueType();
    const { status, body } = await bulk([{ type }, { type, arguments: 'x'.repeat(262_144) }]);
    expect([status, body.code, body.errors?.[0]?.path]).toEqual([413, 'payload_too_large', 'jobs.1.arguments']);
    expect(await coordinator.sql.count('jobs WHERE type = $1', [type])).toBe(0);
  });

  test('not atomic: each is judged alone', async () => {
    const type = uniqueType();
    const { status, body } = await bulk(
      [{ type }, { type: 'a b' }, { type, arguments: 'x'.repeat(262_144) }, null, { type, tags: ['last'] }],
      false,
    );
    expect(status).toBe(201);
    expect(body.jobs.map((job) => job.code ?? job.status)).toEqual([
      'pending',
      'validation_failed',
      'payload_too_large',
      'validation_failed',
      'pending',
    ]);
    expect(await coordinator.sql.count('jobs WHERE type = $1', [type])).toBe(2);
  });

  test.each([[[]], [Array.from({ length: 1001 }, () => ({ type: 'a' }))]])(
    'a list of none or of more than 1,000 is refused',
    async (jobs) => {
      expect((await bulk(jobs)).status).toBe(400);
    },
  );
});

test('a label or field that JavaScript would swallow is refused', async () => {
  const sent = (text: string) => coordinator.api.call('post', '/jobs', { raw: text });
  for (const text of [
    '{"type":"a","requires":{"__proto__":"x"}}',
    '{"type":"a","prefers":{"__proto__":"x"}}',
    '{"type":"a","__proto__":{"queue":"b"}}',
  ])
    expect((await sent(text)).status).toBe(400);
});
