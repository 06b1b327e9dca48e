import type { Analytics, Health, Stats } from '@baton/runner-sdk/protocol';
import { statisticsOf } from '../../coordinator/domain/analytics/report';
import { MOST_ERROR, percentile } from '../../coordinator/domain/analytics/percentiles';
import { rollUp } from '../../coordinator/domain/analytics/roll-up';
import { readHorizon } from '../../coordinator/store/rollups/count';
import { MOST_UNCOUNTED, outcomes } from '../../coordinator/store/views/statistics';
import { drawLots } from '../flow/lots';
import { type Api, expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { jobIn, uniqueType } from '../support/factory';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeEach(async () => {
  coordinator = await startCoordinator();
  await coordinator.app.loops.rollups.stop();
});
afterEach(() => coordinator.stop());

async function read(query: string, api: Api = coordinator.api): Promise<Analytics> {
  return expectStatus(await api.get<Analytics>(`/analytics${query}`), 200);
}

/** Counts what ended so far. */
async function count(): Promise<void> {
  const { at } = await readHorizon(coordinator.app.context.db);
  while (await rollUp(coordinator.app.context, at));
}

test('a mean is the same in whatever order its times were added up', () => {
  const none = {
    jobsCompleted: 0,
    jobsFailed: 0,
    jobsCancelled: 0,
    attemptsFailed: 0,
    attemptsTimedOut: 0,
    attemptsReleased: 0,
    attemptsCancelled: 0,
    retries: 0,
    waitMs: 0,
    memoryBytes: 0,
    cpuMs: 0,
    memoryPeakBytes: null,
    cost: 0,
    waitBins: [],
    waitCounts: [],
    memoryBins: [],
    memoryCounts: [],
  };
  const meanOf = (times: number[]) =>
    statisticsOf({ ...none, runMs: times.reduce((sum, ms) => sum + ms, 0), runBins: [1], runCounts: [times.length] })
      .runMs.mean;
  for (const sum of [54.674, 54.673_999_999_999_99, 54.674_000_000_000_01]) expect(meanOf([sum, 0, 0, 0])).toBe(13.669);
});

test('tells of every end, at once and after it was counted', async () => {
  for (const state of [
    'completed',
    'failed',
    'cancelled',
    'retrying',
    'released',
    'running',
    'pending',
    'expired',
  ] as const)
    await jobIn(state, coordinator, { queue: 'mail' });
  const { job, claimed } = await jobIn('running', coordinator, { queue: 'mail' });
  await coordinator.api.post(`/jobs/${job.id}/cancel`);
  const { claimed: lost } = await jobIn('running', coordinator, { queue: 'mail' });
  await coordinator.sql.expireLease(lost?.id ?? '');
  await coordinator.runMonitor();
  const told = await read('?range=1h');
  expect(told.items).toEqual([
    {
      key: 'mail',
      jobs: { completed: 1, failed: 1, cancelled: 3 },
      attempts: { completed: 1, failed: 2, timedOut: 1, released: 1, cancelled: 1 },
      retries: 2,
      successRate: 0.5,
      failureRate: 0.5,
      waitMs: { p50: expect.any(Number), p95: expect.any(Number), p99: expect.any(Number), mean: expect.any(Number) },
      runMs: { p50: expect.any(Number), p95: expect.any(Number), p99: expect.any(Number), mean: expect.any(Number) },
      cpuMs: 0,
      memoryBytes: { p50: null, p95: null, p99: null, mean: null },
      memoryPeakBytes: null,
      cost: 0,
    },
  ]);
  expect(told.series.length).toBeGreaterThanOrEqual(60);
  expect(
    told.series.filter((step) => step.jobs.completed + step.jobs.failed + step.jobs.cancelled > 0).length,
  ).toBeGreaterThan(0);
  expect(claimed?.id).toBe(job.id);
  await count();
  for (const range of ['1h', '24h', '7d', '30d']) expect((await read(`?range=${range}`)).items).toEqual(told.items);
  await coordinator.sql.query('DELETE FROM jobs');
  expect((await read('')).items).toEqual(told.items);
});

test('a range begins with a whole minute, hour or day, and has a step for each', async () => {
  await jobIn('completed', coordinator);
  for (const [range, stepMs, steps] of [
    ['1h', 60_000, 60],
    ['24h', 3_600_000, 24],
    ['7d', 3_600_000, 168],
    ['30d', 86_400_000, 30],
  ] as const) {
    const told = await read(`?range=${range}`);
    expect([told.stepMs, Date.parse(told.from) % stepMs, told.series[0]?.at]).toEqual([stepMs, 0, told.from]);
    expect([steps, steps + 1]).toContain(told.series.length);
    expect(told.series.at(-1)?.jobs.completed).toBe(1);
    expect(told.series.reduce((sum, step) => sum + step.jobs.completed, 0)).toBe(1);
  }
});

test('what ended before a range is not in it', async () => {
  const { job } = await jobIn('completed', coordinator, { queue: 'q' });
  await coordinator.sql.query(
    "UPDATE jobs SET finished_at = now() - interval '3 hours', started_at = now() - interval '4 hours', run_at = now() - interval '5 hours' WHERE id = $1",
    [job.id],
  );
  const whole = async () =>
    Promise.all(
      ['1h', '24h', '7d', '30d'].map(async (range) =>
        (await read(`?range=${range}`)).items.map(({ jobs }) => jobs.completed),
      ),
    );
  expect(await whole()).toEqual([[], [1], [1], [1]]);
  await count();
  expect(await whole()).toEqual([[], [1], [1], [1]]);
});

test('a user is told of the own jobs, by whatever they are told', async () => {
  const ann = coordinator.api.as(await coordinator.api.makeKey({ name: 'ann', role: 'user', userId: 'ann' }));
  for (const userId of ['ann', 'ben', undefined])
    await jobIn('completed', coordinator, { queue: 'mail', type: 't', ...(userId === undefined ? {} : { userId }) });
  await jobIn('failed', coordinator, { queue: 'bens', type: 'bens', userId: 'ben' });
  const looked = async () => {
    const all = await Promise.all(['queue', 'type', 'user', 'runner'].map((by) => read(`?by=${by}`, ann)));
    expect(all.map(({ items }) => items.map(({ key, jobs }) => [key, jobs.completed, jobs.failed]))).toEqual([
      [['mail', 1, 0]],
      [['t', 1, 0]],
      [['ann', 1, 0]],
      [['runner-of-t', 1, 0]],
    ]);
    for (const { series } of all)
      expect(series.reduce((sum, { jobs }) => sum + jobs.completed + jobs.failed, 0)).toBe(1);
    for (const query of ['?by=user&key=ben', '?by=queue&key=bens', '?by=runner&key=runner-of-bens']) {
      const { items, series } = await read(query, ann);
      expect([items, series.reduce((sum, { jobs }) => sum + jobs.completed + jobs.failed, 0)]).toEqual([[], 0]);
    }
    const stats = expectStatus(await ann.get<Stats>('/stats'), 200);
    expect([
      stats.jobs.completed,
      stats.jobs.failed,
      stats.deadLetters,
      stats.queues.map(({ name }) => name),
      stats.runners,
      stats.lastHour.jobs,
    ]).toEqual([1, 0, 0, ['mail'], null, { completed: 1, failed: 0, cancelled: 0 }]);
  };
  await looked();
  expect((await read('?by=user')).items.map(({ key, jobs }) => [key, jobs.completed, jobs.failed])).toEqual([
    ['ben', 1, 1],
    ['ann', 1, 0],
  ]);
  await count();
  await looked();
});

test('of many keys the busiest are told, and how many are left out', async () => {
  for (const [queue, jobs] of [
    ['a', 1],
    ['b', 3],
    ['c', 2],
  ] as const)
    for (let n = 0; n < jobs; n += 1) await jobIn('completed', coordinator, { queue });
  const told = await read('?limit=2');
  expect([told.items.map(({ key }) => key), told.omitted]).toEqual([['b', 'c'], 1]);
  expect(told.series.reduce((sum, { jobs }) => sum + jobs.completed, 0)).toBe(6);
  const one = await read('?key=c');
  expect([
    one.items.map(({ key }) => key),
    one.omitted,
    one.series.reduce((sum, { jobs }) => sum + jobs.completed, 0),
  ]).toEqual([['c'], 0, 2]);
});

test('more than can be read at once is left out until it was counted, and told so', async () => {
  const { sql } = coordinator;
  const { job } = await jobIn('completed', coordinator, { queue: 'q' });
  await count();
  const plant = (jobs: number) =>
    sql.query(
      `INSERT INTO jobs (id, type, queue, priority, lane_id, arguments, max_attempts, timeout_ms, created_at, updated_at, status, run_at, started_at, finished_at)
     SELECT gen_random_uuid(), j.type, j.queue, 0, j.lane_id, '{}', 1, 1000, now(), now(), 'completed', now(), now(), now() FROM jobs j, generate_series(1, $2::int) WHERE j.id = $1`,
      [job.id, jobs],
    );
  const told = async () => {
    const { items, until } = await read('?range=1h');
    const { at } = await sql.one<{ at: Date }>('SELECT counted_until AS at FROM rollup_progress');
    return [items[0]?.jobs.completed, until === at.toISOString()];
  };
  await plant(MOST_UNCOUNTED);
  expect(await told()).toEqual([MOST_UNCOUNTED + 1, false]);
  await plant(1);
  expect(await told()).toEqual([1, true]);
  await count();
  expect(await told()).toEqual([MOST_UNCOUNTED + 2, false]);
});

test('refuses what is no range, dimension or limit', async () => {
  for (const query of ['?by=tag', '?range=2d', '?limit=0', '?limit=501', '?from=now', '?key='])
    expect(await coordinator.api.refusal('get', `/analytics${query}`)).toEqual([400, 'validation_failed']);
});

test('percentiles are as near to the exact ones as is said, however the jobs are spread over time', async () => {
  const pick = drawLots('the durations');
  const { job } = await jobIn('completed', coordinator, { queue: 'q' });
  const planted = Array.from({ length: 3000 }, () => ({
    wait: Math.exp(pick(1_000_000) / 62_000) / 50,
    run: Math.exp(pick(1_000_000) / 55_000) / 50,
    // Up to the largest that may be reported.
    memory: pick(3) === 0 ? null : Math.round(Math.exp(pick(1_000_000) / 29_000)),
    ago: pick(2 * 86_400_000),
  }));
  await coordinator.sql.query(
    `INSERT INTO jobs (id, type, queue, priority, lane_id, arguments, max_attempts, timeout_ms, created_at, updated_at, status,
       run_at, started_at, finished_at, metrics)
     SELECT gen_random_uuid(), j.type, 'q', 0, j.lane_id, '{}', 1, 1000, now(), now(), 'completed',
       p.at - (p.run + p.wait) * interval '1 ms', p.at - p.run * interval '1 ms', p.at,
       json_build_object('memoryPeakBytes', p.memory)
     FROM jobs j, (SELECT now() - n.ago * interval '1 ms' AS at, n.wait, n.run, n.memory
       FROM json_to_recordset($2) n (wait float8, run float8, memory float8, ago float8)) p
     WHERE j.id = $1`,
    [job.id, JSON.stringify(planted)],
  );
  await coordinator.sql.query('DELETE FROM jobs WHERE id = $1', [job.id]);
  await count();
  const {
    items: [told],
  } = await read('?range=7d');
  const rows = await coordinator.sql.query<{ wait: number; run: number; memory: number | null }>(
    `SELECT extract(epoch FROM started_at - run_at)::float8 * 1000 AS wait,
       extract(epoch FROM finished_at - started_at)::float8 * 1000 AS run, (metrics ->> 'memoryPeakBytes')::float8 AS memory
     FROM jobs WHERE status = 'completed'`,
  );
  expect(told?.jobs.completed).toBe(3000);
  for (const [of, told_] of [
    ['wait', told?.waitMs],
    ['run', told?.runMs],
    ['memory', told?.memoryBytes],
  ] as const) {
    const sorted = rows.flatMap((row) => row[of] ?? []).sort((a, b) => a - b);
    const mean = sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
    expect([of, Math.abs((told_?.mean ?? NaN) / mean - 1) < 1e-6]).toEqual([of, true]);
    for (const p of [50, 95, 99] as const) {
      const exact = sorted[Math.ceil((sorted.length * p) / 100) - 1] ?? 0;
      const off = Math.abs((told_?.[`p${p}`] ?? 0) - exact);
      expect([of, p, exact, off <= Math.max(0.501, exact * (MOST_ERROR + 1e-5))]).toEqual([of, p, exact, true]);
    }
  }
  for (const range of ['1h', '24h', '7d', '30d']) {
    const {
      from,
      items: [one],
      series,
    } = await read(`?range=${range}`);
    const jobs = await coordinator.sql.count("jobs WHERE status = 'completed' AND finished_at >= $1", [from]);
    expect([range, one?.jobs.completed, series.reduce((sum, step) => sum + step.jobs.completed, 0)]).toEqual([
      range,
      jobs,
      jobs,
    ]);
  }
});

test('no percentile of memory lies above the largest peak, and the mean is in whole bytes', async () => {
  for (const memoryPeakBytes of [100_000_000, 100_000_001]) {
    const type = uniqueType();
    await coordinator.api.create({ type, queue: 'q' });
    const claimed = await coordinator.api.claimOne({ runnerId: 'r', types: [type] });
    await coordinator.api.complete(claimed, { outcome: 'completed', metrics: { memoryPeakBytes } });
  }
  const memory = async () => expectStatus(await coordinator.api.get<Stats>('/stats'), 200).lastHour.memoryBytes;
  const told = { p50: 100_000_001, p95: 100_000_001, p99: 100_000_001, mean: 100_000_001 };
  expect(await memory()).toEqual(told);
  await count();
  expect([await memory(), (await read('')).items[0]?.memoryBytes]).toEqual([told, told]);
});

test('the percentile of one, of none, and of an edge', () => {
  expect(percentile({ bins: [], counts: [] }, 50)).toBeNull();
  expect(percentile({ bins: [0], counts: [1] }, 99)).toBe(0.5);
  expect([50, 51, 99, 100].map((p) => percentile({ bins: [10, 20], counts: [1, 1] }, p))).toEqual([
    2.47, 6.407, 6.407, 6.407,
  ]);
});

test('stats and health tell how it stands', async () => {
  const { api } = coordinator;
  await jobIn('completed', coordinator, { queue: 'mail', type: 'done' });
  await jobIn('failed', coordinator, { queue: 'mail', type: 'gone' });
  await jobIn('delayed', coordinator, { queue: 'mail', type: 'wait' });
  await jobIn('pending', coordinator, { queue: 'mail', type: 'wait' });
  await jobIn('running', coordinator, { queue: 'media', type: 'runs' });
  await coordinator.app.context.runnerRegistry.writeSeen();
  const stats = expectStatus(await api.get<Stats>('/stats'), 200);
  expect(stats).toMatchObject({
    jobs: { blocked: 0, pending: 2, running: 1, completed: 1, failed: 1, cancelled: 0 },
    waiting: 2,
    running: 1,
    inPerMinute: 5,
    outPerMinute: 2,
    deadLetters: 1,
    oldestAgeMs: expect.any(Number),
    queues: [
      { name: 'mail', waiting: 2, running: 0, inPerMinute: 4, outPerMinute: 2 },
      { name: 'media', waiting: 0, running: 1, oldestAgeMs: null },
    ],
    types: [
      { type: 'wait', waiting: 2, running: 0 },
      { type: 'runs', waiting: 0, running: 1, oldestAgeMs: null },
      { type: 'done', waiting: 0 },
      { type: 'gone', waiting: 0 },
    ],
    runners: { total: 3, active: 1, idle: 2 },
    lastHour: { jobs: { completed: 1, failed: 1, cancelled: 0 }, successRate: 0.5 },
  });
  const looked = async () =>
    expect(expectStatus(await api.get<Health>('/health'), 200)).toMatchObject({
      processed: 2,
      averageRunMs: expect.any(Number),
      types: ['done', 'gone', 'runs', 'wait'],
      runners: { total: 3, active: 1, idle: 2 },
      database: { latencyMs: expect.any(Number) },
    });
  await looked();
  await count();
  await looked();
});

test('how jobs ended within a window is told of all, a queue or a type', async () => {
  const type = uniqueType();
  await jobIn('completed', coordinator, { queue: 'mail', type });
  await jobIn('failed', coordinator, { queue: 'mail' });
  const { job } = await jobIn('failed', coordinator, { queue: 'media' });
  const { db } = coordinator.app.context;
  const ended = async () =>
    Promise.all([
      outcomes(db, { by: 'all', windowMs: 300_000 }),
      outcomes(db, { by: 'queue', key: 'mail', windowMs: 300_000 }),
      outcomes(db, { by: 'type', key: type, windowMs: 300_000 }),
    ]);
  expect((await ended()).map((one) => [one.jobsCompleted, one.jobsFailed, one.attempts])).toEqual([
    [1, 2, 3],
    [1, 1, 2],
    [1, 0, 1],
  ]);
  await coordinator.sql.query(
    "UPDATE attempts SET finished_at = now() - interval '20 minutes', started_at = now() - interval '21 minutes' WHERE job_id = $1",
    [job.id],
  );
  await count();
  expect((await ended()).map((one) => [one.jobsCompleted, one.jobsFailed])).toEqual([
    [1, 1],
    [1, 1],
    [1, 0],
  ]);
});
