import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { ClaimedJob } from '@baton/runner-sdk/protocol';
import { type Cluster, startCluster, type TestCoordinator } from '../support/coordinator';
import { orderLock } from '../../coordinator/domain/jobs/promotion';
import { lockNames } from '../../coordinator/store/locks';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import { RawSocket } from '../support/raw-socket';

// Claims that wait.

let cluster: Cluster;
let here: TestCoordinator;
let there: TestCoordinator;
beforeAll(async () => {
  cluster = await startCluster(2);
  const [one, two] = cluster.coordinators;
  if (one === undefined || two === undefined) throw new Error('two coordinators');
  [here, there] = [one, two];
});
afterAll(() => cluster.stop());

/** A claim that is seen to wait on that coordinator. */
async function park(
  on: TestCoordinator,
  type: string,
  more: {
    signal?: AbortSignal;
    waitMs?: number;
    runnerId?: string;
    max?: number;
    labels?: Record<string, string>;
  } = {},
): Promise<{ answer: Promise<ClaimedJob[]> }> {
  const before = on.app.services.dispatcher.size;
  const { signal, ...rest } = more;
  const answer = on.api.claim(
    { runnerId: 'waits', types: [type], waitMs: 20_000, ...rest },
    signal === undefined ? {} : { signal },
  );
  answer.catch(() => undefined);
  await eventually(() => on.app.services.dispatcher.size === before + 1);
  return { answer };
}

test.each([
  ['here', 0],
  ['on the other coordinator', 1],
])('a job that is created %s answers at once', async (_name, at) => {
  const type = uniqueType();
  await here.api.create({ type, delayMs: 3_600_000 });
  const { answer } = await park(at === 0 ? here : there, type);
  const job = await here.api.create({ type });
  expect((await answer).map(({ id }) => id)).toEqual([job.id]);
});

test('a job of a new type is found on the other coordinator too', async () => {
  const type = uniqueType();
  const { answer } = await park(there, type);
  const job = await here.api.create({ type });
  expect((await answer).map(({ id }) => id)).toEqual([job.id]);
});

test.each<[string, (id: string, token: string) => Promise<unknown>]>([
  ['released', (id, leaseToken) => here.api.post(`/jobs/${id}/release`, { leaseToken })],
  [
    'failed and tried again at once',
    (id, leaseToken) =>
      here.api.complete({ id, leaseToken }, { outcome: 'failed', error: { message: 'x', retryAfterMs: 0 } }),
  ],
  [
    'lost by its runner',
    async (id) => {
      await cluster.sql.expireLease(id);
      await here.runMonitor();
    },
  ],
])('a job that is %s answers a waiting claim', async (_name, giveUp) => {
  const type = uniqueType();
  await here.api.create({ type, retry: { strategy: 'fixed', baseMs: 0, jitter: 0 } });
  const first = await here.api.claimOne({ runnerId: 'first', types: [type] });
  const { answer } = await park(there, type);
  await giveUp(first.id, first.leaseToken);
  expect(await answer).toMatchObject([{ id: first.id, attempt: 2 }]);
});

test.each<[string, (id: string) => Promise<unknown>]>([
  ['run now', (id) => here.api.post(`/jobs/${id}/run-now`)],
  ['moved', (id) => here.api.patch(`/jobs/${id}`, { runAt: '2001-01-01T00:00:00Z', priority: 5 })],
])('a job for later that is %s answers a waiting claim', async (_name, hurry) => {
  const type = uniqueType();
  const { id } = await here.api.create({ type, delayMs: 3_600_000 });
  const { answer } = await park(there, type);
  await hurry(id);
  expect((await answer).map((job) => job.id)).toEqual([id]);
});

test('a job that gets due answers a waiting claim, not before its time', async () => {
  const type = uniqueType();
  const { id } = await here.api.create({ type, delayMs: 300 });
  const { answer } = await park(there, type);
  expect((await answer).map((job) => job.id)).toEqual([id]);
  const { early } = await cluster.sql.one<{ early: boolean }>(
    'SELECT started_at < run_at AS early FROM jobs WHERE id = $1',
    [id],
  );
  expect(early).toBe(false);
});

