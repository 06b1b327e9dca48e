import type { Lane } from '../../coordinator/state/lanes';
import type { Executor } from '../../coordinator/store/db';
import * as store from '../../coordinator/store/jobs';
import { Explainer } from '../flow/explained';
import { Stage } from '../flow/stage';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

// Queues that are paused or full cost the claims of others nothing, however many lanes they have and jobs wait in them.

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

const LANES = 200;
const context = () => stage.one.app.context;

/** Jobs of so many lanes, each with two. */
async function fill(queue: string, type: string): Promise<void> {
  await stage.create(queue, LANES * 2, (n) => ({ type, priority: (n % LANES) - 100 }));
}

/** A queue that starts nothing more. */
const CLOSE: Record<string, (queue: string, type: string) => Promise<unknown>> = {
  paused: (queue) => stage.one.api.post(`/queues/${queue}/pause`, {}),
  'full by its concurrency': async (queue, type) => {
    await stage.set(queue, { concurrency: 1 });
    expect(await stage.claim(queue, 5, { types: [type] })).toHaveLength(1);
  },
  'full by its rate': async (queue, type) => {
    await stage.set(queue, { rateLimit: { max: 1, perMs: 3_600_000 } });
    expect(await stage.claim(queue, 5, { types: [type] })).toHaveLength(1);
  },
};

const lanesOf = (type: string): Lane[] => context().lanes.takenBy({ types: [type], labels: {} });

/** Counts what this coordinator asks the table for claims, and how often it looks which lanes are ready. */
function countStatements(): { claims: () => number; polls: () => number; end: () => void } {
  const { db } = context();
  const { query: ofHot, transaction } = db.hot;
  const { query: ofAll } = db;
  let [claims, polls] = [0, 0];
  const look = (text: string): void => {
    if (text.includes('claimed AS')) claims += 1;
    if (text.includes('"isClosed"')) polls += 1;
  };
  Object.assign(db.hot, {
    query: (statement: Parameters<Executor['query']>[0]) => (look(statement.text), ofHot(statement)),
    transaction: (run: (executor: Executor) => Promise<unknown>) =>
      transaction((executor) => run({ query: (statement) => (look(statement.text), executor.query(statement)) })),
  });
  Object.assign(db, {
    query: (statement: Parameters<Executor['query']>[0]) => (look(statement.text), ofAll(statement)),
  });
  const end = (): void => {
    Object.assign(db.hot, { query: ofHot, transaction });
    Object.assign(db, { query: ofAll });
  };
  return { claims: () => claims, polls: () => polls, end };
}

test.each(Object.entries(CLOSE))('lanes of a queue that is %s are not claimed from', async (_how, close) => {
  const [queue, open, type] = [await stage.queue(), await stage.queue(), uniqueType()];
  await fill(queue, type);
  await close(queue, type);
  const waiting = stage.one.api.claim({ runnerId: 'r', types: [type], queues: [queue, open], waitMs: 30_000 });
  const count = countStatements();
  try {
    await eventually(() => count.polls() >= 1);
    // Notifications of the creates and of the claim before may still have come.
    await eventually(() => context().readyLanes.among(lanesOf(type)).length === 0);
    const [claims, polls] = [count.claims(), count.polls()];
    await eventually(() => count.polls() >= polls + 3);
    // One for a notification that was still under way.
    expect(count.claims()).toBeLessThanOrEqual(claims + 1);
    await stage.create(open, 1, { type });
    expect((await waiting).map((job) => job.queue)).toEqual([open]);
  } finally {
    count.end();
  }
});

test.each(Object.entries(CLOSE))(
  'a claim that meets lanes of a queue that is %s reads no job of them',
  async (_how, close) => {
    const [queue, type] = [await stage.queue({ concurrency: 1000 }), uniqueType()];
    await fill(queue, type);
    await close(queue, type);
    const starts = lanesOf(type).map(({ id: laneId, priority }) => ({
      laneId,
      queue,
      priority,
      fromPosition: null,
      fromId: null,
      dueForMs: 0,
    }));
    expect(starts).toHaveLength(LANES);
    const slots = Array.from({ length: 50 }, () => ({ runnerId: 'r', claimId: null, leaseMs: 30_000 }));
    // Those that run are counted.
    expect((await explainer.cost((db) => store.claim(db, starts, slots, true), 'generic')).rows).toBeLessThanOrEqual(2);
  },
);

test('one statement that finds a queue full makes all of its lanes rest', async () => {
  const [queue, type] = [await stage.queue(), uniqueType()];
  await stage.set(queue, { concurrency: 1 });
  await fill(queue, type);
  expect(await stage.claim(queue, 1, { types: [type] })).toHaveLength(1);
  const { readyLanes } = context();
  const count = countStatements();
  try {
    const waiting = stage.claim(queue, 1, { types: [type], waitMs: 30_000 });
    await eventually(() => readyLanes.among(lanesOf(type)).length === 0);
    const before = count.claims();
    readyLanes.reopen(lanesOf(type).map(({ id }) => id));
    await stage.create(queue, 1, { type });
    await eventually(() => readyLanes.among(lanesOf(type)).length === 0);
    expect(count.claims() - before).toBeLessThanOrEqual(2);
    await stage.set(queue, { concurrency: 2 });
    expect(await waiting).toHaveLength(1);
  } finally {
    count.end();
  }
});
