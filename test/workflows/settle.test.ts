import type { Job, JobStatus } from '@baton/runner-sdk/protocol';
import { settleEdges } from '../../coordinator/store/workflows/edges';
import * as store from '../../coordinator/store/jobs';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { jobIn, type State, uniqueType } from '../support/factory';
import type { Session } from '../support/sql';
import { dependOn, workflowOf } from './edges';

// What follows the end of a job for those that depend on it, and for its workflow.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let winner: Session;

beforeAll(async () => {
  coordinator = await startCoordinator();
  winner = await coordinator.sql.session();
  // What follows at once is looked at here; what the loop finds has its own tests.
  await coordinator.app.loops.pendingWork.stop();
  await coordinator.app.loops.settle.stop();
});
afterAll(async () => {
  await winner.end();
  await coordinator.stop();
});

const create = (more = {}): Promise<Job> => coordinator.api.create({ type: uniqueType('node'), ...more });

async function childOf(parents: string[], toleratesFailure = false): Promise<Job> {
  const child = await create();
  await dependOn(coordinator.sql, child.id, parents, toleratesFailure);
  return child;
}

const statusOf = async (id: string): Promise<[JobStatus, string | null]> => {
  const { status, reason } = await coordinator.api.job(id);
  return [status, reason];
};

const eventuallyIs = (id: string, status: JobStatus): Promise<unknown> =>
  eventually(
    () => coordinator.api.job(id),
    (job) => job.status === status,
  );

async function claimed(job: Job) {
  return coordinator.api.claimOne({ runnerId: 'r', types: [job.type] });
}

async function finish(job: Job, outcome: 'completed' | 'failed' = 'completed'): Promise<void> {
  const error = { message: 'no', retryable: false };
  expectStatus(
    await coordinator.api.complete(await claimed(job), outcome === 'completed' ? { outcome } : { outcome, error }),
    200,
  );
}

describe('every way in which a parent can end', () => {
  const WAYS: { way: string; end: (parent: Job) => Promise<unknown>; as: 'completed' | 'failed' | 'cancelled' }[] = [
    { way: 'completed', end: (parent) => finish(parent), as: 'completed' },
    { way: 'failed', end: (parent) => finish(parent, 'failed'), as: 'failed' },
    { way: 'cancelled', end: ({ id }) => coordinator.api.post(`/jobs/${id}/cancel`), as: 'cancelled' },
    {
      way: 'cancelled in bulk',
      end: ({ type }) => coordinator.api.post('/jobs/cancel', { filter: { type: [type] } }),
      as: 'cancelled',
    },
    {
      way: 'expired',
      async end({ id }) {
        await coordinator.sql.expireJob(id);
        await coordinator.runMonitor();
      },
      as: 'cancelled',
    },
    {
      way: 'timed out for the last time',
      async end(parent) {
        await claimed(parent);
        await coordinator.sql.query('UPDATE jobs SET max_attempts = 1 WHERE id = $1', [parent.id]);
        await coordinator.sql.expireLease(parent.id);
        await coordinator.runMonitor();
      },
      as: 'failed',
    },
  ];

  test.each(WAYS)('$way: the child is freed or cancelled, and one that tolerates it is freed', async ({ end, as }) => {
    const parent = await create();
    const [strict, tolerant] = [await childOf([parent.id]), await childOf([parent.id], true)];
    await end(parent);
    expect(await statusOf(strict.id)).toEqual(
      as === 'completed' ? ['pending', null] : ['cancelled', `dependency_${as}`],
    );
    expect(await statusOf(tolerant.id)).toEqual(['pending', null]);
    await claimed(tolerant);
  });

  test('a child waits for all of them, but is cancelled with the first that failed', async () => {
    const [one, other] = [await create(), await create()];
    const [strict, tolerant] = [await childOf([one.id, other.id]), await childOf([one.id, other.id], true)];
    await finish(one, 'failed');
    expect(await statusOf(strict.id)).toEqual(['cancelled', 'dependency_failed']);
    expect(await statusOf(tolerant.id)).toEqual(['blocked', null]);
    await finish(other);
    expect(await statusOf(tolerant.id)).toEqual(['pending', null]);
  });

  test('a retried failure does not end it', async () => {
    const parent = await create({ retry: { strategy: 'fixed', baseMs: 0, jitter: 0 } });
    const child = await childOf([parent.id]);
    const lease = await claimed(parent);
    await coordinator.api.complete(lease, { outcome: 'failed', error: { message: 'again' } });
    expect(await statusOf(child.id)).toEqual(['blocked', null]);
    await finish(parent);
    expect(await statusOf(child.id)).toEqual(['pending', null]);
  });
});

