import type { Job } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

// What follows a commit may fail; what was committed must not be told as refused, for the caller would send it again.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

/** Lets every statement that places jobs in their order, or lets held ones go, fail while `work` is under way. */
const withoutPlacing = <T>(work: () => Promise<T>) =>
  without(/UPDATE jobs j SET (position|hold)|hold = NULL|SET position/, work);

async function without<T>(statements: RegExp, work: () => Promise<T>): Promise<{ done: T; failed: number }> {
  const { db } = coordinator.app.context;
  const pools = [db, db.hot].map((pool) => ({ pool, query: pool.query }));
  let failed = 0;
  for (const { pool, query } of pools) {
    pool.query = <Row>(statement: Parameters<typeof query>[0]): Promise<Row[]> => {
      if (!statements.test(statement.text)) return query<Row>(statement);
      failed += 1;
      return Promise.reject(new Error('not now'));
    };
  }
  try {
    return { done: await work(), failed };
  } finally {
    for (const { pool, query } of pools) pool.query = query;
  }
}

const warned = () =>
  coordinator.logged.filter(({ message }) => message === 'what follows a transition is left to the loop').length;
const stored = (type: string) => coordinator.sql.count('jobs WHERE type = $1', [type]);

describe('when placing fails after the commit', () => {
  test('a create that replaces a waiting job is told, and done once; the loop does the rest', async () => {
    const type = uniqueType();
    const first = await coordinator.api.create({ type, uniqueKey: 'u', delayMs: 3_600_000 });
    const before = warned();
    const { done, failed } = await withoutPlacing(() =>
      coordinator.api.post<Job>('/jobs', { type, uniqueKey: 'u', onConflict: 'replace', arguments: { newer: true } }),
    );
    expect([done.status, done.body.id, failed > 0, warned() > before]).toEqual([200, first.id, true, true]);
    expect(await stored(type)).toBe(1);
    const claimed = await coordinator.api.claim({ runnerId: 'r', types: [type], waitMs: 20_000 });
    expect(claimed.map((job) => [job.id, job.arguments])).toEqual([[first.id, { newer: true }]]);
  });

  test('a create whose key is busy is told and stored once', async () => {
    const [type, queue] = [uniqueType(), uniqueType('queue')];
    expectStatus(await coordinator.api.call('put', `/queues/${queue}`, { json: { concurrencyPerKey: 1 } }), 200);
    await coordinator.api.create({ type, queue, concurrencyKey: 'k' });
    const [running] = await coordinator.api.claim({ runnerId: 'r', types: [type] });
    const { done, failed } = await withoutPlacing(() =>
      coordinator.api.post<Job>('/jobs', { type, queue, concurrencyKey: 'k' }),
    );
    expect([done.status, failed > 0, await stored(type)]).toEqual([201, true, 2]);
    if (running === undefined) throw new Error('a running job was wanted');
    // Nor is a report, which lets the next of its key go.
    const report = await withoutPlacing(() => coordinator.api.complete(running));
    expect([report.done.status, report.failed > 0]).toEqual([200, true]);
    for (let round = 0; round < 6; round += 1) await coordinator.app.loops.due.runOnce();
    expect((await coordinator.api.claimOne({ runnerId: 'r', types: [type] })).id).toBe(done.body.id);
  });
});

test('when a repeated one cannot be looked up, those that were stored with it are told, and stored once', async () => {
  const type = uniqueType();
  const repeated = { type, delayMs: 3_600_000 };
  const first = await coordinator.api.post<Job>('/jobs', repeated, { headers: { 'idempotency-key': type } });
  const fresh = { type: uniqueType() };
  const jobs = [{ ...repeated, idempotencyKey: type }, fresh];
  const create = () => coordinator.api.post<{ jobs: Record<string, unknown>[] }>('/jobs/bulk', { atomic: false, jobs });
  const { done, failed } = await without(/JOIN idempotency_keys/, create);
  expect([done.status, failed, await stored(fresh.type)]).toEqual([201, 1, 1]);
  expect(done.body.jobs).toMatchObject([{ code: 'unavailable' }, fresh]);
  expect((await create()).body.jobs[0]).toMatchObject({ id: first.body.id });
});

describe('a listener that throws', () => {
  test('harms no call: jobs are created, claimed and completed once, and the fault is logged', async () => {
    const { events, notifications } = coordinator.app.context;
    let thrown = 0;
    const fail = (): never => {
      thrown += 1;
      throw new Error('this listener is broken');
    };
    events.on(fail);
    for (const name of ['ready', 'due', 'finished', 'freed'] as const) notifications.on(name, fail);
    const heard: string[] = [];
    events.on((batch) => heard.push(...batch.map(({ name }) => name)));
    const type = uniqueType();
    const answers = await Promise.all(Array.from({ length: 5 }, () => coordinator.api.post('/jobs', { type })));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 201));
    expect(await stored(type)).toBe(5);
    const jobs = await coordinator.api.claim({ runnerId: 'r', types: [type], max: 5 });
    expect(jobs).toHaveLength(5);
    for (const job of jobs) expect((await coordinator.api.complete(job)).status).toBe(200);
    await eventually(() => heard.filter((name) => name === 'job.completed').length === 5);
    expect(thrown).toBeGreaterThan(10);
    expect(
      coordinator.logged.filter(({ message }) => message === 'a listener of events failed').length,
    ).toBeGreaterThan(0);
  });
});
