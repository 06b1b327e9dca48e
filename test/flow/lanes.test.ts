import { randomUUID } from 'node:crypto';
import type { CreateJob, Job } from '@baton/runner-sdk/protocol';
import { forgetIdleLanes } from '../../coordinator/domain/jobs/lanes';
import { LaneCatalog } from '../../coordinator/state/lanes';
import { ReadyLanes } from '../../coordinator/state/ready-lanes';
import type { Db, Executor } from '../../coordinator/store/db';
import * as store from '../../coordinator/store/jobs';
import * as lanes from '../../coordinator/store/lanes';
import { expectStatus } from '../support/api';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import { Explainer } from './explained';
import { Stage } from './stage';

// A lane costs what is in turn in it; one that is empty costs nothing, and nobody can make any number of them.

let stage: Stage;
let explainer: Explainer;
beforeAll(async () => {
  stage = await Stage.open();
  explainer = await Explainer.connect(stage.sql.url);
});
afterAll(async () => {
  await explainer.end();
  await stage.close();
});

const context = () => stage.one.app.context;
const TABLES = ['jobs', 'lanes'];

/** Empty lanes of a queue, as jobs leave them that were claimed. */
async function makeEmpty(queue: string, count: number): Promise<void> {
  await stage.sql.query(
    `INSERT INTO lanes (queue, type, priority, key, made_by, made_at)
     SELECT $1, 't', 0, $1 || n, 'somebody', now() - interval '2 hours' FROM generate_series(1, $2::int) n`,
    [queue, count],
  );
}

/** What the statements touched that one call ran on the store, as a sum. */
async function buffersOf(run: (db: Executor) => Promise<unknown>): Promise<number> {
  return (await explainer.cost(run, 'generic', TABLES)).buffers;
}

test('a job of a user costs the same however many lanes its queue has', async () => {
  const queue = await stage.queue();
  const [job] = await stage.create(queue, 1, { userId: 'u1' });
  const laneId = (await stage.sql.one<{ id: number }>('SELECT lane_id AS id FROM jobs WHERE id = $1', [job?.id])).id;
  const insertOne = () =>
    buffersOf((db) =>
      store.insert(
        db,
        [
          {
            id: randomUUID(),
            type: 'work',
            queue,
            priority: 0,
            laneId,
            arguments: {},
            timeoutMs: 1000,
            maxAttempts: 1,
            orderBlocks: false,
            tags: [],
            userId: 'u2',
          },
        ],
        [],
      ),
    );
  const before = await insertOne();
  await makeEmpty(queue, 2000);
  expect(await insertOne()).toBeLessThan(before + 20);
});

test('a claim reads a bounded number of lanes, the first ones, however many have jobs in turn', async () => {
  const many = Array.from({ length: 10_000 }, (_, id) => ({ id, priority: id % 2 }));
  const ready = new ReadyLanes();
  ready.sync(
    many.map(({ id }) => ({ laneId: id, position: new Date(20_000 - id), id: randomUUID(), isClosed: false })),
    ready.now,
  );
  expect(ready.first(many, 3).map(({ id }) => id)).toEqual([9999, 9997, 9995]);
  expect(ready.first(many.slice(0, 3), 3)).toEqual(many.slice(0, 3));

  const type = uniqueType();
  const jobs = Array.from({ length: 300 }, (_, n): CreateJob => ({ type, queue: `${type}-${n}` }));
  for (const job of jobs) await stage.one.api.create(job);
  const { lanes: catalog, readyLanes } = context();
  await catalog.learn((await lanes.heads(context().db)).map(({ laneId }) => laneId));
  const taken = readyLanes.among(catalog.takenBy({ types: [type], labels: {} }));
  expect(taken).toHaveLength(300);
  const starts = (some: typeof taken) =>
    some.map(({ id: laneId, queue, priority }) => ({
      laneId,
      queue,
      priority,
      fromPosition: null,
      fromId: null,
      dueForMs: 0,
    }));
  const slot = { runnerId: 'r', claimId: 'c', leaseMs: 30_000 };
  const cost = (some: typeof taken) => buffersOf((db) => store.claim(db, starts(some), [slot], false));
  expect(await cost(readyLanes.first(taken, 64))).toBeLessThan((await cost(taken)) / 3);
  // And all of them have their turn.
  const claimed = new Set<string>();
  while (claimed.size < 300)
    for (const one of await stage.one.api.claim({ runnerId: 'r', types: [type], max: 50, waitMs: 5000 }))
      claimed.add(one.id);
}, 60_000);

