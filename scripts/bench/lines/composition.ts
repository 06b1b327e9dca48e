import { setTimeout as pause } from 'node:timers/promises';
import type { Sample } from '../result';
import type { Baton } from '../rig/baton';
import type { Bench } from '../rig/bench';
import { requireOnce, requireStored, type Sightings } from '../verify';
import { drainAll } from './drain';
import type { Line } from './line';

const AT_ONCE = { runners: 1, concurrency: 500 };
const COORDINATORS = { coordinators: 2 };
/** Jobs that one call adds to a batch. */
const PART = 1000;
/** Jobs of a workflow stand in so many layers, each job after one of the layer before. */
const LAYERS = 10;
/** How long a batch that has ended may take to create what follows it. */
const CALLBACK_MS = 30_000;
const LOOK_EVERY_MS = 20;

/** Jobs that belong together, against as many that do not. */
export const composition: Line = {
  name: 'composition',
  what: 'A batch, and a workflow of ten layers, of no-op jobs on two coordinators, run by one SDK runner, 500 at once, until the batch or workflow has ended; against as many jobs that stand alone.',
  measures: [
    { name: 'batch', unit: 'jobs/s', better: 'more', aim: { ratio: 0.8 }, against: 'alone' },
    {
      name: 'workflow',
      unit: 'jobs/s',
      better: 'more',
      aim: { ratio: 0.8 },
      against: 'alone, as many as the workflow',
    },
  ],
  async ours(bench) {
    const { batch, workflow } = bench.sizes.composition;
    return {
      batch: await run(bench, batch, makeBatch),
      alone: await drainAlone(bench, batch),
      workflow: await run(bench, workflow, makeWorkflow),
      'alone, as many as the workflow': await drainAlone(bench, workflow),
    };
  },
  peers: {},
};

async function drainAlone(bench: Bench, count: number): Promise<number> {
  const drained: Sample = await bench.withBaton(
    (baton) => drainAll(baton, count, AT_ONCE, bench.sizes.warmUp),
    COORDINATORS,
  );
  return drained[''] ?? NaN;
}

/** @param make creates the jobs, numbered from 0, and returns the path of what they belong to */
function run(
  bench: Bench,
  count: number,
  make: (baton: Baton, type: string, count: number) => Promise<string>,
): Promise<number> {
  return bench.withBaton(async (baton) => {
    await drainAll(baton, bench.sizes.warmUp, AT_ONCE);
    const type = baton.freshType();
    const path = await make(baton, type, count);
    await baton.forgetPreparation();
    const found = await baton.run('drain', { type, total: count, ...AT_ONCE });
    const startedAt = performance.now();
    await requireEnded(baton, path);
    const tookMs = Number(found['tookMs']) + performance.now() - startedAt;
    await requireCallback(baton, path, count);
    requireOnce('baton', count, found['sightings'] as Sightings);
    await requireStored(baton.database.url, { type, total: count, status: 'completed' });
    return (count * 1000) / tookMs;
  }, COORDINATORS);
}

async function makeBatch(baton: Baton, type: string, count: number): Promise<string> {
  const onComplete = { type: `${type}-ended` };
  const { id } = await call<{ id: string }>(baton, 'POST', '/batches', { sealed: false, onComplete });
  for (let from = 0; from < count; from += PART) {
    const jobs = Array.from({ length: Math.min(PART, count - from) }, (_, nth) => ({
      type,
      arguments: { n: from + nth },
    }));
    await call(baton, 'POST', `/batches/${id}/jobs`, { jobs });
  }
  await call(baton, 'POST', `/batches/${id}/seal`, {});
  return `/batches/${id}`;
}

async function makeWorkflow(baton: Baton, type: string, count: number): Promise<string> {
  const width = Math.ceil(count / LAYERS);
  const jobs = Array.from({ length: count }, (_, n): [string, object] => [
    `n${n}`,
    { type, arguments: { n }, ...(n < width ? {} : { dependsOn: [`n${n - width}`] }) },
  ]);
  const { id } = await call<{ id: string }>(baton, 'POST', '/workflows', {
    name: 'layers',
    jobs: Object.fromEntries(jobs),
  });
  return `/workflows/${id}`;
}

async function requireEnded(baton: Baton, path: string): Promise<void> {
  const { status } = await call<{ status: string }>(baton, 'GET', `${path}/wait?waitMs=45000`);
  if (status !== 'completed') throw new Error(`${path} is ${status} after its last job`);
}

interface EndedBatch {
  callbacks: { onComplete: string | null };
  counts: { total: number; completed: number };
}

/** The job that follows a batch is there once, with the counts. It is created after the batch has ended. */
async function requireCallback(baton: Baton, path: string, count: number): Promise<void> {
  if (!path.startsWith('/batches/')) return;
  const giveUpAt = performance.now() + CALLBACK_MS;
  let batch = await call<EndedBatch>(baton, 'GET', path);
  while (batch.callbacks.onComplete === null && performance.now() < giveUpAt) {
    await pause(LOOK_EVERY_MS);
    batch = await call<EndedBatch>(baton, 'GET', path);
  }
  const { callbacks, counts } = batch;
  const job = await call<{ type: string; arguments: { batch: { counts: { completed: number } } } }>(
    baton,
    'GET',
    `/jobs/${callbacks.onComplete}`,
  );
  const { count: made } = await call<{ count: number }>(baton, 'GET', `/jobs/count?type=${job.type}`);
  const found = [made, counts.total, counts.completed, job.arguments.batch.counts.completed];
  if (found.join() !== [1, count, count, count].join())
    throw new Error(`${path} has callbacks and counts ${found.join(', ')}, of ${count} jobs`);
}

async function call<T>({ urls, key }: Baton, method: string, path: string, body?: object): Promise<T> {
  const reply = await fetch(`${urls[0]}${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!reply.ok) throw new Error(`${method} ${path} was answered with ${reply.status}: ${await reply.text()}`);
  return (await reply.json()) as T;
}
