import type { Sample } from '../result';
import type { Baton } from '../rig/baton';
import type { Bench } from '../rig/bench';
import { requireOnce, requireStored, type Sightings } from '../verify';
import { fill } from './create';
import { type Line, rate } from './line';

/** How the SDK drains: one runner with this many concurrent jobs. */
const AT_ONCE = { runners: 1, concurrency: 500 };

export const drain: Line = {
  name: 'drain',
  what: 'No-op jobs that wait already, run by one SDK runner, 500 at once: claimed, handled, completed, and kept with their attempts.',
  measures: [{ name: '', unit: 'jobs/s', better: 'more', aim: { ratio: 1.5 } }],
  ours: drainOnce,
  peers: {
    'graphile-worker': (bench) => drainPeer(bench, 'graphile-worker', 'drain', bench.sizes.drain),
    'pg-boss': (bench) => drainPeer(bench, 'pg-boss', 'drain', bench.sizes.drain),
    BullMQ: async (bench) =>
      rate(bench.sizes.drain, await bench.withRedisPeer('bullmq', { task: 'drain', count: bench.sizes.drain })),
  },
};

export const drainOne: Line = {
  name: 'drain-1',
  what: 'The same with 64 runners that run one job at a time each.',
  measures: [{ name: '', unit: 'jobs/s', better: 'more', aim: { ratio: 2.5 } }],
  ours: (bench) =>
    bench.withBaton((baton) =>
      drainAll(baton, bench.sizes.drainOne, { runners: 64, concurrency: 1 }, bench.sizes.warmUp),
    ),
  peers: {
    'graphile-worker': (bench) => drainPeer(bench, 'graphile-worker', 'drain-one', bench.sizes.drainOne),
    'pg-boss': (bench) => drainPeer(bench, 'pg-boss', 'drain-one', bench.sizes.drainOne),
  },
};

export const bound: Line = {
  name: 'bound',
  what: "The drain against raw SQL that claims and completes 500 rows at a time in Baton's own tables, from four connections, and does nothing else.",
  measures: [{ name: '', unit: 'jobs/s', better: 'more', aim: { ratio: 0.75 } }],
  ours: drainOnce,
  peers: {},
  bounds: { 'raw SQL': drainRaw },
};

export const limits: Line = {
  name: 'limits',
  what: 'The drain with a concurrency and a rate limit set on the queue that do not bind.',
  measures: [{ name: '', unit: 'jobs/s', better: 'more', aim: { ratio: 0.8 }, against: 'without' }],
  ours: drainLimited,
  peers: {},
};

/** Claims of 64 runners through two coordinators, compared with 8 runners and with one coordinator. */
export const claimers: Line = {
  name: 'claimers',
  what: 'Two coordinators, drained by 64 runners with 10 slots each, against 8 such runners, and against one coordinator.',
  measures: [
    { name: '', unit: 'jobs/s', better: 'more', aim: { ratio: 0.8 }, against: '8 runners' },
    { name: 'over two', unit: 'jobs/s', better: 'more', aim: { ratio: 0.8 }, against: 'over one' },
  ],
  async ours(bench) {
    const many = await drainBy(bench, { runners: 64, coordinators: 2 });
    const few = await drainBy(bench, { runners: 8, coordinators: 2 });
    const overOne = await drainBy(bench, { runners: 64, coordinators: 1 });
    return { '': many, '8 runners': few, 'over two': many, 'over one': overOne };
  },
  peers: {},
};

/**
 * @param warmUp jobs that the coordinator drains first: unlike a worker, a coordinator usually has been running for
 * long
 */
export async function drainAll(
  baton: Baton,
  count: number,
  how: { runners: number; concurrency: number },
  warmUp = 0,
): Promise<Sample> {
  if (warmUp > 0) await drainAll(baton, warmUp, how);
  const type = baton.freshType();
  await fill(baton, type, count);
  const found = await baton.run('drain', { type, total: count, ...how });
  requireOnce('baton', count, found['sightings'] as Sightings);
  await requireStored(baton.database.url, { type, total: count, status: 'completed' });
  return rate(count, found);
}

function drainOnce(bench: Bench): Promise<Sample> {
  return bench.withBaton((baton) => drainAll(baton, bench.sizes.drain, AT_ONCE, bench.sizes.warmUp));
}

async function drainBy(
  bench: Bench,
  { runners, coordinators }: { runners: number; coordinators: number },
): Promise<number> {
  const sample = await bench.withBaton(
    (baton) => drainAll(baton, bench.sizes.claimers, { runners, concurrency: 10 }, bench.sizes.warmUp),
    { coordinators },
  );
  return sample[''] ?? NaN;
}

async function drainRaw(bench: Bench): Promise<Sample> {
  return bench.withBaton(async (baton) => {
    const type = baton.freshType();
    await fill(baton, type, bench.sizes.drain);
    const found = await baton.run('raw-sql', { type, total: bench.sizes.drain });
    requireOnce('raw SQL', bench.sizes.drain, found['sightings'] as Sightings);
    await requireStored(baton.database.url, { type, total: bench.sizes.drain, status: 'completed' });
    return rate(bench.sizes.drain, found);
  });
}

async function drainLimited(bench: Bench): Promise<Sample | string> {
  const limited = await bench.withBaton(async (baton) => {
    const reply = await fetch(`${baton.urls[0]}/queues/default`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${baton.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ concurrency: 100_000, rateLimit: { max: 1_000_000, perMs: 1000 } }),
    });
    if (reply.status === 404 || reply.status === 405) return 'queues cannot be given limits yet';
    if (!reply.ok) throw new Error(`PUT /queues/default was answered with ${reply.status}: ${await reply.text()}`);
    return drainAll(baton, bench.sizes.drain, AT_ONCE, bench.sizes.warmUp);
  });
  if (typeof limited === 'string') return limited;
  const free = await drainOnce(bench);
  return { ...limited, without: free[''] ?? NaN };
}

async function drainPeer(bench: Bench, script: string, task: string, count: number): Promise<Sample> {
  return rate(count, await bench.withPostgresPeer(script, { task, count }));
}