test('a lane that nobody needs is forgotten, and found again when a job comes into it', async () => {
  const [queue, type] = [await stage.queue(), uniqueType()];
  await makeEmpty(queue, 50);
  const waits = await stage.one.api.create({ type, queue });
  const done = await stage.one.api.create({ type: uniqueType(), queue: uniqueType('done') });
  await stage.one.api.claimOne({ runnerId: 'r', types: [done.type] });
  await stage.sql.query("UPDATE lanes SET made_at = now() - interval '2 hours'");
  await forgetIdleLanes(context());
  expect(await stage.sql.query('SELECT type FROM lanes WHERE queue = ANY ($1)', [[queue, done.queue]])).toEqual([
    { type },
  ]);

  // The row of one with a job is gone too, and a coordinator that never heard of it finds it by the job.
  await stage.sql.query('DELETE FROM lanes');
  const stranger = new LaneCatalog(context().db);
  await stranger.learn((await lanes.heads(context().db)).map(({ laneId }) => laneId));
  expect(stranger.takenBy({ types: [type], labels: {} })).toMatchObject([{ queue, type, priority: 0 }]);
  const [figures] = expectStatus(
    await stage.two.api.get<{ items: { name: string; waiting: number }[] }>('/queues'),
    200,
  ).items.filter(({ name }) => name === queue);
  expect(figures).toMatchObject({ waiting: 1 });
  expect((await stage.two.api.claimOne({ runnerId: 'r', types: [type] })).id).toBe(waits.id);
});

test('what is forgotten in memory is made anew, and what has jobs is not forgotten', async () => {
  const routing = { queue: 'q', type: 't', priority: 0, requires: null, prefers: null };
  const key = JSON.stringify(['q', 't', 0, null]);
  const made: string[] = [];
  const query = ({ text }: { text: string }) => {
    if (!text.includes('INSERT INTO lanes')) return Promise.resolve([{ ...routing, id: made.length, key }]);
    made.push(key);
    return Promise.resolve([]);
  };
  const catalog = new LaneCatalog({ query } as unknown as Db);
  const [lane] = await catalog.of([routing]);
  await catalog.of([routing]);
  expect(made).toHaveLength(1);
  expect(catalog.forget(() => true, 0)).toEqual([]);
  expect(catalog.forget(() => false, 0)).toEqual([lane?.id]);
  expect([catalog.ofQueues(['q']), catalog.takenBy({ types: ['t'], labels: {} })]).toEqual([[], []]);
  await catalog.of([routing]);
  expect(made).toHaveLength(2);
});

test('a lane that two calls ask for at once is forgotten as a whole', async () => {
  const routing = { queue: 'q', type: 't', priority: 0, requires: null, prefers: null };
  const key = JSON.stringify(['q', 't', 0, null]);
  const query = ({ text }: { text: string }) =>
    Promise.resolve(text.includes('INSERT INTO lanes') ? [] : [{ ...routing, id: 1, key }]);
  const catalog = new LaneCatalog({ query } as unknown as Db);
  await Promise.all([catalog.of([routing]), catalog.of([routing])]);
  catalog.forget(() => false, 0);
  const [lane] = await catalog.of([routing]);
  expect(catalog.takenBy({ types: ['t'], labels: {} })).toEqual([lane]);
});

test('a lane that is removed while it is asked for is made anew, and nobody is refused for it', async () => {
  const { db } = context();
  const routing = { queue: uniqueType('q'), type: 't', priority: 0, requires: null, prefers: null };
  await new LaneCatalog(db).of([routing]);
  const query = async (statement: Parameters<Executor['query']>[0]): Promise<unknown> => {
    const rows = await db.query(statement);
    if (removes && statement.text.includes('INSERT INTO lanes')) {
      removes = false;
      await stage.sql.query('DELETE FROM lanes WHERE queue = $1', [routing.queue]);
    }
    return rows;
  };
  let removes = true;
  const [lane] = await new LaneCatalog({ query } as unknown as Db).of([routing]);
  expect(lane).toMatchObject(routing);
});

test('one user cannot make any number of lanes, and others still can', async () => {
  const key = (userId: string) => ({ name: userId, role: 'user', userId });
  const [greedy, other] = await Promise.all(
    ['greedy', 'other'].map(async (userId) => {
      const { key: secret } = expectStatus(await stage.one.api.post<{ key: string }>('/api-keys', key(userId)), 201);
      return stage.one.api.as(secret);
    }),
  );
  if (greedy === undefined || other === undefined) throw new Error('two keys');
  await stage.sql.query(
    "INSERT INTO lanes (queue, type, priority, key, made_by, made_at) SELECT 'g', 't', 0, 'g' || n, 'user:greedy', now() FROM generate_series(1, 998) n",
  );
  const jobs = Array.from({ length: 5 }, (_, n) => ({ type: uniqueType(`t${n}`) }));
  const { jobs: results } = expectStatus(
    await greedy.post<{ jobs: (Job | { code: string })[] }>('/jobs/bulk', { jobs, atomic: false }),
    201,
  );
  const codes = results.map((one) => ('code' in one ? one.code : one.status));
  expect(codes.sort()).toEqual(['pending', 'pending', 'rate_limited', 'rate_limited', 'rate_limited']);
  expect(await greedy.refusal('post', '/jobs', { type: uniqueType() })).toEqual([429, 'rate_limited']);
  expectStatus(await greedy.post('/jobs', { type: results.flatMap((one) => ('type' in one ? one.type : []))[0] }), 201);
  expectStatus(await other.post('/jobs', { type: uniqueType() }), 201);
  await eventually(
    () => stage.sql.count("lanes WHERE made_by = 'user:greedy'"),
    (count) => count === 1000,
  );
});
