import { randomUUID } from 'node:crypto';
import type { ClaimedJob, ClaimInput, CreateJob, Job } from '@baton/runner-sdk/protocol';
import { BatonError } from '../../coordinator/errors';
import type { Reservation } from '../../coordinator/domain/jobs/candidates/reservation';
import { LaneCatalog } from '../../coordinator/state/lanes';
import * as store from '../../coordinator/store/jobs';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { TestEventSource } from '../support/event-source';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

// A job that is created while a claim waits for it is stored as running for that claim, in one statement.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

/** A claim that waits and is synced, so that only a job or the end of its wait answers it. */
async function park(
  type: string,
  more: Partial<ClaimInput> = {},
  signal?: AbortSignal,
): Promise<{ answer: Promise<ClaimedJob[]> }> {
  const { dispatcher } = coordinator.app.services;
  const before = dispatcher.size;
  const answer = coordinator.api.claim(
    { runnerId: 'waits', types: [type], waitMs: 20_000, ...more },
    signal === undefined ? {} : { signal },
  );
  answer.catch(() => undefined);
  await eventually(() => dispatcher.size === before + 1);
  // An empty answer comes after a poll, which was for all claims that wait.
  await coordinator.api.claim({ runnerId: 'looks', types: [uniqueType()] });
  return { answer };
}

const laneIdOf = async (type: string): Promise<number> => {
  const [lane] = await coordinator.app.context.lanes.of([
    { queue: 'default', type, priority: 0, requires: null, prefers: null },
  ]);
  return lane?.id ?? 0;
};

/** Whether it runs, and was touched by no transaction but the one that created it. */
const wasHanded = ({ createdAt, startedAt, updatedAt }: Job): boolean => startedAt !== null && createdAt === updatedAt;

const bulk = async (jobs: CreateJob[], atomic = false, key?: string): Promise<Job[]> =>
  expectStatus(
    await coordinator.api.post<{ jobs: Job[] }>(
      '/jobs/bulk',
      { atomic, jobs },
      key === undefined ? {} : { headers: { 'idempotency-key': key } },
    ),
    201,
  ).jobs;

test('the job is created pending, and runs with all that its claim is told', async () => {
  const type = uniqueType();
  const { answer } = await park(type, { claimId: 'c-1', leaseMs: 5000 });
  const sent: CreateJob = {
    type,
    arguments: { a: ['ü', 1] },
    metadata: { m: null },
    tags: ['t'],
    timeoutMs: 60_000,
    maxAttempts: 3,
    userId: 'u-1',
  };
  const created = await coordinator.api.create(sent);
  expect(created).toMatchObject({ status: 'pending', attempt: 0, runnerId: null, startedAt: null });
  const [claimed] = await answer;
  if (claimed === undefined) throw new Error('not claimed');
  expect(claimed).toMatchObject({
    id: created.id,
    attempt: 1,
    leaseMs: 5000,
    arguments: sent.arguments,
    metadata: sent.metadata,
    tags: ['t'],
    timeoutMs: 60_000,
    maxAttempts: 3,
    userId: 'u-1',
    checkpoint: null,
  });
  const job = await coordinator.api.job(created.id);
  expect(job).toMatchObject({
    status: 'running',
    attempt: 1,
    runnerId: 'waits',
    leaseExpiresAt: claimed.leaseExpiresAt,
    deadlineAt: claimed.deadlineAt,
  });
  expect(wasHanded(job)).toBe(true);
  // Its answer might have been lost.
  const again = await coordinator.api.claim({ runnerId: 'waits', types: [type], claimId: 'c-1' });
  expect(again).toEqual([claimed]);
  expectStatus(await coordinator.api.complete(claimed, { outcome: 'completed', result: 1 }), 200);
});

test('what listens hears that it was created, and then that it was claimed', async () => {
  const type = uniqueType();
  const source = await TestEventSource.open(`${coordinator.api.url}/events?type=${type}`, coordinator.adminKey);
  const { answer } = await park(type);
  await coordinator.api.create({ type });
  await answer;
  await eventually(() => source.events.length === 2);
  expect(source.events).toMatchObject([
    { name: 'job.created', status: 'pending', attempt: 0 },
    { name: 'job.claimed', status: 'running', attempt: 1, runnerId: 'waits' },
  ]);
  source.close();
});

