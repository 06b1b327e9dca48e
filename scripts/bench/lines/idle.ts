import { setTimeout as sleep } from 'node:timers/promises';
import type { Measure, Sample } from '../result';
import type { Baton } from '../rig/baton';
import type { Bench } from '../rig/bench';
import { cpuMs, residentMb } from '../rig/cpu';
import type { Sizes } from '../sizes';
import type { Line } from './line';

const PARK_MS = 120_000;

/** The size of the fleet for which the aims are set; they do not apply to a smaller one. */
const AIMED_RUNNERS = 5000;

export function idle({ idle: { runners } }: Sizes): Line {
  return {
    name: 'idle',
    what: 'Runners that wait for work on one coordinator: its memory, its share of a core, and the statements it sends to the database.',
    measures: runners.flatMap((count): Measure[] => [
      {
        name: `${count} runners, memory`,
        unit: 'MB',
        better: 'less',
        aim: count === AIMED_RUNNERS ? { most: 250 } : null,
      },
      {
        name: `${count} runners, processor`,
        unit: '% of a core',
        better: 'less',
        aim: count === AIMED_RUNNERS ? { most: 5 } : null,
      },
      {
        name: `${count} runners, database`,
        unit: 'statements/s',
        better: 'less',
        aim: count === AIMED_RUNNERS ? { most: 10 } : null,
      },
    ]),
    async ours(bench) {
      const samples: Sample[] = [];
      for (const count of runners)
        samples.push(await bench.withBaton((baton) => watchIdle(bench, baton, count), { isFresh: true }));
      return Object.assign({}, ...samples) as Sample;
    },
    peers: {},
  };
}

async function watchIdle(bench: Bench, baton: Baton, runners: number): Promise<Sample> {
  const { settleMs, windowMs } = bench.sizes.idle;
  const [pid = 0] = baton.coordinatorPids;
  const actor = baton.act('park', { type: 'noop', runners });
  try {
    const { parked } = await actor.next('parked', PARK_MS);
    if (parked !== runners) throw new Error(`only ${String(parked)} of ${runners} runners are parked`);
    await sleep(settleMs);
    await baton.database.forgetStatements();
    const cpuBefore = cpuMs(pid);
    const startedAt = performance.now();
    await sleep(windowMs);
    const tookMs = performance.now() - startedAt;
    const statements = await baton.database.statements();
    return {
      [`${runners} runners, memory`]: residentMb(pid),
      [`${runners} runners, processor`]: ((cpuMs(pid) - cpuBefore) / tookMs) * 100,
      [`${runners} runners, database`]: (statements.reduce((sum, { calls }) => sum + calls, 0) / tookMs) * 1000,
    };
  } finally {
    await actor.stop();
  }
}
