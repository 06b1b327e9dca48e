import { setTimeout as sleep } from 'node:timers/promises';
import type { Sample } from '../result';
import type { Baton } from '../rig/baton';
import type { Bench } from '../rig/bench';
import type { Database, Statement } from '../rig/postgres';
import { NotOnceError, requireOnce, requireStored, type Sightings } from '../verify';
import { fill } from './create';
import type { Line } from './line';

const JOBS_PER_CLAIM = 100;
const WARM_UP_CLAIMS = 5;

export const backlog: Line = {
  name: 'backlog',
  what: 'What a claim of 100 jobs takes when many jobs wait, and when many finished ones are kept, against when few do.',
  measures: [
    { name: 'many wait', unit: 'ms/claim', better: 'less', aim: { ratio: 1 / 1.2 }, against: 'few wait' },
    { name: 'many finished', unit: 'ms/claim', better: 'less', aim: { ratio: 1 / 1.2 }, against: 'few wait' },
    {
      name: 'many wait, buffers',
      unit: 'buffers/job',
      better: 'less',
      aim: { ratio: 1 / 1.2 },
      against: 'few wait, buffers',
    },
    {
      name: 'many finished, buffers',
      unit: 'buffers/job',
      better: 'less',
      aim: { ratio: 1 / 1.2 },
      against: 'few wait, buffers',
    },
  ],
  async ours(bench) {
    const waiting = await bench.withBaton(async (baton) => {
      const type = baton.freshType();
      await fill(baton, type, bench.sizes.backlog.few);
      const few = await claimFrom(bench, baton, type, 'few wait');
      await multiply(baton, type, 'pending', bench.sizes.backlog.many);
      return { ...few, ...(await claimFrom(bench, baton, type, 'many wait')) };
    });
    const finished = await bench.withBaton(async (baton) => {
      const type = baton.freshType();
      await finishOne(baton, type);
      await multiply(baton, type, 'completed', bench.sizes.backlog.many);
      await fill(baton, type, bench.sizes.backlog.few);
      return claimFrom(bench, baton, type, 'many finished');
    });
    return { ...waiting, ...finished };
  },
  peers: {},
};

export const pinned: Line = {
  name: 'pinned',
  what: 'Jobs created at one coordinator and run by a runner of another at a steady rate while an old snapshot is held open: what the statements that claim read for each job, at the end.',
  measures: [
    { name: '', unit: 'buffers/job', better: 'less', aim: { most: 200 } },
    { name: 'not pinned', unit: 'buffers/job', better: 'less', aim: null },
    { name: 'all statements', unit: 'buffers/job', better: 'less', aim: null },
  ],
  async ours(bench) {
    const held = await steady(bench, true);
    const free = await steady(bench, false);
    return { ...held, 'not pinned': free[''] ?? NaN };
  },
  peers: {
    'graphile-worker': (bench) => steadyPeer(bench, 'graphile-worker'),
    'pg-boss': (bench) => steadyPeer(bench, 'pg-boss'),
  },
};

async function claimFrom(bench: Bench, baton: Baton, type: string, name: string): Promise<Sample> {
  const { few, claims } = bench.sizes.backlog;
  // Autovacuum would do this in time; without it the first claims pay for the rows that were just created.
  await baton.database.query('VACUUM (ANALYZE) jobs');
  await baton.database.forgetStatements();
  const warmUp = Math.min(WARM_UP_CLAIMS, claims);
  const found = await baton.run('claim', { type, warmUp, claims, total: few + bench.sizes.backlog.many });
  const claimed = (warmUp + claims) * JOBS_PER_CLAIM;
  if (found['claimed'] !== claimed || found['repeated'] !== 0 || found['strays'] !== 0)
    throw new NotOnceError(`baton: claims gave ${JSON.stringify(found)}`);
  const buffers = readBuffers(await baton.database.statements())[''] ?? NaN;
  return { [name]: Number(found['claimMs']), [`${name}, buffers`]: buffers };
}

