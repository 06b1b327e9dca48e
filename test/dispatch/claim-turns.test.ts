import { setMaxListeners } from 'node:events';
import type { Claim, Job } from '@baton/runner-sdk/protocol';
import { claim as claimJobs } from '../../coordinator/domain/jobs/claim';
import { BatonError } from '../../coordinator/errors';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

// Claims of runners that take different jobs share four statements, and those of runners that differ in labels the jobs
// that are handed over.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

test('runners whose jobs are few get them while others, who came first, have a backlog that never ends', async () => {
  const [many, few] = [uniqueType('many'), uniqueType('few')];
  const { services, context } = coordinator.app;
  const { hot } = context.db;
  const under: (() => void)[] = [];
  context.db.hot = {
    ...hot,
    query: async <Row>(statement: Parameters<typeof hot.query>[0]): Promise<Row[]> => {
      if (statement.text.includes('AS a ("runnerId", "claimHash"'))
        await new Promise<void>((resolve) => under.push(resolve));
      return hot.query<Row>(statement);
    },
  };
  const gone = new AbortController();
  setMaxListeners(0, gone.signal);
  const answered: string[] = [];
  const take = (type: string, runnerId: string): void => {
    const claim: Claim = { runnerId, types: [type], labels: {}, max: 50, waitMs: 20_000, leaseMs: 30_000 };
    void services.dispatcher
      .claim(claim, gone.signal)
      .then((jobs) => answered.push(...(jobs.length === 0 ? [] : [runnerId])));
  };
  await coordinator.api.post('/jobs/bulk', { jobs: Array.from({ length: 500 }, () => ({ type: many })) });
  await coordinator.api.create({ type: few });
  for (let nth = 1; nth <= 4; nth += 1) {
    take(many, `many-${nth}`);
    await eventually(() => under.length === nth);
  }
  take(many, 'many-5');
  take(few, 'few');
  under.shift()?.();
  await eventually(() => under.length === 4);
  take(many, 'many-6');
  for (const end of under.splice(0)) end();
  await eventually(() => answered.length === 5);
  expect(answered).toContain('few');
  context.db.hot = hot;
  for (const end of under) end();
  gone.abort();
  await eventually(() => services.dispatcher.size === 0);
});

test('a job is handed to the runner that waits, not again to the one that came first and has had one since', async () => {
  const type = uniqueType();
  const { services } = coordinator.app;
  const ask = async (runnerId: string, labels: Claim['labels'], count: number) => {
    const answer = coordinator.api.claim({ runnerId, types: [type], labels, waitMs: 20_000 });
    await eventually(() => services.dispatcher.size === count);
    // An empty answer comes after a poll, which was for all claims that wait.
    await coordinator.api.claim({ runnerId: 'looks', types: [uniqueType()] });
    return { answer };
  };
  const first = await ask('first', {}, 1);
  const other = await ask('other', { zone: 'b' }, 2);
  const ids = [(await coordinator.api.create({ type })).id];
  expect(await first.answer).toMatchObject([{ id: ids[0] }]);
  const again = await ask('first', {}, 2);
  for (let nth = 0; nth < 2; nth += 1) ids.push((await coordinator.api.create({ type })).id);
  expect([(await other.answer)[0]?.id, (await again.answer)[0]?.id]).toEqual(ids.slice(1));
});

test('a lane that was not read, because reading another failed, is not believed to be empty', async () => {
  const type = uniqueType();
  const { context } = coordinator.app;
  const { hot } = context.db;
  const [, locked] = expectStatus(
    await coordinator.api.post<{ jobs: Job[] }>('/jobs/bulk', {
      jobs: [{ type, priority: 1 }, { type, priority: 1 }, { type }],
    }),
    201,
  ).jobs;
  const session = await coordinator.sql.session();
  await session.begin();
  await session.query({ text: 'SELECT FROM jobs WHERE id = $1 FOR UPDATE', values: [locked?.id] });
  const lanes = context.lanes.takenBy({ types: [type], labels: {} });
  context.db.hot = {
    ...hot,
    query: (statement) => {
      context.db.hot = { ...hot, query: () => Promise.reject(new BatonError('unavailable', 'no connection')) };
      return hot.query(statement);
    },
  };
  const slots = ['a', 'b'].map((runnerId) => ({ runnerId, claimId: null, leaseMs: 30_000 }));
  expect((await claimJobs(context, lanes, {}, slots)).rows).toHaveLength(1);
  context.db.hot = hot;
  expect(context.readyLanes.among(lanes)).toEqual(lanes);
  await session.rollback();
  await session.end();
});
