import type { Analytics, ClaimedJob } from '@baton/runner-sdk/protocol';
import { MOST_ERROR } from '../../coordinator/domain/analytics/percentiles';
import { rollUp } from '../../coordinator/domain/analytics/roll-up';
import { readHorizon } from '../../coordinator/store/rollups/count';
import { expectStatus } from '../support/api';
import { type Cluster, startCluster } from '../support/coordinator';
import { drawLots } from '../flow/lots';
import { expectedItems, expectedRollups, expectedSpreads, heldRollups, witnessEnds } from './ends';

// Random ends of random jobs on two coordinators, while both count, and one is killed at it now and then: what is told
// is what happened, at every moment, and so it stays when all jobs are gone.

const STEPS = 40;
const CALLS = 12;
const QUEUES = ['mail', 'media'];
const TYPES = ['a', 'b', 'c'];
const USERS = ['ann', 'ben', undefined];

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster(2);
  for (const { app } of cluster.coordinators) await Promise.all([app.loops.rollups.stop(), app.loops.retention.stop()]);
  await witnessEnds(cluster.sql);
});
afterAll(() => cluster.stop());

test('rollups and the rows not counted yet tell what happened', async () => {
  const pick = drawLots('the ends');
  const play = new Play(pick);
  for (let step = 0; step < STEPS; step += 1) {
    // Nothing is under way: all that ended is settled.
    const settledUntil = (await readHorizon(oneOf(0).app.context.db)).at;
    const counting = Promise.all(
      [0, 1, 0].map(async (index) => rollUp(oneOf(index).app.context, settledUntil).catch(() => false)),
    );
    await Promise.all([
      ...Array.from({ length: CALLS }, () => play.call()),
      pick(4) === 0 ? killOneThatCounts() : undefined,
    ]);
    await counting;
    if (step % 8 === 7) await compareAnswers();
  }
  const last = (await readHorizon(oneOf(0).app.context.db)).at;
  while (await rollUp(oneOf(1).app.context, last));
  await cluster.sql.query('DELETE FROM jobs');
  expect(await cluster.sql.count('rollup_strays')).toBe(0);
  const expected = await expectedRollups(cluster.sql);
  expect(expected.size).toBeGreaterThan(50);
  expect(Object.fromEntries(await heldRollups(cluster.sql))).toEqual(Object.fromEntries(expected));
  await compareAnswers();
  expect(play.happened()).toEqual(
    expect.arrayContaining(['cancel', 'complete', 'delete', 'fail', 'give up', 'lose', 'release', 'retry']),
  );
}, 120_000);

/** The sums add up to the witness's, whichever way they are read. */
async function compareAnswers(): Promise<void> {
  for (const by of ['queue', 'type', 'user', 'runner'] as const) {
    for (const range of ['1h', '24h', '30d']) {
      const answer = expectStatus(await oneOf(0).api.get<Analytics>(`/analytics?by=${by}&range=${range}`), 200);
      const told = answer.items.map(({ key, ...figures }): [string, number[]] => [key, countsOf(figures)]);
      expect(Object.fromEntries(told)).toEqual(Object.fromEntries(await expectedItems(cluster.sql, by)));
      const spreads = await expectedSpreads(cluster.sql, by);
      for (const item of answer.items) {
        const { waitMs, runMs, memoryBytes } = spreads.get(item.key) ?? { waitMs: [], runMs: [], memoryBytes: [] };
        expectSpread(item.waitMs, waitMs);
        expectSpread(item.runMs, runMs);
        expectSpread(item.memoryBytes, memoryBytes, 1);
        expect(item.memoryPeakBytes).toBe(memoryBytes.at(-1) ?? null);
      }
      if (by !== 'queue') continue;
      const whole = answer.series
        .map(countsOf)
        .reduce((sum, step) => sum.map((count, index) => count + (step[index] ?? 0)));
      expect(whole).toEqual(
        [...(await expectedItems(cluster.sql, 'queue')).values()].reduce(
          (sum, one) => sum.map((count, index) => count + (one[index] ?? 0)),
          whole.map(() => 0),
        ),
      );
    }
  }
}

