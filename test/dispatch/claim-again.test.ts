import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { ClaimedJob, ClaimInput, Job } from '@baton/runner-sdk/protocol';
import { BatonError } from '../../coordinator/errors';
import type { Executor } from '../../coordinator/store/db';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import { RawSocket } from '../support/raw-socket';

// Claims whose connection is dead unnoticed, claims that end while they are reserved, and failures half-way.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

/** A claim that waits for 20 s. */
function ask(type: string, more: Partial<ClaimInput> = {}): Promise<ClaimedJob[]> {
  const answer = coordinator.api.claim({ runnerId: 'waits', types: [type], waitMs: 20_000, ...more });
  answer.catch(() => undefined);
  return answer;
}

const waiting = (count: number) => eventually(() => coordinator.app.services.dispatcher.size === count);

/** After this, all claims that wait are synced, so that only a job or the end of their wait answers them. */
const poll = () => coordinator.api.claim({ runnerId: 'looks', types: [uniqueType()] });

/** A claim that waits and is synced. */
async function askFormer(type: string, claimId = `c-${type}`): Promise<{ former: Promise<ClaimedJob[]> }> {
  const former = ask(type, { claimId, waitMs: 50_000 });
  await waiting(1);
  await poll();
  return { former };
}

function latch(): { told: Promise<void>; tell: () => void } {
  let tell: () => void = () => undefined;
  const told = new Promise<void>((resolve) => (tell = resolve));
  return { told, tell };
}

const [CREATE, CLAIM] = ['INSERT INTO jobs', 'AS a ("runnerId", "claimHash"'];

/** Acts after the next such statement has committed, and before its result is known here. */
function afterNext(kind: string, act: () => Promise<void> | void): void {
  const { db } = coordinator.app.context;
  const { hot } = db;
  db.hot = {
    ...hot,
    async query<Row>(statement: Parameters<typeof hot.query>[0]): Promise<Row[]> {
      if (!statement.text.includes(kind)) return hot.query<Row>(statement);
      db.hot = hot;
      const rows = await hot.query<Row>(statement);
      await act();
      return rows;
    },
  };
}

/** Acts when the next create with a key has stored its jobs: before it commits, and after. */
function aroundCommit(before: () => Promise<void>, after: () => void = () => undefined): void {
  const { db } = coordinator.app.context;
  const { keyed } = db;
  db.keyed = {
    ...keyed,
    async transaction<T>(run: (transaction: Executor) => Promise<T>): Promise<T> {
      db.keyed = keyed;
      const result = await keyed.transaction(async (transaction) => {
        const stored = await run(transaction);
        await before();
        return stored;
      });
      after();
      return result;
    },
  };
}

test.each([{}, { labels: { now: 'another' } }])(
  'a claim that is sent again while it waits (%j) gets the job, not its former poll',
  async (changed) => {
    const type = uniqueType();
    const { former } = await askFormer(type);
    const latter = ask(type, { claimId: `c-${type}`, ...changed });
    expect(await former).toEqual([]);
    const jobs = expectStatus(
      await coordinator.api.post<{ jobs: Job[] }>('/jobs/bulk', { jobs: [{ type }, { type }] }),
      201,
    ).jobs;
    expect((await latter).map(({ id }) => id)).toEqual([jobs[0]?.id]);
    expect(await coordinator.sql.count("jobs WHERE type = $1 AND status = 'pending'", [type])).toBe(1);
  },
);

test('a claim that is sent again while its former poll is given a job gets that job', async () => {
  const type = uniqueType();
  const { former } = await askFormer(type);
  let latter: Promise<ClaimedJob[]> | undefined;
  afterNext(CREATE, async () => {
    latter = ask(type, { claimId: `c-${type}` });
    await former;
  });
  const { id } = await coordinator.api.create({ type });
  expect(await former).toEqual([]);
  expect(await latter).toMatchObject([{ id, attempt: 1 }]);
});

test('a claim that is sent again, and answered with the job before anybody hears that its former poll was given it, keeps it', async () => {
  const [type, claimId] = [uniqueType(), 'c-again'];
  const { dispatcher } = coordinator.app.services;
  const gone = new AbortController();
  const former = coordinator.api.claim(
    { runnerId: 'again', types: [type], claimId, waitMs: 20_000 },
    { signal: gone.signal },
  );
  former.catch(() => undefined);
  await waiting(1);
  await poll();
  let latter: ClaimedJob[] = [];
  afterNext(CREATE, async () => {
    gone.abort();
    await waiting(0);
    latter = await coordinator.api.claim({ runnerId: 'again', types: [type], claimId, waitMs: 5000 });
  });
  const { id } = await coordinator.api.create({ type });
  await dispatcher.undelivered.settled();
  const [job] = latter;
  if (job === undefined) throw new Error('the claim was not answered with the job');
  expect(job.id).toBe(id);
  expect((await coordinator.api.complete(job)).status).toBe(200);
});