test('the last two parents that end at one moment start the child once', async () => {
  const [one, other] = [await create(), await create()];
  const child = await childOf([one.id, other.id]);
  await coordinator.sql.query(
    "UPDATE jobs SET status = 'cancelled', finished_at = now(), position = NULL WHERE id = $1",
    [one.id],
  );
  await coordinator.sql.query('UPDATE dependencies SET tolerates_failure = true WHERE job_id = $1', [child.id]);
  await winner.begin();
  await settleEdges(winner, [one.id], { ofEach: 9, inAll: 9 });
  const locked = await store.lockBlocked(winner, [child.id]);
  // The other's mark is not there yet, so the first leaves the child as it is.
  expect(
    await store.unblock(
      winner,
      locked.map(({ id }) => id),
      null,
    ),
  ).toEqual([]);
  const ended = finish(other);
  await winner.hasWaiter();
  await winner.commit();
  await ended;
  expect(await statusOf(child.id)).toEqual(['pending', null]);
  expect(await coordinator.sql.count('dependencies WHERE job_id = $1 AND outcome IS NULL', [child.id])).toBe(0);
});

test('a child that is cancelled while it is freed ends once', async () => {
  const parent = await create();
  const child = await childOf([parent.id]);
  await winner.begin();
  await store.cancel(winner, [{ jobId: child.id, userId: null, reason: 'first' }], false);
  const ended = finish(parent);
  await winner.hasWaiter();
  await winner.commit();
  await ended;
  expect(await statusOf(child.id)).toEqual(['cancelled', 'first']);
});

test('who reports does not wait for all of many children, and each is freed once', async () => {
  const parent = await create();
  const type = uniqueType('many');
  const created = expectStatus(
    await coordinator.api.post<{ jobs: Job[] }>('/jobs/bulk', {
      jobs: Array(1000).fill({ type, runAt: '2100-01-01T00:00:00Z' }),
    }),
    201,
  ).jobs;
  const ids = created.map(({ id }) => id);
  await coordinator.sql.query('ALTER TABLE jobs DISABLE TRIGGER USER');
  await coordinator.sql.query("UPDATE jobs SET status = 'blocked', run_at = now() WHERE type = $1", [type]);
  await coordinator.sql.query('ALTER TABLE jobs ENABLE TRIGGER USER');
  await coordinator.sql.query('INSERT INTO dependencies (job_id, parent_id) SELECT id, $2 FROM jobs WHERE type = $1', [
    type,
    parent.id,
  ]);
  await coordinator.sql.query('UPDATE jobs SET awaited = true WHERE id = $1', [parent.id]);
  const told = new Map<string, number>();
  coordinator.app.context.events.on((events) => {
    for (const { name, jobId } of events) if (name === 'job.unblocked') told.set(jobId, (told.get(jobId) ?? 0) + 1);
  });
  await finish(parent);
  expect(await coordinator.sql.count("jobs WHERE type = $1 AND status = 'blocked'", [type])).toBeGreaterThan(0);
  await eventually(
    () => coordinator.sql.count('jobs WHERE type = $1 AND position IS NOT NULL', [type]),
    (count) => count === 1000,
  );
  expect([...told]).toHaveLength(1000);
  expect(new Set(told.values())).toEqual(new Set([1]));
  expect([...told.keys()].sort()).toEqual([...ids].sort());
});