/**
 * Copies a job of this type and status until there are `total` more; their numbers continue. Done in SQL, which is
 * faster than creating them normally. Their ids ascend in time like real ones, because a correlation with the physical
 * order makes index scans cheap for the planner.
 */
async function multiply(baton: Baton, type: string, status: 'pending' | 'completed', total: number): Promise<void> {
  const { database } = baton;
  const columns = await database.query<{ name: string }>(
    `SELECT quote_ident(column_name) AS name FROM information_schema.columns WHERE table_name = 'jobs' AND table_schema = 'baton'`,
  );
  const own = new Map([
    ['id', 'uuidv7()'],
    ['arguments', `json_build_object('n', ${status === 'pending' ? '$1::int + ' : '-'}i - 1)`],
  ]);
  const values = columns.map(({ name }) => own.get(name) ?? `j.${name}`);
  const first = status === 'pending' ? await numberOfNext(database, type) : 0;
  await database.query(
    `INSERT INTO jobs (${columns.map(({ name }) => name).join(', ')}) SELECT ${values.join(', ')}
     FROM (SELECT * FROM jobs WHERE type = $2 AND status = '${status}' LIMIT 1) j, generate_series(1, ${total}) i WHERE $1::int >= 0`,
    [first, type],
  );
}

async function numberOfNext(database: Database, type: string): Promise<number> {
  const rows = await database.query<{ next: number }>(
    `SELECT max((arguments ->> 'n')::int) + 1 AS next FROM jobs WHERE type = $1`,
    [type],
  );
  return rows[0]?.next ?? 0;
}

async function finishOne(baton: Baton, type: string): Promise<void> {
  await fill(baton, type, 1);
  const found = await baton.run('drain', { type, total: 1, runners: 1, concurrency: 1 });
  requireOnce('baton', 1, found['sightings'] as Sightings);
}

function steady(bench: Bench, isPinned: boolean): Promise<Sample> {
  const { perSecond, holdMs } = bench.sizes.pinned;
  return bench.withBaton(
    async (baton) => {
      const type = baton.freshType();
      const actor = baton.act('steady', { type, perSecond, forMs: holdMs });
      try {
        const sample = await watch(bench, baton.database, actor.next('started', 60_000), isPinned);
        const found = await actor.next('done', 120_000);
        const total = Math.round((perSecond * holdMs) / 1000);
        requireOnce('baton', total, found['sightings'] as Sightings);
        await requireStored(baton.database.url, { type, total, status: 'completed' });
        return sample;
      } finally {
        await actor.stop();
      }
    },
    { coordinators: 2 },
  );
}

async function steadyPeer(bench: Bench, script: string): Promise<Sample> {
  const { perSecond, holdMs } = bench.sizes.pinned;
  const order = { task: 'steady', perSecond, forMs: holdMs, count: Math.round((perSecond * holdMs) / 1000) };
  const found = await bench.withPostgresPeer(script, order, (database, started) =>
    watch(bench, database, started, true),
  );
  return { '': Number(found['']), 'all statements': Number(found['all statements']) };
}

/** Measures the cost of statements in the last part of the time in which jobs flow. */
async function watch(bench: Bench, database: Database, started: Promise<unknown>, isPinned: boolean): Promise<Sample> {
  const { holdMs, windowMs } = bench.sizes.pinned;
  await started;
  const release = isPinned ? await database.pin() : undefined;
  try {
    await sleep(holdMs - windowMs);
    await database.forgetStatements();
    // Ends while jobs are still being created.
    await sleep(windowMs * 0.9);
    return readBuffers(await database.statements());
  } finally {
    await release?.();
  }
}

/** Pages read per claimed job. All three systems claim with SKIP LOCKED, and use it for little else. */
function readBuffers(statements: Statement[]): Sample {
  const claims = statements.filter(({ query }) => /skip locked/i.test(query));
  const sum = (some: Statement[], field: 'buffers' | 'rows') =>
    some.reduce((total, statement) => total + statement[field], 0);
  const jobs = sum(claims, 'rows');
  return { '': sum(claims, 'buffers') / jobs, 'all statements': sum(statements, 'buffers') / jobs };
}
