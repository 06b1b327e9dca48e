import { requireOnce, requireStored, type Sightings } from '../verify';
import type { Line } from './line';

const WARM_UP = 20;

export const pickUp: Line = {
  name: 'pick-up',
  what: 'On an idle system, from the start of the call that creates a job to the start of its handler; client and runner in one process.',
  measures: [
    { name: 'p50', unit: 'ms', better: 'less', aim: { ratio: 1 } },
    { name: 'p99', unit: 'ms', better: 'less', aim: { ratio: 1 } },
  ],
  ours: (bench) =>
    bench.withBaton(async (baton) => {
      const type = baton.freshType();
      const { pickUps } = bench.sizes;
      const found = await baton.run('pick-up', { type, warmUp: WARM_UP, count: pickUps });
      requireOnce('baton', WARM_UP + pickUps, found['sightings'] as Sightings);
      await requireStored(baton.database.url, { type, total: WARM_UP + pickUps, status: 'completed' });
      return { p50: Number(found['p50']), p99: Number(found['p99']) };
    }),
  peers: {
    BullMQ: async (bench) => {
      const found = await bench.withRedisPeer('bullmq', {
        task: 'pick-up',
        warmUp: WARM_UP,
        count: bench.sizes.pickUps,
      });
      return { p50: Number(found['p50']), p99: Number(found['p99']) };
    },
  },
};
