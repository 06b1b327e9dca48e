import { randomUUID } from 'node:crypto';
import type { ClaimedJob, CreateJob } from '@baton/runner-sdk/protocol';
import { expireLeases } from '../../coordinator/domain/jobs/expire-leases';
import type { Context } from '../../coordinator/context';
import * as store from '../../coordinator/store/jobs';
import { uniqueLock } from '../../coordinator/domain/jobs/candidates/job-candidate';
import { lockExpiredLeases } from '../../coordinator/store/leases';
import { lockNames } from '../../coordinator/store/locks';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { jobIn, uniqueType } from '../support/factory';
import type { Session } from '../support/sql';

// Staged races: the winner's own statement runs in an open transaction, the loser is started through HTTP and seen to
// wait for the winner's lock, then the winner commits (or rolls back, and the loser wins after all).

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let winner: Session;

beforeAll(async () => {
  coordinator = await startCoordinator();
  winner = await coordinator.sql.session();
});
afterAll(async () => {
  await winner.end();
  await coordinator.stop();
});

const report = ({ id, leaseToken }: ClaimedJob, result: unknown = 1) => ({
  jobId: id,
  leaseToken,
  result: JSON.stringify(result),
  metrics: null,
});
const failure = ({ id, leaseToken }: ClaimedJob, outcome: 'failed' | 'timed_out'): store.Fail => ({
  jobId: id,
  leaseToken,
  outcome,
  to: 'pending',
  delayMs: 3_600_000,
  error: { message: outcome },
  fingerprint: null,
  metrics: null,
});

async function running(more: Partial<CreateJob> = {}): Promise<ClaimedJob> {
  const { claimed } = await jobIn('running', coordinator, more);
  if (claimed === undefined) throw new Error('not claimed');
  return claimed;
}

/** Runs the winner's statements, starts the loser, sees it wait, and lets the winner go. Returns the loser's answer. */
async function race<T>(
  win: (on: Session) => Promise<unknown>,
  lose: () => Promise<T>,
  end: 'commit' | 'rollback' = 'commit',
): Promise<T> {
  await winner.begin();
  await win(winner);
  const losing = lose();
  await winner.hasWaiter();
  await winner[end]();
  return losing;
}

/** For losers that pass over what is locked instead of waiting. */
async function whileHeld<T>(win: (on: Session) => Promise<unknown>, lose: () => Promise<T>): Promise<T> {
  await winner.begin();
  await win(winner);
  try {
    return await lose();
  } finally {
    await winner.commit();
  }
}

const timeOut = async (on: Session) => {
  const lost = await lockExpiredLeases(on, 500);
  await store.fail(
    on,
    lost.map((job) => ({
      jobId: job.id,
      leaseToken: job.leaseToken,
      outcome: 'timed_out',
      to: 'pending',
      delayMs: 3_600_000,
      error: { message: 'timed out' },
      fingerprint: null,
      metrics: null,
    })),
    false,
  );
};
const outcomes = async (id: string) => (await coordinator.api.attempts(id)).map(({ outcome }) => outcome);

describe('complete and timeout', () => {
  test('the monitor passes over a job that is just completing, and finds it done', async () => {
    const claimed = await running();
    await coordinator.sql.expireLease(claimed.id);
    await whileHeld(
      (on) => store.complete(on, [report(claimed)], false),
      () => coordinator.runMonitor(),
    );
    await coordinator.runMonitor();
    expect(await coordinator.api.job(claimed.id)).toMatchObject({ status: 'completed', result: 1, failures: 0 });
    expect(await outcomes(claimed.id)).toEqual(['completed']);
  });

  test('a completion that comes while its attempt times out is refused, and kept', async () => {
    const claimed = await running();
    await coordinator.sql.expireLease(claimed.id);
    const answer = await race(timeOut, () =>
      coordinator.api.complete(claimed, { outcome: 'completed', result: 'late' }),
    );
    expect([answer.status, answer.body.code]).toEqual([409, 'lease_lost']);
    expect(await coordinator.api.job(claimed.id)).toMatchObject({ status: 'pending', result: null, failures: 1 });
    expect(await coordinator.api.attempts(claimed.id)).toMatchObject([
      { outcome: 'timed_out', lateResult: { outcome: 'completed', result: 'late' } },
    ]);
  });

  test('when the timeout is rolled back, the completion that waited for it counts', async () => {
    const claimed = await running();
    await coordinator.sql.expireLease(claimed.id);
    const answer = await race(timeOut, () => coordinator.api.complete(claimed), 'rollback');
    expect(answer.status).toBe(200);
    expect(await outcomes(claimed.id)).toEqual(['completed']);
  });
});