test('a wait that is over is answered with nothing', async () => {
  const { answer } = await park(here, uniqueType(), { waitMs: 50 });
  expect(await answer).toEqual([]);
});

test('few jobs are spread over the runners that wait, and none goes to one that cannot take it', async () => {
  const type = uniqueType();
  const able = [1, 2, 3].map((at) =>
    here.api.claim({ runnerId: `able-${at}`, types: [type], waitMs: 200, max: 5, labels: { can: 'yes' } }),
  );
  const unable = here.api.claim({ runnerId: 'unable', types: [type], waitMs: 200, labels: { can: 'no' } });
  await eventually(() => here.app.services.dispatcher.size === 4);
  await here.api.post('/jobs/bulk', { jobs: [1, 2, 3].map(() => ({ type, requires: { can: 'yes' } })) });
  const counts = (await Promise.all(able)).map((jobs) => jobs.length);
  expect(counts.reduce((sum, count) => sum + count)).toBe(3);
  expect(await unable).toEqual([]);
});

test('claims that do not wait are not told that there is nothing while there is, however many ask at once', async () => {
  const type = uniqueType();
  const [workers, each] = [16, 30];
  await here.api.post('/jobs/bulk', { jobs: Array.from({ length: workers * each }, () => ({ type })) });
  const got = await Promise.all(
    Array.from({ length: workers }, async (_, worker) => {
      const counts: number[] = [];
      for (let n = 0; n < each; n += 1)
        counts.push((await here.api.claim({ runnerId: `worker-${worker}`, types: [type] })).length);
      return counts;
    }),
  );
  expect(got.flat().filter((count) => count !== 1)).toEqual([]);
  expect(await here.api.claim({ runnerId: 'last', types: [type] })).toEqual([]);
});

test('creates that wait for the lock of their key leave claims a connection', async () => {
  const [type, queue] = [uniqueType(), uniqueType()];
  const job = await here.api.create({ type });
  const session = await cluster.sql.session();
  await session.begin();
  await lockNames(session, [orderLock({ queue, key: 'o' })]);
  const creates = Array.from({ length: 20 }, () =>
    here.api.post('/jobs/bulk', { jobs: [{ type: `${type}-ordered`, queue, orderKey: 'o' }] }),
  );
  await session.hasWaiter();
  expect((await here.api.claim({ runnerId: 'r', types: [type] })).map(({ id }) => id)).toEqual([job.id]);
  await session.rollback();
  await session.end();
  expect(new Set((await Promise.all(creates)).map(({ status }) => status))).toEqual(new Set([201]));
});

