import { request } from 'undici';
import { median } from '../result';
import { Tally } from '../verify';
import { play, readOrder, type Target } from './stage';

/** Makes one claim of a hundred jobs after the other, and reports how long each took. */
interface Order extends Target {
  warmUp: number;
  claims: number;
  /** All job numbers are below this. */
  total: number;
}

const JOBS = 100;
const order = readOrder<Order>();

play(async () => {
  const tally = new Tally(order.total);
  const tookMs: number[] = [];
  for (let index = 0; index < order.warmUp + order.claims; index += 1) {
    const startedAt = performance.now();
    const jobs = await claim();
    if (index >= order.warmUp) tookMs.push(performance.now() - startedAt);
    if (jobs.length !== JOBS) throw new Error(`a claim of ${JOBS} jobs brought ${jobs.length}`);
    for (const job of jobs) tally.add(job.arguments.n);
  }
  const { repeated, strays } = tally.sum();
  return { claimMs: median(tookMs), claimed: tally.count, repeated, strays };
});

async function claim(): Promise<{ arguments: { n: number } }[]> {
  const reply = await request(`${order.urls[0]}/jobs/claim`, {
    method: 'POST',
    headers: { authorization: `Bearer ${order.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ runnerId: 'bench', types: [order.type], max: JOBS, leaseMs: 600_000 }),
  });
  const { jobs } = (await reply.body.json()) as { jobs: { arguments: { n: number } }[] };
  return jobs;
}