test.each([
  ['judged one by one', false, undefined],
  ['all or none', true, undefined],
  ['all or none, under a key', true, randomUUID()],
])(
  'many jobs, %s, go round the claims that wait, up to what each takes; the others wait',
  async (_how, atomic, key) => {
    const type = uniqueType();
    const answers = [await park(type, { runnerId: 'a', max: 2 }), await park(type, { runnerId: 'b', max: 1 })].map(
      ({ answer }) => answer,
    );
    const jobs = await bulk(
      Array.from({ length: 5 }, (_, n) => ({ type, arguments: { n } })),
      atomic,
      key,
    );
    const [a, b] = await Promise.all(answers);
    expect([a?.map(({ id }) => id), b?.map(({ id }) => id)]).toEqual([[jobs[0]?.id, jobs[2]?.id], [jobs[1]?.id]]);
    expect(await coordinator.sql.count("jobs WHERE type = $1 AND status = 'pending' AND attempt = 0", [type])).toBe(2);
  },
);

test.each<[string, Partial<CreateJob>]>([
  ['with a unique key', { uniqueKey: 'u' }],
  ['of a user whose creates are counted', { userId: 'counted' }],
])('a job %s is handed over when its transaction has committed, and so are those beside it', async (_name, more) => {
  const [type, queue] = [uniqueType(), randomUUID()];
  expectStatus(
    await coordinator.api.call('put', `/queues/${queue}`, { json: { userRateLimit: { max: 1, perMs: 3_600_000 } } }),
    200,
  );
  const { answer } = await park(type, { max: 3 });
  const jobs = await bulk([
    { type, queue, ...more },
    { type, queue },
  ]);
  const claimed = await answer;
  expect(claimed.map(({ id }) => id)).toEqual(jobs.map(({ id }) => id));
  expect((await Promise.all(jobs.map(({ id }) => coordinator.api.job(id)))).map(wasHanded)).toEqual([true, true]);
  // What its key is for holds on.
  const [other] = claimed;
  const again = await coordinator.api.post<Job>('/jobs', { type, queue, ...more });
  expect([again.status, again.body.id]).toEqual(more.uniqueKey === undefined ? [429, undefined] : [200, other?.id]);
});

test('what a unique key stands for already is handed to nobody', async () => {
  const type = uniqueType();
  const holder = await coordinator.api.create({ type, uniqueKey: 'u', delayMs: 3_600_000 });
  const { answer } = await park(type);
  const [same, other] = await bulk([
    { type, uniqueKey: 'u' },
    { type, uniqueKey: 'v' },
  ]);
  expect(same?.id).toBe(holder.id);
  expect((await answer).map(({ id }) => id)).toEqual([other?.id]);
  expect(await coordinator.api.job(holder.id)).toMatchObject({ status: 'pending', attempt: 0 });
});

test('of a call that is all or none, and refused after its jobs were stored for claims, nothing is handed over', async () => {
  const [type, queue] = [uniqueType(), randomUUID()];
  expectStatus(
    await coordinator.api.call('put', `/queues/${queue}`, { json: { userRateLimit: { max: 1, perMs: 3_600_000 } } }),
    200,
  );
  const { answer } = await park(type, { max: 5 });
  const reserve = jest.spyOn(coordinator.app.services.dispatcher, 'reserve');
  const refused = await coordinator.api.refusal('post', '/jobs/bulk', {
    jobs: [
      { type, queue },
      { type, queue, userId: 'u' },
      { type, queue, userId: 'u' },
    ],
  });
  expect([refused, reserve.mock.results.map(({ value }) => (value as Reservation).offers.length)]).toEqual([
    [429, 'rate_limited'],
    [2],
  ]);
  reserve.mockRestore();
  const { id } = await coordinator.api.create({ type, uniqueKey: 'next' });
  expect((await answer).map((job) => job.id)).toEqual([id]);
  expect(await coordinator.sql.count('jobs WHERE type = $1', [type])).toBe(1);
});

test('of jobs that come together, those that are first in turn are handed over', async () => {
  const type = uniqueType();
  const { answer } = await park(type, { max: 3 });
  const order: [number, string | undefined][] = [
    [-10, undefined],
    [0, 'a'],
    [0, 'a'],
    [0, 'b'],
    [10, undefined],
  ];
  const jobs = await bulk(
    order.map(([priority, userId]) => ({ type, priority, ...(userId === undefined ? {} : { userId }) })),
  );
  expect((await answer).map(({ id }) => jobs.findIndex((job) => job.id === id)).sort()).toEqual([1, 3, 4]);
});