describe('a client that goes away', () => {
  test('with claims that waited for their turn on its connection: none of them gets anything, and none counts any more', async () => {
    const type = uniqueType();
    const key = await here.api.makeKey({ name: 'pipelined', role: 'runner' });
    const socket = await RawSocket.open(here.url);
    const body = (runnerId: string) => JSON.stringify({ runnerId, types: [type], waitMs: 20_000 });
    const call = (text: string) =>
      `POST /jobs/claim HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}`;
    const before = here.app.services.dispatcher.size;
    socket.say(['one', 'two', 'three'].map((runnerId) => call(body(runnerId))).join(''));
    await eventually(() => here.app.services.dispatcher.size === before + 3);
    socket.end();
    await eventually(() => here.app.services.dispatcher.size === before);
    const job = await here.api.create({ type });
    expect(
      (await here.api.claim({ runnerId: 'living', types: [type] })).map(({ id, attempt }) => [id, attempt]),
    ).toEqual([[job.id, 1]]);
  });

  test('is listened for no longer than each of its calls lasts, however many it sends down one connection', async () => {
    const accepted = once(here.app.server, 'connection') as Promise<[Socket]>;
    const socket = await RawSocket.open(here.url);
    const [connection] = await accepted;
    const listening = connection.listenerCount('close');
    socket.say('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(50));
    await eventually(() => socket.heard.split('HTTP/1.1 200').length === 51);
    await eventually(() => connection.listenerCount('close') <= listening + 1);
    socket.end();
  });

  test('while it waits gets nothing', async () => {
    const type = uniqueType();
    const gone = new AbortController();
    await park(here, type, { signal: gone.signal });
    gone.abort();
    await eventually(() => here.app.services.dispatcher.size === 0);
    const { id } = await here.api.create({ type });
    expect(await here.api.job(id)).toMatchObject({ status: 'pending', attempt: 0 });
  });

  test('while a statement claims for it: what it was granted is given back, and nothing is counted', async () => {
    const type = uniqueType();
    const session = await cluster.sql.session();
    await cluster.sql.query(
      "CREATE FUNCTION hold_claim() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NEW; END'",
    );
    await cluster.sql.query(
      `CREATE TRIGGER hold BEFORE UPDATE ON jobs FOR EACH ROW WHEN (NEW.type = '${type}' AND NEW.status = 'running') EXECUTE FUNCTION hold_claim()`,
    );
    await session.query({ text: 'SELECT pg_advisory_lock(42)' });
    const gone = new AbortController();
    await park(here, type, { signal: gone.signal });
    // From the other one: here it would be handed over as it is created.
    const { id } = await there.api.create({ type });
    await session.hasWaiter();
    gone.abort();
    const { dispatcher } = here.app.services;
    await eventually(() => dispatcher.size === 0);
    // A coordinator that stops waits for it, before it lets go of the database.
    const settled = dispatcher.settled().then(() => 'settled');
    expect(await Promise.race([settled, here.api.job(id).then(({ status }) => status)])).toBe('pending');
    await session.query({ text: 'SELECT pg_advisory_unlock(42)' });
    await settled;
    expect(await here.api.attempts(id)).toMatchObject([{ outcome: 'released' }]);
    expect(await here.api.job(id)).toMatchObject({ status: 'pending', failures: 0, attempt: 1 });
    await session.end();
    await cluster.sql.query('DROP TRIGGER hold ON jobs');
  });

  test('before its request was authenticated is not waited for', async () => {
    const type = uniqueType();
    const { id } = await here.api.create({ type });
    const api = here.api.as(await here.api.makeKey({ name: 'slow', role: 'admin' }));
    const session = await cluster.sql.session();
    await session.begin();
    await session.query({ text: 'LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE' });
    const gone = new AbortController();
    const closed = new Promise<void>((resolve) => {
      let open = 2;
      const count = (_request: unknown, response: ServerResponse) =>
        response.once('close', () => (open -= 1) === 0 && resolve());
      here.app.server.on('request', count);
    });
    const calls = [
      api.claim({ runnerId: 'r', types: [`${type}-none`], waitMs: 20_000 }, { signal: gone.signal }),
      api.call('get', `/jobs/${id}/wait?waitMs=20000`, { signal: gone.signal }),
    ];
    await session.hasWaiter();
    gone.abort();
    await Promise.all(calls.map((call) => expect(call).rejects.toThrow()));
    await closed;
    await session.commit();
    await session.end();
    // The look-up of the key is over when another call with it is.
    expect(await api.claim({ runnerId: 'r', types: [uniqueType()] })).toEqual([]);
    expect([here.app.services.dispatcher.size, here.app.services.waitingReads.size]).toEqual([0, 0]);
  });
});

test('a coordinator that stops answers its waiting claims with nothing', async () => {
  const extra = await startCluster(1);
  const [coordinator] = extra.coordinators;
  if (coordinator === undefined) throw new Error('no coordinator');
  const { answer } = await park(coordinator, uniqueType());
  const [jobs] = await Promise.all([answer, extra.stop()]);
  expect(jobs).toEqual([]);
});
