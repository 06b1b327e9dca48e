import type { Baton } from '../rig/baton';
import type { Bench } from '../rig/bench';
import { requireStored } from '../verify';
import { type Line, rate } from './line';

const IN_FLIGHT = 64;
const BULKS_IN_FLIGHT = 4;

export const createOne: Line = {
  name: 'create-1',
  what: "One job a call of the SDK's `client.create`, 64 calls in flight.",
  measures: [{ name: '', unit: 'jobs/s', better: 'more', aim: { ratio: 1 } }],
  ours: (bench) => create(bench, 'one', bench.sizes.createOne, IN_FLIGHT),
  peers: {
    BullMQ: async (bench) =>
      rate(
        bench.sizes.createOne,
        await bench.withRedisPeer('bullmq', { task: 'create-one', ...sized(bench, bench.sizes.createOne, IN_FLIGHT) }),
      ),
  },
};

export const createHttp: Line = {
  name: 'create-http',
  what: 'One job a `POST /jobs`, over 64 sockets, without the SDK.',
  measures: [{ name: '', unit: 'jobs/s', better: 'more', aim: { ratio: 3 } }],
  ours: (bench) => create(bench, 'http', bench.sizes.createHttp, IN_FLIGHT),
  peers: {
    'graphile-worker': async (bench) =>
      rate(
        bench.sizes.createHttp,
        await bench.withPostgresPeer('graphile-worker', {
          task: 'create-one',
          ...sized(bench, bench.sizes.createHttp, IN_FLIGHT),
        }),
      ),
    'pg-boss': async (bench) =>
      rate(
        bench.sizes.createHttp,
        await bench.withPostgresPeer('pg-boss', {
          task: 'create-one',
          ...sized(bench, bench.sizes.createHttp, IN_FLIGHT),
        }),
      ),
  },
};

export const createBulk: Line = {
  name: 'create-bulk',
  what: "Five hundred jobs a call of the SDK's `client.createMany` (`POST /jobs/bulk`, all or none), 4 calls in flight.",
  measures: [{ name: '', unit: 'jobs/s', better: 'more', aim: { ratio: 1.5 } }],
  ours: (bench) => create(bench, 'bulk', bench.sizes.createBulk, BULKS_IN_FLIGHT),
  peers: {
    'graphile-worker': async (bench) =>
      rate(
        bench.sizes.createBulk,
        await bench.withPostgresPeer('graphile-worker', {
          task: 'create-bulk',
          ...sized(bench, bench.sizes.createBulk, BULKS_IN_FLIGHT),
        }),
      ),
    'pg-boss': async (bench) =>
      rate(
        bench.sizes.createBulk,
        await bench.withPostgresPeer('pg-boss', {
          task: 'create-bulk',
          ...sized(bench, bench.sizes.createBulk, BULKS_IN_FLIGHT),
        }),
      ),
  },
};

/** Fills a queue for a line that drains it. Not timed. */
export async function fill(baton: Baton, type: string, count: number): Promise<void> {
  await baton.run('create', { way: 'bulk', type, warmUp: 0, count, inFlight: BULKS_IN_FLIGHT });
  await baton.forgetPreparation();
}

function create(bench: Bench, way: string, count: number, inFlight: number) {
  return bench.withBaton(async (baton) => {
    const { warmUp } = bench.sizes;
    const type = baton.freshType();
    const found = await baton.run('create', { way, type, warmUp, count, inFlight });
    await requireStored(baton.database.url, { type, total: warmUp + count, status: 'pending' });
    return rate(count, found);
  });
}

function sized(bench: Bench, count: number, inFlight: number) {
  return { warmUp: bench.sizes.warmUp, count, inFlight };
}