test('nothing is handed to the first claim that comes, before the poll has told which lanes are ready', async () => {
  const type = uniqueType();
  const { dispatcher } = coordinator.app.services;
  const jobs = [{ id: 'job', laneId: await laneIdOf(type) }];
  await eventually(() => dispatcher.size === 0);
  await eventually(() => !dispatcher.isPolling);
  const signal = new AbortController();
  const answer = dispatcher.claim(
    { runnerId: 'first', types: [type], labels: {}, max: 1, waitMs: 20_000, leaseMs: 30_000 },
    signal.signal,
  );
  expect(dispatcher.reserve(jobs).offers).toEqual([]);
  const reservation = await eventually(
    () => dispatcher.reserve(jobs),
    ({ offers }) => offers.length > 0,
  );
  expect(reservation.offers).toMatchObject([{ runnerId: 'first' }]);
  reservation.settle([]);
  signal.abort();
  await answer;
});

test('an idempotency key that was used before brings the first job, and hands nothing over', async () => {
  const type = uniqueType();
  const send = () => coordinator.api.post<Job>('/jobs', { type }, { headers: { 'idempotency-key': `k-${type}` } });
  const first = expectStatus(await send(), 201);
  const [claimed] = await coordinator.api.claim({ runnerId: 'before', types: [type] });
  const { answer } = await park(type);
  expect(expectStatus(await send(), 200)).toMatchObject({ id: first.id, status: 'running', runnerId: 'before' });
  const next = await coordinator.api.create({ type });
  expect((await answer).map(({ id }) => id)).toEqual([next.id]);
  expect(claimed?.id).toBe(first.id);
});

test.each<[string, string]>([
  ['is paused', "INSERT INTO queues (name, paused_by, paused_at) VALUES ($1, 'somebody', now())"],
  ['has a limit', 'INSERT INTO queues (name, concurrency) VALUES ($1, 0)'],
])('a job of a queue that %s, of which this coordinator has not heard yet, waits', async (_name, set) => {
  const [type, queue] = [uniqueType(), randomUUID()];
  const { answer } = await park(type);
  await coordinator.sql.query(set, [queue]);
  const { id } = await coordinator.api.create({ type, queue });
  expect(await coordinator.api.job(id)).toMatchObject({ status: 'pending', attempt: 0 });
  const other = await coordinator.api.create({ type });
  expect((await answer).map((job) => job.id)).toEqual([other.id]);
});

test.each<[string, Partial<CreateJob>]>([
  ['for later', { delayMs: 3_600_000 }],
  ['that has expired', { expiresAt: '2020-01-01T00:00:00Z' }],
  ['that prefers other runners', { prefers: { zone: 'a' } }],
  ['that requires other labels', { requires: { zone: 'a' } }],
])('a job %s is not handed over', async (_name, more) => {
  const type = uniqueType();
  const gone = new AbortController();
  await park(type, {}, gone.signal);
  const { id } = await coordinator.api.create({ type, ...more });
  expect(await coordinator.sql.count('jobs WHERE id = $1 AND started_at IS NULL', [id])).toBe(1);
  gone.abort();
  await eventually(() => coordinator.app.services.dispatcher.size === 0);
});

test('nothing is handed to a claim while one of its lanes is believed to be ready', async () => {
  const type = uniqueType();
  const { lanes, readyLanes } = coordinator.app.context;
  const { dispatcher } = coordinator.app.services;
  const [waiting, created] = await lanes.of(
    [-1, 1].map((priority) => ({ queue: 'default', type, priority, requires: null, prefers: null })),
  );
  if (!waiting || !created) throw new Error('two lanes');
  const { answer } = await park(type);
  readyLanes.reopen([waiting.id]);
  const job = { id: 'a', laneId: created.id };
  expect(dispatcher.reserve([job]).offers).toEqual([]);
  readyLanes.exhausted(waiting.id, readyLanes.now);
  const reservation = dispatcher.reserve([{ id: 'none', laneId: -1 }, job, { ...job, id: 'b' }]);
  expect(reservation.offers).toMatchObject([{ jobId: 'a', runnerId: 'waits' }]);
  // While it is reserved for one job, it is for no other; granted nothing, it waits on.
  expect(dispatcher.reserve([job]).offers).toEqual([]);
  reservation.settle([]);
  const { id } = await coordinator.api.create({ type });
  expect((await answer).map((job) => job.id)).toEqual([id]);
});

test('a claim that was answered before is handed nothing more', async () => {
  const type = uniqueType();
  await coordinator.api.create({ type });
  const runnerId = 'answered';
  await coordinator.api.claimOne({ runnerId, types: [type], claimId: 'c-2' });
  const [lane] = await new LaneCatalog(coordinator.app.context.db).of([
    { queue: 'default', type, priority: 0, requires: null, prefers: null },
  ]);
  const jobs = ['c-2', 'c-3', null].map((claimId) => ({
    claimId,
    row: {
      id: randomUUID(),
      type,
      queue: 'default',
      priority: 0,
      laneId: lane?.id ?? 0,
      arguments: {},
      timeoutMs: 1000,
      maxAttempts: 1,
      orderBlocks: false,
      tags: [],
    },
  }));
  const stored = await store.insert(
    coordinator.app.context.db,
    jobs.map(({ row }) => row),
    [],
    jobs.map(({ claimId, row }) => ({ jobId: row.id, runnerId, claimId, leaseMs: 1000 })),
  );
  expect(stored.map(({ id, lease }) => [id, lease?.runnerId ?? null])).toEqual(
    jobs.map(({ row }, index) => [row.id, index === 0 ? null : runnerId]),
  );
});

