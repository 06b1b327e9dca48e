import type { Analytics, Attempt, Queue } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { type Cluster, startCluster } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster(2);
});
afterAll(() => cluster.stop());

const one = () => {
  const [coordinator] = cluster.coordinators;
  if (coordinator === undefined) throw new Error('there is no coordinator');
  return coordinator;
};
const PRICES = { base: 0.5, perSecond: 3, perGbSecond: 7 };
const MEMORY = 2_500_000_000;

async function setPrices(queue: string, cost: object | null): Promise<Queue> {
  const set = expectStatus(await one().api.call<Queue>('put', `/queues/${queue}`, { json: { cost } }), 200);
  await eventually(() =>
    cluster.coordinators.every(
      ({ app }) => app.context.queueSettings.get(queue)?.costBase === (set.cost?.base ?? null),
    ),
  );
  return set;
}

/** Makes the current attempt as old as a whole job. */
async function age(jobId: string, ms: number): Promise<void> {
  await cluster.sql.query("UPDATE jobs SET started_at = started_at - $2::float8 * interval '1 ms' WHERE id = $1", [
    jobId,
    ms,
  ]);
}

function expected({ startedAt, finishedAt }: Attempt, memoryPeakBytes = 0): number {
  const seconds = (Date.parse(finishedAt ?? '') - Date.parse(startedAt)) / 1000;
  return PRICES.base + seconds * PRICES.perSecond + seconds * (memoryPeakBytes / 1e9) * PRICES.perGbSecond;
}

test('an attempt costs what its queue asks, however it ends, on job, attempt and figures', async () => {
  const queue = uniqueType('priced');
  expect((await setPrices(queue, PRICES)).cost).toEqual(PRICES);
  const type = uniqueType();
  const { api } = one();
  const { id } = await api.create({ type, queue, retry: { strategy: 'fixed', baseMs: 0 } });
  const metrics = { durationMs: 1, cpuMs: 2, memoryPeakBytes: MEMORY, cost: 99 };
  const next = async () => {
    await cluster.sql.makeDue(id);
    await eventually(
      () =>
        one()
          .app.loops.due.runOnce()
          .then(() => cluster.sql.count('jobs WHERE id = $1 AND position IS NOT NULL', [id])),
      (placed) => placed === 1,
    );
    const claimed = await api.claimOne({ runnerId: 'r', types: [type] });
    await age(id, 2000);
    return claimed;
  };
  await api.complete(await next(), { outcome: 'failed', error: { message: 'no' }, metrics });
  const released = await next();
  await api.post(`/jobs/${id}/release`, { leaseToken: released.leaseToken });
  await next();
  await cluster.sql.expireLease(id);
  await one().runMonitor();
  await next();
  await api.post(`/jobs/${id}/cancel`);
  expect((await api.job(id)).metrics?.cost).toBeGreaterThan(6);
  await api.post(`/jobs/${id}/retry`);
  await cluster.coordinators[1]?.api.complete(await next(), { outcome: 'completed', metrics });
  const attempts = await api.attempts(id);
  expect(attempts.map(({ outcome }) => outcome)).toEqual(['failed', 'released', 'timed_out', 'cancelled', 'completed']);
  for (const attempt of attempts) {
    const memory = attempt.outcome === 'failed' || attempt.outcome === 'completed' ? MEMORY : 0;
    // The API tells times to the millisecond.
    expect(Math.abs((attempt.metrics?.cost ?? 0) - expected(attempt, memory))).toBeLessThan(0.05);
  }
  expect(attempts[0]?.metrics).toMatchObject({ durationMs: 1, cpuMs: 2, memoryPeakBytes: MEMORY });
  expect((await api.job(id)).metrics).toEqual(attempts[4]?.metrics);
  const { items } = expectStatus(await api.get<Analytics>(`/analytics?key=${queue}`), 200);
  expect(items[0]?.cost).toBeCloseTo(
    attempts.reduce((sum, { metrics: one_ }) => sum + (one_?.cost ?? 0), 0),
    6,
  );
  expect([items[0]?.cpuMs, items[0]?.memoryPeakBytes]).toEqual([4, MEMORY]);
});

test('a new price changes nothing that ended before, and without prices a runner’s own cost is kept', async () => {
  const queue = uniqueType('queue');
  const type = uniqueType();
  const { api } = one();
  const run = async () => {
    const { id } = await api.create({ type, queue });
    await api.complete(await api.claimOne({ runnerId: 'r', types: [type] }), {
      outcome: 'completed',
      metrics: { durationMs: 1, cost: 0.25 },
    });
    return id;
  };
  const own = await run();
  expect((await api.job(own)).metrics?.cost).toBe(0.25);
  expect((await setPrices(queue, { base: 2 })).cost).toEqual({ base: 2, perSecond: 0, perGbSecond: 0 });
  const priced = await run();
  expect((await api.job(priced)).metrics?.cost).toBe(2);
  await setPrices(queue, { base: 3 });
  await setPrices(queue, null);
  expect(
    (await Promise.all([own, priced, await run()].map((id) => api.job(id)))).map(({ metrics }) => metrics?.cost),
  ).toEqual([0.25, 2, 0.25]);
});

test('an attempt that ended before it began, by the clock, costs what one of no time does', async () => {
  const queue = uniqueType('priced');
  await setPrices(queue, PRICES);
  const type = uniqueType();
  const { api } = one();
  const { id } = await api.create({ type, queue });
  const claimed = await api.claimOne({ runnerId: 'r', types: [type] });
  await age(id, -60_000);
  await api.complete(claimed);
  expect((await api.job(id)).metrics?.cost).toBe(PRICES.base);
  const { items } = expectStatus(await api.get<Analytics>(`/analytics?key=${queue}`), 200);
  expect([items[0]?.runMs.mean, items[0]?.runMs.p50]).toEqual([0, 0.5]);
});

test('a job cancelled before it ran costs nothing, in a queue with prices too', async () => {
  const queue = uniqueType('priced');
  await setPrices(queue, PRICES);
  const { id } = await one().api.create({ type: uniqueType(), queue });
  await one().api.post(`/jobs/${id}/cancel`);
  expect((await one().api.job(id)).metrics).toBeNull();
});

test.each([{ base: -1 }, { base: 1e10 }, { perHour: 1 }, { base: 'much' }, 5])('%j is no price', async (cost) => {
  expect(await one().api.refusal('put', '/queues/q', { cost })).toEqual([400, 'validation_failed']);
});