test('a claim that is sent a third time, after the second request disconnected while the first is given a job, gets and keeps that job', async () => {
  const [type, claimId] = [uniqueType(), 'c-thrice'];
  const { former } = await askFormer(type, claimId);
  const gone = new AbortController();
  let third: Promise<ClaimedJob[]> | undefined;
  afterNext(CREATE, async () => {
    const second = coordinator.api.claim(
      { runnerId: 'waits', types: [type], claimId, waitMs: 20_000 },
      { signal: gone.signal },
    );
    second.catch(() => undefined);
    await former;
    gone.abort();
    await waiting(0);
    third = ask(type, { claimId });
    await waiting(1);
  });
  const { id } = await coordinator.api.create({ type });
  const [job] = (await third) ?? [];
  expect(job).toMatchObject({ id, attempt: 1 });
  await coordinator.app.services.dispatcher.undelivered.settled();
  expect((await coordinator.api.complete(job as ClaimedJob)).status).toBe(200);
});

test('a claim that is sent again, and given the job by a statement of its own before anybody hears that its former poll was given it, keeps it', async () => {
  const type = uniqueType();
  const { former } = await askFormer(type);
  let latter: Promise<ClaimedJob[]> | undefined;
  const { told, tell } = latch();
  afterNext(CREATE, async () => {
    const found = new Promise<void>((resolve) => {
      afterNext(CLAIM, () => (resolve(), told));
    });
    latter = ask(type, { claimId: `c-${type}` });
    await found;
  });
  await coordinator.api.create({ type });
  expect(await former).toEqual([]);
  await coordinator.app.services.dispatcher.undelivered.settled();
  tell();
  const [job] = (await latter) ?? [];
  if (job === undefined) throw new Error('the claim was not answered with the job');
  expect((await coordinator.api.complete(job)).status).toBe(200);
});

test('a claim that is sent again while its former poll is given a job is answered with it at once, without a poll', async () => {
  const type = uniqueType();
  const { former } = await askFormer(type);
  let latter: Promise<ClaimedJob[]> | undefined;
  const { told, tell } = latch();
  const { db } = coordinator.app.context;
  const { query } = db;
  aroundCommit(async () => {
    latter = ask(type, { claimId: `c-${type}` });
    await former;
    await poll();
    db.query = async <Row>(statement: Parameters<typeof query>[0]): Promise<Row[]> => {
      await told;
      return query<Row>(statement);
    };
  });
  const { id } = await coordinator.api.create({ type, uniqueKey: 'u' });
  const { size } = coordinator.app.services.dispatcher;
  db.query = query;
  tell();
  expect(size).toBe(0);
  expect(await former).toEqual([]);
  expect((await latter)?.map((job) => job.id)).toEqual([id]);
});

test('what a poll is given after the same claim, sent again, was answered with another job is given back', async () => {
  const type = uniqueType();
  const { former } = await askFormer(type);
  const heard: (string | undefined)[] = [];
  aroundCommit(async () => {
    const latter = ask(type, { claimId: `c-${type}` });
    await former;
    await poll();
    const other = await coordinator.api.create({ type });
    heard.push(other.id, ...(await latter).map(({ id }) => id));
  });
  const { id } = await coordinator.api.create({ type, uniqueKey: 'u' });
  expect(heard).toEqual([heard[0], heard[0]]);
  expect(await former).toEqual([]);
  await coordinator.app.services.dispatcher.undelivered.settled();
  expect(await coordinator.api.job(id)).toMatchObject({ status: 'pending', failures: 0 });
});

test.each([
  ['looked for by then', false, true],
  ['being looked for', true, true],
  ['being looked for', true, false],
])(
  'a claim that is sent again, and was %s (%j), gets the job of its former poll, though nobody hears that it was stored: %j',
  async (_when, isLooking, isUnheard) => {
    const type = uniqueType();
    const { former } = await askFormer(type);
    let latter: Promise<ClaimedJob[]> | undefined;
    const { told, tell } = latch();
    aroundCommit(
      async () => {
        const found = new Promise<void>((resolve) => {
          afterNext(CLAIM, () => (resolve(), isLooking ? told : undefined));
        });
        latter = ask(type, { claimId: `c-${type}`, waitMs: 5000 });
        await found;
        if (!isLooking) await poll();
      },
      () => {
        if (isUnheard) throw new BatonError('unavailable', 'the connection broke');
      },
    );
    expect((await coordinator.api.post('/jobs', { type, uniqueKey: 'u' })).status).toBe(isUnheard ? 503 : 201);
    expect(await former).toEqual([]);
    tell();
    expect(await latter).toMatchObject([{ type, attempt: 1 }]);
  },
);

