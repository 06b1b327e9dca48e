import { randomUUID } from 'node:crypto';
import type { Job } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { startCluster, type TestCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { jobIn, STATES, STATUS_OF, uniqueType } from '../support/factory';
import type { TestSql } from '../support/sql';

let cluster: Awaited<ReturnType<typeof startCluster>>;
let coordinator: TestCoordinator & { sql: TestSql };
let other: TestCoordinator;
beforeAll(async () => {
  cluster = await startCluster(2);
  const [one, two] = cluster.coordinators;
  if (one === undefined || two === undefined) throw new Error('two coordinators');
  [coordinator, other] = [{ ...one, sql: cluster.sql }, two];
});
afterAll(() => cluster.stop());

const list = async (query: string) =>
  expectStatus(await coordinator.api.get<{ items: Job[]; nextCursor: string | null }>(`/jobs?${query}`), 200);
const idsOf = async (query: string) => (await list(query)).items.map((job) => job.id);

describe('the list', () => {
  test('comes newest first, page by page, each job once, whatever is created meanwhile', async () => {
    const type = uniqueType();
    const created: string[] = [];
    for (let at = 0; at < 25; at += 1) created.push((await coordinator.api.create({ type })).id);
    const read: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const page: { items: Job[]; nextCursor: string | null } = await list(
        `type=${type}&limit=7${cursor === '' ? '' : `&cursor=${cursor}`}`,
      );
      read.push(...page.items.map((job) => job.id));
      cursor = page.nextCursor;
      if (cursor !== null) await coordinator.api.create({ type });
    }
    expect(read).toEqual(created.reverse());
  });

  test('ends without a cursor when the last page is full', async () => {
    const type = uniqueType();
    for (let at = 0; at < 2; at += 1) await coordinator.api.create({ type });
    expect((await list(`type=${type}&limit=2`)).nextCursor).toBeNull();
  });

  test.each(STATES)('finds jobs that are %s by their status', async (state) => {
    const { job } = await jobIn(state, coordinator);
    expect(await idsOf(`type=${job.type}&status=${STATUS_OF[state]}`)).toEqual([job.id]);
    const others = ['blocked', 'pending', 'running', 'completed', 'failed', 'cancelled'].filter(
      (status) => status !== STATUS_OF[state],
    );
    expect(await idsOf(`type=${job.type}&${others.map((status) => `status=${status}`).join('&')}`)).toEqual([]);
  });

  test('filters by every field, any of several values, all of several fields', async () => {
    const type = uniqueType();
    const [a, b, c] = await Promise.all([
      coordinator.api.create({
        type,
        queue: 'qa',
        userId: 'ann',
        tags: ['x', 'y'],
        arguments: { movie: { id: 603 }, list: [1, 2] },
      }),
      coordinator.api.create({ type, queue: 'qb', userId: 'ben', tags: ['y'] }),
      coordinator.api.create({ type, queue: 'qb', tags: ['z'], arguments: { movie: { id: 604 } } }),
    ]);
    await coordinator.sql.query("UPDATE jobs SET created_at = created_at - interval '1 day' WHERE id = $1", [c.id]);
    const claimed = await coordinator.api.claimOne({ runnerId: `runner of ${type}`, types: [type], queues: ['qa'] });
    const found = async (query: string) =>
      (await idsOf(`type=${type}&${query}`))
        .map((id) => (id === a.id ? 'a' : id === b.id ? 'b' : 'c'))
        .sort()
        .join('');
    expect(claimed.id).toBe(a.id);
    expect(await found('queue=qb')).toBe('bc');
    expect(await found('queue=qa&queue=qb')).toBe('abc');
    expect(await found('queue=qb&userId=ben')).toBe('b');
    expect(await found('tag=y')).toBe('ab');
    expect(await found('tag=x&tag=z')).toBe('ac');
    expect(await found(`runnerId=${encodeURIComponent(`runner of ${type}`)}`)).toBe('a');
    expect(await found(`createdAfter=${new Date(Date.now() - 3_600_000).toISOString()}`)).toBe('ab');
    expect(await found(`createdBefore=${new Date(Date.now() - 3_600_000).toISOString()}`)).toBe('c');
    expect(await found(`arguments=${encodeURIComponent('{"movie":{"id":603}}')}`)).toBe('a');
    expect(await found(`arguments=${encodeURIComponent('{"list":[2]}')}`)).toBe('a');
    expect(await found('arguments={}')).toBe('abc');
  });

  test.each([
    'limit=0',
    'limit=501',
    'limit=x',
    'limit=1&limit=2',
    'cursor=zzz',
    'cursor=',
    'status=gone',
    'stat=pending',
    'type=a%20b',
    'arguments=5',
    'arguments={',
    'arguments=[]',
    'arguments={"a":"%5Cu0000"}',
    'createdAfter=yesterday',
    'createdAfter=0000-01-01T00:00:00Z',
    'tag=%00',
    'userId=%00',
    `${Array.from({ length: 101 }, (_, at) => `tag=${at}`).join('&')}`,
  ])('refuses ?%s', async (query) => {
    expect(await coordinator.api.refusal('get', `/jobs?${query}`)).toEqual([400, 'validation_failed']);
  });
});