test('a failure goes down a long chain', async () => {
  const chain = [await create()];
  for (let length = 1; length < 40; length += 1) chain.push(await childOf([chain.at(-1)?.id ?? '']));
  const [first] = chain;
  if (first === undefined) throw new Error('no chain');
  await finish(first, 'failed');
  await eventuallyIs(chain.at(-1)?.id ?? '', 'cancelled');
  const statuses = await Promise.all(chain.slice(1).map(({ id }) => statusOf(id)));
  expect(new Set(statuses.map(([, reason]) => reason))).toEqual(new Set(['dependency_failed', 'dependency_cancelled']));
});

describe('a retry by hand', () => {
  const retry = (id: string) => coordinator.api.post<Job>(`/jobs/${id}/retry`);

  test('of a child whose parent is unfinished blocks it again', async () => {
    const parent = await create();
    const child = await childOf([parent.id]);
    await finish(parent, 'failed');
    expectStatus(await retry(parent.id), 200);
    expect(expectStatus(await retry(child.id), 200).status).toBe('blocked');
    await finish(parent);
    expect(await statusOf(child.id)).toEqual(['pending', null]);
  });

  test('of a child whose parent failed starts it all the same', async () => {
    const parent = await create();
    const child = await childOf([parent.id]);
    await finish(parent, 'failed');
    expect(expectStatus(await retry(child.id), 200).status).toBe('pending');
    await finish(child);
  });

  test('of both in one call lets the child wait for the parent', async () => {
    const parent = await create({ tags: ['both'] });
    const child = await create({ tags: ['both'] });
    await dependOn(coordinator.sql, child.id, [parent.id]);
    await finish(parent, 'failed');
    expectStatus(await coordinator.api.post('/jobs/retry', { filter: { tag: ['both'] } }), 200);
    expect(await statusOf(child.id)).toEqual(['blocked', null]);
    await finish(parent, 'failed');
    // What was overruled once is not overruled for ever.
    expect(await statusOf(child.id)).toEqual(['cancelled', 'dependency_failed']);
  });

  test('of a child whose parent is gone starts it', async () => {
    const parent = await create();
    const child = await childOf([parent.id]);
    await finish(parent, 'failed');
    expect((await coordinator.api.delete(`/jobs/${parent.id}?purge=true`)).status).toBe(204);
    expect(expectStatus(await retry(child.id), 200).status).toBe('pending');
  });
});

describe('what is needed is not deleted', () => {
  test('a parent of an unfinished job is left by retention and purge, but may be deleted by name', async () => {
    const { job: parent } = await jobIn('completed', coordinator);
    const other = await create();
    const child = await childOf([parent.id, other.id]);
    const { api, app } = coordinator;
    await app.context.followUps.dependants.add([parent.id]);
    const filter = { type: [parent.type] };
    expect((await api.post<{ count: number }>('/jobs/purge', { filter })).body.count).toBe(0);
    expect((await api.delete(`/jobs/${parent.id}?purge=true`)).status).toBe(204);
    await finish(other);
    expect(await statusOf(child.id)).toEqual(['pending', null]);
  });

  test('one whose children do not know yet that it has ended tells them first', async () => {
    const { job: parent } = await jobIn('completed', coordinator);
    const child = await childOf([parent.id]);
    expect((await coordinator.api.delete(`/jobs/${parent.id}?purge=true`)).status).toBe(204);
    expect(await statusOf(child.id)).toEqual(['pending', null]);
  });

  test('a job of a workflow that runs stays until it has ended', async () => {
    const { job: member } = await jobIn('completed', coordinator);
    const other = await create();
    await workflowOf(coordinator.sql, [member.id, other.id]);
    const { api } = coordinator;
    expect(await api.refusal('delete', `/jobs/${member.id}?purge=true`)).toEqual([409, 'state_conflict']);
    expect((await api.post<{ count: number }>('/jobs/purge', { filter: { type: [member.type] } })).body.count).toBe(0);
    await finish(other);
    await coordinator.app.context.followUps.workflows.idle();
    expect((await api.delete(`/jobs/${member.id}?purge=true`)).status).toBe(204);
  });

  test('a deleted child leaves no edges behind', async () => {
    const parent = await create();
    const child = await childOf([parent.id]);
    await coordinator.api.post(`/jobs/${child.id}/cancel`);
    expect((await coordinator.api.delete(`/jobs/${child.id}?purge=true`)).status).toBe(204);
    expect(await coordinator.sql.count('dependencies WHERE job_id = $1', [child.id])).toBe(0);
  });
});