test('a client that disconnects while the job is stored for it: the job is given back, and nothing is counted', async () => {
  const type = uniqueType();
  const session = await coordinator.sql.session();
  await coordinator.sql.query(
    "CREATE FUNCTION hold_create() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(43); RETURN NEW; END'",
  );
  await coordinator.sql.query(
    `CREATE TRIGGER hold BEFORE INSERT ON jobs FOR EACH ROW WHEN (NEW.type = '${type}' AND NEW.status = 'running') EXECUTE FUNCTION hold_create()`,
  );
  await session.query({ text: 'SELECT pg_advisory_lock(43)' });
  const gone = new AbortController();
  await park(type, {}, gone.signal);
  const creating = coordinator.api.create({ type });
  await session.hasWaiter();
  gone.abort();
  const { dispatcher } = coordinator.app.services;
  await eventually(() => dispatcher.size === 0);
  // A coordinator that stops waits for it, before it lets go of the database.
  const settled = dispatcher.settled().then(() => 'settled');
  expect(await Promise.race([settled, coordinator.sql.count('jobs WHERE type = $1', [type])])).toBe(0);
  await session.query({ text: 'SELECT pg_advisory_unlock(43)' });
  await settled;
  const { id } = await creating;
  expect(await coordinator.api.attempts(id)).toMatchObject([{ outcome: 'released' }]);
  expect(await coordinator.api.job(id)).toMatchObject({ status: 'pending', failures: 0, attempt: 1 });
  await coordinator.sql.query('DROP TRIGGER hold ON jobs');
  await session.end();
});

test('a create that is committed, but whose answer from the database is lost: the claim is given the job all the same', async () => {
  const type = uniqueType();
  const { db } = coordinator.app.context;
  const { hot } = db;
  const { answer } = await park(type, { claimId: 'c-4' });
  db.hot = {
    ...hot,
    async query<Row>(statement: Parameters<typeof hot.query>[0]): Promise<Row[]> {
      await hot.query(statement);
      db.hot = hot;
      throw new BatonError('unavailable', 'the connection broke');
    },
  };
  expect((await coordinator.api.post('/jobs', { type })).status).toBe(503);
  expect(await answer).toMatchObject([{ type, attempt: 1 }]);
  expect(await coordinator.sql.count("jobs WHERE type = $1 AND status = 'running'", [type])).toBe(1);
});

test('a create whose hand-off breaks after the commit is acknowledged all the same, and stored once', async () => {
  const type = uniqueType();
  const reserve = jest.spyOn(coordinator.app.services.dispatcher, 'reserve').mockReturnValueOnce({
    offers: [],
    settle: () => {
      throw new Error('broken');
    },
  });
  expect((await coordinator.api.post('/jobs', { type })).status).toBe(201);
  reserve.mockRestore();
  expect(await coordinator.sql.count('jobs WHERE type = $1', [type])).toBe(1);
});

test('a claim that was reserved for a create that failed is answered with nothing when its wait is over', async () => {
  const type = uniqueType();
  const { answer } = await park(type, { claimId: 'c-5', waitMs: 1500 });
  const reservation = coordinator.app.services.dispatcher.reserve([{ id: 'job', laneId: await laneIdOf(type) }]);
  expect(reservation.offers).toHaveLength(1);
  reservation.settle([]);
  expect(await answer).toEqual([]);
});

test('a create that fails leaves the claim waiting, and the next job answers it', async () => {
  const type = uniqueType();
  await coordinator.sql.query(
    `CREATE FUNCTION refuse_create() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''refused''; END'`,
  );
  await coordinator.sql.query(
    `CREATE TRIGGER refuse BEFORE INSERT ON jobs FOR EACH ROW WHEN (NEW.type = '${type}') EXECUTE FUNCTION refuse_create()`,
  );
  const { answer } = await park(type);
  expect((await coordinator.api.post('/jobs', { type })).status).toBe(500);
  await coordinator.sql.query('DROP TRIGGER refuse ON jobs');
  const { id } = await coordinator.api.create({ type });
  expect((await answer).map((job) => job.id)).toEqual([id]);
});