test('an id may be written in capitals', async () => {
  const { id } = await coordinator.api.create({ type: uniqueType() });
  expect((await coordinator.api.job(id.toUpperCase())).id).toBe(id);
});

test.each([
  ['get', ''],
  ['get', '/attempts'],
  ['get', '/logs'],
  ['get', '/wait'],
  ['delete', ''],
  ['post', '/cancel'],
  ['post', '/retry'],
  ['post', '/run-now'],
])('%s of a job%s that is not there is 404, of no id 400', async (method, path) => {
  expect(await coordinator.api.refusal(method, `/jobs/${randomUUID()}${path}`)).toEqual([404, 'not_found']);
  expect(await coordinator.api.refusal(method, `/jobs/42${path}`)).toEqual([400, 'validation_failed']);
});

test('attempts tell the whole history, oldest first', async () => {
  const type = uniqueType();
  const { id } = await coordinator.api.create({ type, retry: { strategy: 'fixed', baseMs: 0, jitter: 0 } });
  const claim = (at: number) => coordinator.api.claimOne({ runnerId: `r${at}`, types: [type] });
  await coordinator.api.complete(await claim(1), {
    outcome: 'failed',
    error: { message: 'boom', code: 'E1' },
    metrics: { durationMs: 5 },
  });
  await claim(2);
  await coordinator.sql.expireLease(id);
  await coordinator.runMonitor();
  const third = await claim(3);
  await coordinator.api.post(`/jobs/${id}/release`, { leaseToken: third.leaseToken });
  await claim(4);
  expect(await coordinator.api.attempts(id)).toMatchObject([
    {
      attempt: 1,
      runnerId: 'r1',
      outcome: 'failed',
      error: { message: 'boom', code: 'E1', retryable: true },
      metrics: { durationMs: 5, cpuMs: null },
    },
    { attempt: 2, runnerId: 'r2', outcome: 'timed_out', error: { code: 'timed_out' } },
    { attempt: 3, runnerId: 'r3', outcome: 'released', error: null },
    { attempt: 4, runnerId: 'r4', outcome: 'running', finishedAt: null },
  ]);
});

test('logs come in their order, by level, after a line, page by page', async () => {
  const { job, claimed } = await jobIn('running', coordinator);
  const logs = ['debug', 'info', 'warn', 'error', 'info'].map((level, at) => ({
    level,
    message: `line ${at}`,
    fields: { at },
  }));
  await coordinator.api.post(`/jobs/${job.id}/heartbeat`, { leaseToken: claimed?.leaseToken, logs });
  const read = async (query: string) =>
    expectStatus(
      await coordinator.api.get<{
        items: { seq: number; message: string; level: string; attempt: number; fields: unknown }[];
        nextCursor: string | null;
      }>(`/jobs/${job.id}/logs?${query}`),
      200,
    );
  const all = await read('');
  expect(all.items.map(({ message, level, attempt, fields }) => ({ message, level, attempt, fields }))).toEqual(
    logs.map((line) => ({ ...line, attempt: 1 })),
  );
  expect((await read('level=warn')).items.map(({ message }) => message)).toEqual(['line 2', 'line 3']);
  expect((await read(`after=${all.items[2]?.seq}`)).items.map(({ message }) => message)).toEqual(['line 3', 'line 4']);
  const page = await read('limit=2');
  expect((await read(`limit=9&cursor=${page.nextCursor}`)).items.map(({ message }) => message)).toEqual([
    'line 2',
    'line 3',
    'line 4',
  ]);
  expect((await coordinator.api.get(`/jobs/${job.id}/logs?level=loud`)).status).toBe(400);
});

describe('wait', () => {
  const wait = (on: TestCoordinator, id: string, waitMs: number) =>
    on.api.get<Job>(`/jobs/${id}/wait?waitMs=${waitMs}`);

  test('answers at once for a finished job, and when the wait is over for another', async () => {
    const done = await jobIn('completed', coordinator);
    expect((await wait(coordinator, done.job.id, 50_000)).body.status).toBe('completed');
    const open = await jobIn('pending', coordinator);
    expect((await wait(coordinator, open.job.id, 20)).body.status).toBe('pending');
  });

  test.each([
    ['the same coordinator', 0],
    ['the other coordinator', 1],
  ])('is woken when the job finishes on %s', async (_name, at) => {
    const { job, claimed } = await jobIn('running', coordinator);
    const waiting = wait(at === 0 ? coordinator : other, job.id.toUpperCase(), 50_000);
    await eventually(() => (at === 0 ? coordinator : other).app.services.waitingReads.size === 1);
    if (claimed !== undefined) await coordinator.api.complete(claimed, { outcome: 'completed', result: 7 });
    expect((await waiting).body).toMatchObject({ status: 'completed', result: 7 });
  });

  test('refuses a wait that is too long', async () => {
    const { job } = await jobIn('pending', coordinator);
    expect((await wait(coordinator, job.id, 50_001)).status).toBe(400);
  });
});