describe('a workflow', () => {
  const workflow = (id: string) =>
    coordinator.sql.one<{ status: string; finished_at: Date | null }>('SELECT * FROM workflows WHERE id = $1', [id]);
  const ended = (id: string) =>
    eventually(
      () => workflow(id),
      ({ status }) => status !== 'running',
    );

  test.each<{ states: State[]; status: string }>([
    { states: ['completed'], status: 'completed' },
    { states: ['completed', 'cancelled'], status: 'cancelled' },
    { states: ['failed', 'cancelled', 'completed'], status: 'failed' },
  ])('of jobs that are $states ends $status with its last job', async ({ states, status }) => {
    const jobs = await Promise.all(states.map(async (state) => (await jobIn(state, coordinator)).job));
    const last = await create();
    const id = await workflowOf(coordinator.sql, [...jobs.map((job) => job.id), last.id]);
    await coordinator.app.context.followUps.workflows.add([id]);
    expect((await workflow(id)).status).toBe('running');
    await finish(last);
    expect((await ended(id)).status).toBe(status);
  });

  test('runs again when one of its jobs is retried', async () => {
    const { job } = await jobIn('failed', coordinator);
    const last = await create();
    const id = await workflowOf(coordinator.sql, [job.id, last.id]);
    await finish(last);
    expect((await ended(id)).status).toBe('failed');
    expectStatus(await coordinator.api.post(`/jobs/${job.id}/retry`), 200);
    expect(await workflow(id)).toMatchObject({ status: 'running', finished_at: null });
    await finish(job);
    expect((await ended(id)).status).toBe('completed');
  });

  test('that ends while one of its jobs is retried runs again', async () => {
    const { job } = await jobIn('failed', coordinator);
    const id = await workflowOf(coordinator.sql, [job.id]);
    await winner.begin();
    // Whoever ends it has its lock, and saw that the job had failed.
    await winner.query({
      text: "UPDATE workflows SET status = 'failed', finished_at = now() WHERE id = $1",
      values: [id],
    });
    const retried = coordinator.api.post(`/jobs/${job.id}/retry`);
    await winner.hasWaiter();
    await winner.commit();
    expectStatus(await retried, 200);
    expect(await workflow(id)).toMatchObject({ status: 'running', finished_at: null });
  });
});

test('the loop finds what a crash left, and does nothing twice', async () => {
  const { sql, app } = coordinator;
  const { job: parent } = await jobIn('completed', coordinator);
  const child = await childOf([parent.id]);
  const orphan = await childOf(['01890000-0000-7000-8000-000000000000']);
  const { job: member } = await jobIn('completed', coordinator);
  const workflowId = await workflowOf(sql, [member.id]);
  await app.loops.settle.runOnce();
  expect(await statusOf(child.id)).toEqual(['pending', null]);
  expect(await statusOf(orphan.id)).toEqual(['cancelled', 'dependency_cancelled']);
  const { status } = await sql.one<{ status: string }>('SELECT status FROM workflows WHERE id = $1', [workflowId]);
  expect(status).toBe('completed');
  const before = await coordinator.api.stored(child.id);
  await app.loops.settle.runOnce();
  expect(await coordinator.api.stored(child.id)).toEqual(before);
});