/** The mean is exact to a microsecond or a byte, percentiles as near as is said; all null where there is no value. */
function expectSpread(told: Analytics['items'][number]['waitMs'], values: number[], unit = 0.001): void {
  if (values.length === 0) return expect(told).toEqual({ p50: null, p95: null, p99: null, mean: null });
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  expect(Math.abs((told.mean ?? NaN) - mean)).toBeLessThan(unit);
  for (const p of [50, 95, 99] as const) {
    const exact = values[Math.ceil((values.length * p) / 100) - 1] ?? NaN;
    const isNear = Math.abs((told[`p${p}`] ?? NaN) - exact) <= Math.max(0.501, exact * (MOST_ERROR + 1e-4));
    expect({ p, exact, told, isNear }).toEqual({ p, exact, told, isNear: true });
  }
}

function countsOf({ jobs, attempts }: Pick<Analytics['items'][number], 'jobs' | 'attempts'>): number[] {
  const ended = attempts.completed + attempts.failed + attempts.timedOut + attempts.released + attempts.cancelled;
  return [
    jobs.completed,
    jobs.failed,
    jobs.cancelled,
    attempts.failed,
    attempts.timedOut,
    attempts.released,
    attempts.cancelled,
    ended,
  ];
}

async function killOneThatCounts(): Promise<void> {
  await cluster.sql.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%rollup%' AND query NOT LIKE '%pg_terminate%' AND query NOT LIKE '%jobs j SET%' AND query NOT LIKE '%DELETE FROM jobs%'",
  );
}

function oneOf(index: number) {
  const one = cluster.coordinators[index % cluster.coordinators.length];
  if (one === undefined) throw new Error('there is no coordinator');
  return one;
}

class Play {
  private readonly ids: string[] = [];
  private readonly claimed: ClaimedJob[] = [];
  private readonly deeds = new Set<string>();

  constructor(private readonly pick: (below: number) => number) {}

  happened(): string[] {
    return [...this.deeds];
  }

  async call(): Promise<void> {
    const { pick } = this;
    const { api, runMonitor } = oneOf(pick(2));
    const verb =
      [
        'create',
        'create',
        'claim',
        'claim',
        'complete',
        'complete',
        'fail',
        'give up',
        'release',
        'lose',
        'cancel',
        'cancel',
        'retry',
        'retry',
        'delete',
        'delete',
      ][pick(16)] ?? 'create';
    const job = this.claimed[pick(this.claimed.length || 1)];
    const id = this.ids[pick(this.ids.length || 1)] ?? '';
    if (verb === 'create') return this.create();
    if (verb === 'claim')
      return void this.claimed.push(...(await api.claim({ runnerId: `runner-${pick(3)}`, types: TYPES, max: 4 })));
    let status = 0;
    if (verb === 'cancel' || verb === 'retry') ({ status } = await api.post(`/jobs/${id}/${verb}`, {}));
    else if (verb === 'delete') ({ status } = await api.delete(`/jobs/${id}?purge=true`));
    else if (job === undefined) return;
    else if (verb === 'complete')
      ({ status } = await api.complete(job, {
        outcome: 'completed',
        metrics: this.metrics(),
      }));
    else if (verb === 'release')
      ({ status } = await api.post(`/jobs/${job.id}/release`, { leaseToken: job.leaseToken }));
    else if (verb === 'lose')
      status = await cluster.sql
        .expireLease(job.id)
        .then(runMonitor)
        .then(() => 200);
    else
      ({ status } = await api.complete(job, {
        outcome: 'failed',
        metrics: this.metrics(),
        error: { message: 'by lot', retryable: verb === 'fail' },
      }));
    if (status === 200 || status === 204) this.deeds.add(verb);
  }

  /** Every other attempt, by lot, has its memory measured. */
  private metrics() {
    const { pick } = this;
    return { durationMs: 1, cpuMs: 2, memoryPeakBytes: pick(2) === 0 ? null : 1 + pick(1_000_000_000), cost: 4 };
  }

  private async create(): Promise<void> {
    const { pick } = this;
    const { api } = oneOf(pick(2));
    const jobs = Array.from({ length: 1 + pick(4) }, () => ({
      type: TYPES[pick(3)],
      queue: QUEUES[pick(2)],
      userId: USERS[pick(3)],
      retry: { strategy: 'fixed', baseMs: 0 },
    }));
    const made = expectStatus(await api.post<{ jobs: { id: string }[] }>('/jobs/bulk', { jobs }), 201);
    this.ids.push(...made.jobs.map(({ id }) => id));
  }
}