describe('heartbeat and timeout', () => {
  test('a heartbeat that came first keeps the lease', async () => {
    const claimed = await running();
    await coordinator.sql.expireLease(claimed.id);
    await whileHeld(
      (on) => store.extend(on, [{ jobId: claimed.id, leaseToken: claimed.leaseToken }]),
      () => coordinator.runMonitor(),
    );
    await coordinator.runMonitor();
    expect(await coordinator.api.job(claimed.id)).toMatchObject({ status: 'running', failures: 0 });
  });

  test('a heartbeat that came second is refused', async () => {
    const claimed = await running();
    await coordinator.sql.expireLease(claimed.id);
    const answer = await race(timeOut, () =>
      coordinator.api.refusal('post', `/jobs/${claimed.id}/heartbeat`, { leaseToken: claimed.leaseToken }),
    );
    expect(answer).toEqual([409, 'lease_lost']);
    expect((await coordinator.api.job(claimed.id)).leaseExpiresAt).toBeNull();
  });
});

describe('release and timeout', () => {
  test('a release that came first counts no failure', async () => {
    const claimed = await running();
    await coordinator.sql.expireLease(claimed.id);
    await whileHeld(
      (on) => store.release(on, [{ jobId: claimed.id, leaseToken: claimed.leaseToken, delayMs: 3_600_000 }], false),
      () => coordinator.runMonitor(),
    );
    await coordinator.runMonitor();
    expect(await coordinator.api.job(claimed.id)).toMatchObject({ status: 'pending', failures: 0 });
    expect(await outcomes(claimed.id)).toEqual(['released']);
  });

  test('a release that came second is refused', async () => {
    const claimed = await running();
    await coordinator.sql.expireLease(claimed.id);
    const answer = await race(timeOut, () =>
      coordinator.api.refusal('post', `/jobs/${claimed.id}/release`, { leaseToken: claimed.leaseToken }),
    );
    expect(answer).toEqual([409, 'lease_lost']);
    expect(await outcomes(claimed.id)).toEqual(['timed_out']);
  });
});

describe('two reports', () => {
  test('the same completion twice: both get the same answer', async () => {
    const claimed = await running();
    const answer = await race(
      (on) => store.complete(on, [report(claimed)], false),
      () => coordinator.api.complete(claimed, { outcome: 'completed', result: 1 }),
    );
    expect([answer.status, answer.body]).toEqual([200, { status: 'completed', attempt: 1 }]);
  });

  test('two completions with different results: the second is refused', async () => {
    const claimed = await running();
    const answer = await race(
      (on) => store.complete(on, [report(claimed)], false),
      () => coordinator.api.complete(claimed, { outcome: 'completed', result: 2 }),
    );
    expect([answer.status, answer.body.code]).toEqual([409, 'state_conflict']);
    expect((await coordinator.api.job(claimed.id)).result).toBe(1);
  });

  test('a completion after a failure that was under way is refused', async () => {
    const claimed = await running();
    const answer = await race(
      (on) => store.fail(on, [failure(claimed, 'failed')], false),
      () => coordinator.api.complete(claimed),
    );
    expect([answer.status, answer.body.code]).toEqual([409, 'state_conflict']);
    expect(await outcomes(claimed.id)).toEqual(['failed']);
  });
});

