import { randomUUID } from 'node:crypto';
import { openDb, type Db } from '@baton/coordinator/dist/store/db';
import * as store from '@baton/coordinator/dist/store/jobs';
import * as lanes from '@baton/coordinator/dist/store/lanes';
import { migrate } from '@baton/coordinator/dist/store/migrate';
import type { Sample } from '../result';
import type { Bench } from '../rig/bench';
import { familyCpuMs } from '../rig/cpu';
import type { Database } from '../rig/postgres';
import { NotOnceError } from '../verify';
import type { Line } from './line';

/** The coordinator's default number of connections for claims, and for reports. */
const CONNECTIONS = 4;
const LARGE = 500;
const SMALL = 32;
const METRICS = '{"durationMs":1,"cpuMs":1,"memoryPeakBytes":90000000}';

const figure = (name: string, most: number | null) => ({
  name,
  unit: 'µs/job',
  better: 'less' as const,
  aim: most === null ? null : { most },
});

export const storeLine: Line = {
  name: 'store',
  what: "Processor time that PostgreSQL takes for a job, in the store's own statements, 500 or 32 jobs a statement, from four connections, without a coordinator.",
  measures: [
    figure('create 500', 13),
    figure('claim 500', null),
    figure('complete 500', null),
    figure('claim + complete 500', 30),
    figure('create 32', null),
    figure('claim 32', null),
    figure('complete 32', null),
    figure('claim + complete 32', 50),
    figure('heartbeat 500', null),
    figure('fail and retry 500', null),
    figure('hand-off of one', null),
  ],
  async ours(bench) {
    if (familyCpuMs(bench.postgres.pid) === null) return 'this system does not tell the processor time of processes';
    return { ...(await life(bench, LARGE)), ...(await life(bench, SMALL)), ...(await handOff(bench)) };
  },
  peers: {},
};

interface Held {
  jobId: string;
  leaseToken: string;
}

/** The environment of the statements: a database without a coordinator, and a lane in it. */
interface Stage {
  database: Database;
  db: Db;
  laneId: number;
  /** Microseconds of PostgreSQL's CPU time per job. */
  cost(jobs: number, work: () => Promise<void>): Promise<number>;
}

async function withStage<T>(bench: Bench, use: (stage: Stage) => Promise<T>): Promise<T> {
  const database = await bench.postgres.createDatabase();
  const quiet = { info: () => undefined, warn: () => undefined };
  await migrate(database.url, { log: quiet });
  const db = openDb(database.url, { poolSize: 3 * CONNECTIONS, onError: () => undefined });
  try {
    const routing = { queue: 'default', type: 'bench', priority: 0, requires: null, prefers: null };
    const [lane] = await lanes.ensure(db, [{ ...routing, key: 'bench', madeBy: 'bench', most: 1 }]);
    const cost = async (jobs: number, work: () => Promise<void>): Promise<number> => {
      const before = familyCpuMs(bench.postgres.pid) ?? 0;
      await work();
      return (((familyCpuMs(bench.postgres.pid) ?? 0) - before) * 1000) / jobs;
    };
    return await use({ database, db, laneId: lane?.id ?? 0, cost });
  } finally {
    await db.close();
    await database.drop();
  }
}

function life(bench: Bench, batch: number): Promise<Sample> {
  return withStage(bench, async (stage) => {
    const jobs = Math.ceil(bench.sizes.store / batch) * batch;
    // Planning and catalogue reads of a connection's first calls are not part of the cost of a job.
    await run(stage, CONNECTIONS * 10 * batch, batch);
    const { create, claim, complete, heartbeat } = await run(stage, jobs, batch);
    return {
      [`create ${batch}`]: create,
      [`claim ${batch}`]: claim,
      [`complete ${batch}`]: complete,
      [`claim + complete ${batch}`]: claim + complete,
      ...(batch === LARGE
        ? { [`heartbeat ${batch}`]: heartbeat, [`fail and retry ${batch}`]: await retry(stage) }
        : {}),
    };
  });
}