test('a claim that is sent again gets the job that its former poll was given by a statement of which nobody hears', async () => {
  const type = uniqueType();
  const session = await coordinator.sql.session();
  await coordinator.sql.query(
    "CREATE FUNCTION hold_claim() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(44); RETURN NEW; END'",
  );
  await coordinator.sql.query(
    `CREATE TRIGGER hold BEFORE UPDATE ON jobs FOR EACH ROW WHEN (NEW.type = '${type}' AND NEW.status = 'running') EXECUTE FUNCTION hold_claim()`,
  );
  await session.query({ text: 'SELECT pg_advisory_lock(44)' });
  await coordinator.api.create({ type });
  afterNext(CLAIM, () => Promise.reject(new BatonError('unavailable', 'the connection broke')));
  const former = ask(type, { claimId: `c-${type}`, waitMs: 50_000 });
  await session.hasWaiter();
  const latter = ask(type, { claimId: `c-${type}`, waitMs: 5000 });
  expect(await former).toEqual([]);
  // During the first poll it may be reserved.
  for (let nth = 0; nth < 2; nth += 1) await poll();
  const { lanes, readyLanes } = coordinator.app.context;
  await eventually(() => readyLanes.among(lanes.takenBy({ types: [type], labels: {} })).length === 0);
  await session.query({ text: 'SELECT pg_advisory_unlock(44)' });
  expect(await latter).toMatchObject([{ type, attempt: 1 }]);
  await coordinator.sql.query('DROP TRIGGER hold ON jobs');
  await session.end();
});

test('a runner that is told to drain while its claim is reserved for a job that it does not get is given nothing more', async () => {
  const type = uniqueType();
  const answer = ask(type, { runnerId: `drains-${type}` });
  await waiting(1);
  await poll();
  const [lane] = await coordinator.app.context.lanes.of([
    { queue: 'default', type, priority: 0, requires: null, prefers: null },
  ]);
  const reservation = coordinator.app.services.dispatcher.reserve([{ id: 'job', laneId: lane?.id ?? 0 }]);
  expect(reservation.offers).toMatchObject([{ jobId: 'job', runnerId: `drains-${type}` }]);
  expectStatus(await coordinator.api.post(`/runners/drains-${type}/drain`), 200);
  reservation.settle([]);
  const { id } = await coordinator.api.create({ type });
  expect(await answer).toEqual([]);
  expect(await coordinator.api.job(id)).toMatchObject({ status: 'pending', attempt: 0 });
});

test('a job for a client whose connection broke, of which this process does not know yet, is given back', async () => {
  const type = uniqueType();
  const key = await coordinator.api.makeKey({ name: 'breaks', role: 'runner' });
  const accepted = once(coordinator.app.server, 'connection') as Promise<[Socket]>;
  const socket = await RawSocket.open(coordinator.url);
  const [connection] = await accepted;
  const body = JSON.stringify({ runnerId: 'breaks', types: [type], waitMs: 20_000 });
  socket.say(
    `POST /jobs/claim HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  await waiting(1);
  await poll();
  afterNext(CREATE, () => void connection.destroy());
  const { id } = await coordinator.api.create({ type });
  await eventually(
    () => coordinator.api.attempts(id),
    (attempts) => attempts[0]?.outcome === 'released',
  );
  expect(await coordinator.api.job(id)).toMatchObject({ status: 'pending', failures: 0, attempt: 1 });
});

test('jobs that were claimed are delivered though the search for more fails', async () => {
  const type = uniqueType();
  const ids = expectStatus(
    await coordinator.api.post<{ jobs: Job[] }>('/jobs/bulk', {
      jobs: [{ type }, { type, priority: 1 }, { type, priority: 1 }],
    }),
    201,
  ).jobs.map(({ id }) => id);
  // Seen by the statement, and not had: so it looks lane by lane for as many as it wanted.
  const session = await coordinator.sql.session();
  await session.begin();
  await session.query({ text: 'SELECT FROM jobs WHERE id = $1 FOR UPDATE', values: [ids.pop()] });
  const { db } = coordinator.app.context;
  const { hot } = db;
  let claims = 0;
  db.hot = {
    ...hot,
    query<Row>(statement: Parameters<typeof hot.query>[0]): Promise<Row[]> {
      if (statement.text.includes(CLAIM) && (claims += 1) > 1)
        return Promise.reject(new BatonError('unavailable', 'no connection'));
      return hot.query<Row>(statement);
    },
  };
  // One claim of each runner that asks at once shares the statement, which so finds less than is asked for.
  const answers = await Promise.allSettled(
    ['a', 'b', 'c'].map((runnerId) =>
      coordinator.app.services.dispatcher.claim(
        { runnerId, types: [type], labels: {}, max: 1, waitMs: 1000, leaseMs: 30_000 },
        new AbortController().signal,
      ),
    ),
  );
  db.hot = hot;
  await session.rollback();
  await session.end();
  expect(claims).toBeGreaterThan(1);
  expect(
    answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value.map(({ id }) => id) : [])).sort(),
  ).toEqual(ids.sort());
});