describe('cancel', () => {
  const cancelled = ({ id }: { id: string }) => [{ jobId: id, userId: null, reason: 'raced' }];

  test('against complete: the completion is told, and kept', async () => {
    const claimed = await running();
    const answer = await race(
      (on) => store.cancel(on, cancelled(claimed), false),
      () => coordinator.api.complete(claimed, { outcome: 'completed', result: 5 }),
    );
    expect([answer.status, answer.body.code]).toEqual([409, 'job_cancelled']);
    expect(await coordinator.api.attempts(claimed.id)).toMatchObject([
      { outcome: 'cancelled', lateResult: { result: 5 } },
    ]);
  });

  test('after complete is refused', async () => {
    const claimed = await running();
    const answer = await race(
      (on) => store.complete(on, [report(claimed)], false),
      () => coordinator.api.refusal('post', `/jobs/${claimed.id}/cancel`),
    );
    expect(answer).toEqual([409, 'state_conflict']);
    expect((await coordinator.api.job(claimed.id)).status).toBe('completed');
  });

  test('of a job that is just being claimed ends the new attempt', async () => {
    const { job } = await jobIn('pending', coordinator);
    const answer = await race(
      (on) => claimBy(on, job.type),
      () => coordinator.api.post(`/jobs/${job.id}/cancel`),
    );
    expect(answer.status).toBe(200);
    expect(await coordinator.api.job(job.id)).toMatchObject({ status: 'cancelled', attempt: 1 });
    expect(await coordinator.api.attempts(job.id)).toMatchObject([
      { attempt: 1, outcome: 'cancelled', runnerId: 'racer' },
    ]);
  });

  test('under way keeps the job from being claimed', async () => {
    const { job } = await jobIn('pending', coordinator);
    const claims = await whileHeld(
      (on) => store.cancel(on, cancelled(job), false),
      () => coordinator.api.claim({ runnerId: 'second', types: [job.type] }),
    );
    expect(claims).toEqual([]);
    expect(await coordinator.api.claim({ runnerId: 'second', types: [job.type] })).toEqual([]);
    expect(await coordinator.api.job(job.id)).toMatchObject({ status: 'cancelled', attempt: 0 });
  });
});

async function claimBy(on: Session, type: string, count = 1): Promise<store.ClaimedRow[]> {
  const lanes = await coordinator.sql.query<{ id: number; queue: string; priority: number }>(
    'SELECT id, queue, priority FROM lanes WHERE type = $1',
    [type],
  );
  const starts = lanes.map((lane) => ({
    laneId: lane.id,
    queue: lane.queue,
    priority: lane.priority,
    fromPosition: null,
    fromId: null,
    dueForMs: 0,
  }));
  return (
    await store.claim(
      on,
      starts,
      Array.from({ length: count }, () => ({ runnerId: 'racer', claimId: null, leaseMs: 30_000 })),
      false,
    )
  ).claimed;
}

describe('two claims', () => {
  test('of one job: the second gets nothing', async () => {
    const { job } = await jobIn('pending', coordinator);
    const second = await whileHeld(
      (on) => claimBy(on, job.type),
      () => coordinator.api.claim({ runnerId: 'second', types: [job.type] }),
    );
    expect(second).toEqual([]);
    expect(await coordinator.api.job(job.id)).toMatchObject({ runnerId: 'racer', attempt: 1 });
  });

  test('of two jobs: each gets one', async () => {
    const type = uniqueType();
    const ids = [(await coordinator.api.create({ type })).id, (await coordinator.api.create({ type })).id];
    const second = await whileHeld(
      (on) => claimBy(on, type),
      () => coordinator.api.claim({ runnerId: 'second', types: [type], waitMs: 5000 }),
    );
    expect(second.map(({ id }) => id)).toEqual([ids[1]]);
  });

  test('of lanes of two priorities: what is locked in the higher one does not hide what waits in the lower', async () => {
    const type = uniqueType();
    await coordinator.api.create({ type, priority: 10 });
    const low = await coordinator.api.create({ type, priority: 0 });
    const second = await whileHeld(
      (on) => claimBy(on, type),
      () => coordinator.api.claim({ runnerId: 'second', types: [type] }),
    );
    expect(second.map(({ id }) => id)).toEqual([low.id]);
  });
});