async function run(stage: Stage, jobs: number, batch: number) {
  const { db, cost } = stage;
  const create = await cost(jobs, () => createAll(stage, jobs, batch));
  await settle(stage);
  const held: Held[][] = [];
  const claim = await cost(jobs, () => claimAll(stage, jobs, batch, held));
  const heartbeat = await cost(jobs, () => each(held, (beats) => store.extend(db.vital, beats)));
  await settle(stage);
  const complete = await cost(jobs, () =>
    each(held, (reports) =>
      store.complete(
        db.vital,
        reports.map((report) => ({ ...report, result: 'null', metrics: METRICS })),
        false,
      ),
    ),
  );
  return { create, claim, heartbeat, complete };
}

/** From the end of the claim to the job being ready again. */
async function retry(stage: Stage): Promise<number> {
  const jobs = 20 * LARGE;
  const held: Held[][] = [];
  await createAll(stage, jobs, LARGE);
  await claimAll(stage, jobs, LARGE, held);
  await settle(stage);
  const error = { message: 'made to fail', retryable: true };
  return stage.cost(jobs, async () => {
    await each(held, async (reports) => {
      const failed = { outcome: 'failed', to: 'pending', delayMs: 0, error, fingerprint: null, metrics: null } as const;
      await store.fail(
        stage.db.vital,
        reports.map((report) => ({ ...report, ...failed })),
        false,
      );
      return store.promoteDue(stage.db.hot, [], LARGE);
    });
  });
}

/** Jobs created one by one, each for a waiting claim, and so running at once. */
function handOff(bench: Bench): Promise<Sample> {
  return withStage(bench, async (stage) => {
    const jobs = Math.ceil(bench.sizes.store / 10);
    const work = (count: number) => () =>
      share(count, 1, async () => {
        const job = newJob(stage.laneId, 0);
        const offer = { jobId: job.id, runnerId: 'runner', claimId: randomUUID(), leaseMs: 30_000 };
        const [stored] = await store.insert(stage.db.hot, [job], [], [offer]);
        if (stored === undefined || stored.lease === null)
          throw new NotOnceError('store: a job was not handed to the claim that waited');
      });
    await stage.cost(jobs, work(CONNECTIONS * 10));
    return { 'hand-off of one': await stage.cost(jobs, work(jobs)) };
  });
}

function createAll({ db, laneId }: Stage, jobs: number, batch: number): Promise<void> {
  return share(jobs, batch, async (n) => {
    await store.insert(
      db.hot,
      Array.from({ length: batch }, (_, index) => newJob(laneId, n + index)),
      [],
    );
  });
}

async function claimAll({ db, laneId }: Stage, jobs: number, batch: number, held: Held[][]): Promise<void> {
  // A coordinator remembers where a lane starts: from the last claimed job on.
  let from: Date | null = null;
  await share(jobs, batch, async () => {
    const slot = { runnerId: 'runner', claimId: randomUUID(), leaseMs: 30_000 };
    const start = { laneId, queue: 'default', priority: 0, fromPosition: from, fromId: null, dueForMs: 0 };
    const slots = Array.from({ length: batch }, () => slot);
    const { claimed } = await store.claim(db.hot, [start], slots, false);
    for (const { position } of claimed) if (from === null || position > from) from = position;
    held.push(claimed.map(({ id, leaseToken }) => ({ jobId: id, leaseToken })));
  });
  const claimed = held.reduce((sum, some) => sum + some.length, 0);
  if (claimed !== jobs) throw new NotOnceError(`store: ${claimed} of ${jobs} jobs were claimed`);
}

/** Does what autovacuum would do in time. */
async function settle({ database }: Stage): Promise<void> {
  await database.query('VACUUM ANALYZE');
  await database.query('CHECKPOINT');
}

/** Uses all connections at once, each with the next batch. */
async function share(jobs: number, batch: number, work: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      for (;;) {
        const n = next;
        if (n >= jobs) return;
        next += batch;
        await work(n);
      }
    }),
  );
}

async function each<T>(batches: T[], work: (batch: T) => Promise<unknown>): Promise<void> {
  await share(batches.length, 1, async (n) => {
    const batch = batches[n];
    if (batch !== undefined) await work(batch);
  });
}

function newJob(laneId: number, n: number): store.InsertJob {
  return {
    id: uuidv7(),
    type: 'bench',
    queue: 'default',
    priority: 0,
    laneId,
    arguments: { n },
    timeoutMs: 300_000,
    maxAttempts: 11,
    orderBlocks: false,
    tags: [],
  };
}

/** Ascending in time, like the ids of jobs. */
function uuidv7(): string {
  const time = Date.now().toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}