test('two monitors count a lost lease once', async () => {
  const claimed = await running();
  await coordinator.sql.expireLease(claimed.id);
  await whileHeld(timeOut, () => expireLeases(coordinator.app.context satisfies Context));
  await coordinator.runMonitor();
  expect(await coordinator.api.job(claimed.id)).toMatchObject({ status: 'pending', failures: 1 });
  expect(await outcomes(claimed.id)).toEqual(['timed_out']);
});

describe('creates', () => {
  const insertion = (type: string, more: Partial<store.InsertJob>): store.InsertJob => ({
    id: randomUUID(),
    type,
    queue: 'default',
    priority: 0,
    laneId: 0,
    arguments: {},
    timeoutMs: 1000,
    maxAttempts: 1,
    orderBlocks: false,
    tags: [],
    ...more,
  });
  const insertUnique = (type: string, uniqueKey: string, id: string) => async (on: Session) => {
    await lockNames(on, [uniqueLock({ type, uniqueKey })]);
    await store.insert(on, [insertion(type, { id, uniqueKey })], []);
  };

  test('with one unique key: the second gets the first one’s job', async () => {
    const [type, id] = [uniqueType(), randomUUID()];
    const answer = await race(insertUnique(type, 'k', id), () =>
      coordinator.api.post('/jobs', { type, uniqueKey: 'k' }),
    );
    expect(answer).toMatchObject({ status: 200, body: { id }, headers: { 'baton-deduplicated': 'true' } });
    expect(await coordinator.sql.count('jobs WHERE type = $1', [type])).toBe(1);
  });

  test('with one unique key, the first rolled back: the second is created', async () => {
    const type = uniqueType();
    const answer = await race(
      insertUnique(type, 'k', randomUUID()),
      () => coordinator.api.post('/jobs', { type, uniqueKey: 'k' }),
      'rollback',
    );
    expect(answer.status).toBe(201);
  });

  test('with one unique key: the second waits from before the first looks for a holder, not only for its row', async () => {
    const [type, key] = [uniqueType(), randomUUID()];
    const other = await coordinator.api.create({ type: uniqueType() });
    await winner.begin();
    await winner.query({ text: "INSERT INTO idempotency_keys VALUES ('', $1, 'hash', $2)", values: [key, other.id] });
    const first = coordinator.api.post<{ id: string }>(
      '/jobs',
      { type, uniqueKey: 'k', uniqueForMs: 60_000 },
      { headers: { 'idempotency-key': key } },
    );
    await winner.hasWaiter();
    const second = coordinator.api.post<{ id: string }>('/jobs', { type, uniqueKey: 'k', uniqueForMs: 60_000 });
    await eventually(
      () => coordinator.sql.count("pg_locks WHERE locktype = 'advisory' AND NOT granted"),
      (waiting) => waiting === 1,
    );
    await winner.rollback();
    expect([(await first).status, (await second).status, (await second).body.id]).toEqual([
      201,
      200,
      (await first).body.id,
    ]);
  });

  test('with the unique key of a job that is being deleted: no idempotency key is kept for it, and the call can be repeated', async () => {
    const [type, key] = [uniqueType(), randomUUID()];
    const holder = await coordinator.api.create({ type, uniqueKey: 'k' });
    const post = () => coordinator.api.post('/jobs', { type, uniqueKey: 'k' }, { headers: { 'idempotency-key': key } });
    const answer = await race((on) => on.query({ text: 'DELETE FROM jobs WHERE id = $1', values: [holder.id] }), post);
    expect(answer).toMatchObject({ status: 503, body: { code: 'unavailable' } });
    expect(await coordinator.sql.count('idempotency_keys WHERE key = $1', [key])).toBe(0);
    expect((await post()).status).toBe(201);
  });

  test('with one idempotency key: the second gets the first one’s job, or a conflict', async () => {
    const [type, id, key] = [uniqueType(), randomUUID(), randomUUID()];
    const other = insertion(type, { id, idempotencyScope: '', idempotencyKey: key, requestHash: 'another request' });
    const answer = await race(
      (on) => store.insert(on, [other], []),
      () => coordinator.api.post('/jobs', { type }, { headers: { 'idempotency-key': key } }),
    );
    expect(answer).toMatchObject({ status: 409, body: { code: 'idempotency_conflict' } });
    expect(await coordinator.sql.count('jobs WHERE type = $1', [type])).toBe(1);
  });

  test('against a retry by hand that takes the unique key back: it gets the retried job', async () => {
    const { job } = await jobIn('failed', coordinator, { uniqueKey: 'again' });
    const retry = (on: Session) => store.retryByHand(on, [{ jobId: job.id, userId: null }]);
    const answer = await race(retry, () => coordinator.api.post('/jobs', { type: job.type, uniqueKey: 'again' }));
    expect(answer).toMatchObject({
      status: 200,
      body: { id: job.id, status: 'pending' },
      headers: { 'baton-deduplicated': 'true' },
    });
  });

  test('against the same retry by hand, with a claim reserved for it: the claim waits on, and gets the retried job', async () => {
    const { job } = await jobIn('failed', coordinator, { uniqueKey: 'again' });
    const claiming = coordinator.api.claim({ runnerId: 'waits', types: [job.type], waitMs: 20_000 });
    const reserve = jest.spyOn(coordinator.app.services.dispatcher, 'reserve');
    await eventually(() => coordinator.app.services.dispatcher.size === 1);
    await coordinator.api.claim({ runnerId: 'looks', types: [uniqueType()] });
    const retry = (on: Session) => store.retryByHand(on, [{ jobId: job.id, userId: null }]);
    const answer = await race(retry, () => coordinator.api.post('/jobs', { type: job.type, uniqueKey: 'again' }));
    expect(answer).toMatchObject({ status: 200, body: { id: job.id } });
    expect(reserve.mock.results).toMatchObject([{ value: { offers: [{ runnerId: 'waits' }] } }]);
    reserve.mockRestore();
    expect((await claiming).map(({ id }) => id)).toEqual([job.id]);
    expect(await coordinator.sql.count('jobs WHERE type = $1', [job.type])).toBe(1);
  });

  test('in one atomic list, against the same retry by hand', async () => {
    const { job } = await jobIn('failed', coordinator, { uniqueKey: 'again' });
    const retry = (on: Session) => store.retryByHand(on, [{ jobId: job.id, userId: null }]);
    const answer = await race(retry, () =>
      coordinator.api.post('/jobs/bulk', { jobs: [{ type: job.type, uniqueKey: 'again' }, { type: job.type }] }),
    );
    expect(answer).toMatchObject({ status: 201, body: { jobs: [{ id: job.id }, { type: job.type }] } });
  });

  test('a retry by hand of a job whose unique key is just taken is refused', async () => {
    const { job } = await jobIn('failed', coordinator, { uniqueKey: 'taken' });
    const answer = await race(insertUnique(job.type, 'taken', randomUUID()), () =>
      coordinator.api.refusal('post', `/jobs/${job.id}/retry`),
    );
    expect(answer).toEqual([409, 'state_conflict']);
    expect((await coordinator.api.job(job.id)).status).toBe('failed');
  });
});
