import type { BulkOperation, ClaimedJob } from '@baton/runner-sdk/protocol';
import fc from 'fast-check';
import { orderLock } from '../../coordinator/domain/jobs/promotion';
import { lockNames } from '../../coordinator/store/locks';
import { expectStatus } from '../support/api';
import { startCluster, startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

let last: { stop(): Promise<void> } | undefined;
afterEach(() => last?.stop());

async function opened<T extends { stop(): Promise<void> }>(starting: Promise<T>): Promise<T> {
  const started = await starting;
  last = started;
  return started;
}

/** Runs `work` on each of the items, that many at a time. */
async function inParallel<T>(width: number, items: T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const rest = [...items];
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let item = rest.pop(); item !== undefined; item = rest.pop()) await work(item);
    }),
  );
}

test('64 waiting claims over two coordinators grant each of 5,000 jobs exactly once, and at most four claims are under way in each', async () => {
  const cluster = await opened(startCluster(2));
  const apis = cluster.coordinators.map(({ api }) => api);
  const [first] = apis;
  const type = uniqueType();
  const granted = new Map<string, number>();
  const tokens = new Set<string>();
  let left = 5000;
  const runner = async (at: number) => {
    const api = apis[at % 2];
    while (left > 0 && api !== undefined) {
      for (const job of await api.claim({ runnerId: `runner-${at}`, types: [type], max: 1 + (at % 8), waitMs: 300 })) {
        granted.set(job.id, (granted.get(job.id) ?? 0) + 1);
        tokens.add(job.leaseToken);
        left -= 1;
      }
    }
  };
  const running = Array.from({ length: 64 }, (_, at) => runner(at));
  let mostClaims = 0;
  const watch = setInterval(
    () =>
      void cluster.sql
        .count(
          "pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE '%again AS MATERIALIZED%'",
        )
        .then(
          (count) => (mostClaims = Math.max(mostClaims, count)),
          () => undefined,
        ),
    20,
  );
  for (let at = 0; at < 10; at += 1)
    await first?.post('/jobs/bulk', {
      jobs: Array.from({ length: 500 }, (_, one) => ({ type, priority: (one % 3) - 1 })),
    });
  await Promise.all(running);
  clearInterval(watch);
  expect([granted.size, tokens.size, [...granted.values()].filter((count) => count !== 1)]).toEqual([5000, 5000, []]);
  expect(await cluster.sql.count("jobs WHERE type = $1 AND status = 'running' AND attempt = 1", [type])).toBe(5000);
  expect(mostClaims).toBeLessThanOrEqual(8);
}, 60_000);

test('batches over the same jobs in random order: no deadlock reaches a client', async () => {
  const cluster = await opened(startCluster(2, { monitorIntervalMs: 50 }));
  await cluster.sql.query(`ALTER DATABASE ${await nameOf(cluster)} SET deadlock_timeout = '50ms'`);
  const [one, two] = cluster.coordinators;
  const type = uniqueType();
  await one?.api.post('/jobs/bulk', {
    jobs: Array.from({ length: 500 }, () => ({
      type,
      maxAttempts: 1000,
      retry: { strategy: 'fixed', baseMs: 0, jitter: 0 },
      tags: ['storm'],
    })),
  });
  const held = new Map<string, ClaimedJob>();
  const statuses: number[] = [];
  const shuffled = () =>
    fc.sample(
      fc.shuffledSubarray([...held.values()], {
        minLength: Math.min(held.size, 200),
        maxLength: Math.min(held.size, 400),
      }),
      1,
    )[0] ?? [];
  const steps: ((at: number) => Promise<{ status: number }>)[] = [
    async () => {
      const answer = await two?.api.post<{ jobs: ClaimedJob[] }>('/jobs/claim', {
        runnerId: 'storm',
        types: [type],
        max: 300,
      });
      for (const job of answer?.body.jobs ?? []) held.set(job.id, job);
      return answer ?? { status: 0 };
    },
    async (at) =>
      (await cluster.coordinators[at % 2]?.api.post('/jobs/heartbeat', {
        runnerId: 'storm',
        jobs: shuffled().map(({ id, leaseToken }) => ({ jobId: id, leaseToken })),
      })) ?? { status: 0 },
    async (at) =>
      (await cluster.coordinators[at % 2]?.api.post('/jobs/complete', {
        completions: shuffled().map(({ id, leaseToken }) => ({
          jobId: id,
          leaseToken,
          outcome: 'failed',
          error: { message: 'storm' },
        })),
      })) ?? { status: 0 },
    async () => (await one?.api.post('/jobs/cancel', { filter: { tag: 'storm' } })) ?? { status: 0 },
    async () => (await two?.api.post('/jobs/retry', { filter: { tag: 'storm' } })) ?? { status: 0 },
    async () => {
      await cluster.sql
        .query("UPDATE jobs SET lease_expires_at = now() WHERE status = 'running' AND random() < 0.2")
        .catch(() => undefined);
      return { status: 200 };
    },
  ];
  await inParallel(
    8,
    Array.from({ length: 240 }, (_, at) => at),
    async (at) => {
      const step = steps[(at * 7) % steps.length];
      let status = (await step?.(at))?.status ?? 0;
      // On a slow machine a key's share of connections is taken for long; a client comes again, as it is told to.
      while (status === 429) status = (await step?.(at))?.status ?? 0;
      statuses.push(status);
    },
  );
  expect(statuses.filter((status) => status !== 200)).toEqual([]);
  expect(cluster.coordinators.flatMap(({ logged }) => logged.filter(({ level }) => level === 'error'))).toEqual([]);
}, 60_000);

test('with the fewest connections and 200 waiting claims, which hold none, and a table that is locked for slow reads, heartbeats with log lines are answered', async () => {
  const coordinator = await opened(startCoordinator({ poolSize: 5 }));
  const { api, sql } = coordinator;
  const type = uniqueType();
  await api.create({ type });
  const runnerKey = api.as(await api.makeKey({ name: 'r', role: 'runner' }));
  // Its key was never looked up before.
  const newcomer = api.as(await api.makeKey({ name: 'n', role: 'runner' }));
  const held = await runnerKey.claimOne({ runnerId: 'held', types: [type] });
  const over = new AbortController();
  const parked = Array.from({ length: 200 }, (_, at) =>
    runnerKey.claim({ runnerId: `parked-${at}`, types: [`${type}-none`], waitMs: 50_000 }, { signal: over.signal }),
  );
  await eventually(() => coordinator.app.services.dispatcher.size === 200);
  expect(
    await sql.count(
      "pg_stat_activity WHERE datname = current_database() AND application_name = 'baton' AND state <> 'idle'",
    ),
  ).toBeLessThanOrEqual(1);
  // Reads of the queues' table take all connections that are not kept for runners, and wait.
  const session = await sql.session();
  await session.begin();
  await session.query({ text: 'LOCK TABLE queues IN ACCESS EXCLUSIVE MODE' });
  const slow = Array.from({ length: 20 }, () => api.get('/queues'));
  await session.hasWaiter(1);
  const beats = await Promise.all(
    Array.from({ length: 50 }, (_, at) =>
      (at % 2 === 0 ? runnerKey : newcomer).post(`/jobs/${held.id}/heartbeat`, {
        leaseToken: held.leaseToken,
        logs: [{ level: 'info', message: 'beat' }],
      }),
    ),
  );
  const { status } = await runnerKey.complete(held);
  expect(
    await sql.count("pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"),
  ).toBeGreaterThanOrEqual(1);
  await session.commit();
  await session.end();
  expect([...new Set(beats.map((beat) => beat.status)), status]).toEqual([200, 200]);
  expect(await sql.count('job_logs')).toBe(50);
  await Promise.all(slow);
  over.abort();
  await Promise.allSettled(parked);
}, 60_000);

test('with the fewest connections, creates that wait for the lock of their key leave claims one', async () => {
  const coordinator = await opened(startCoordinator({ poolSize: 5 }));
  const { api, sql } = coordinator;
  const type = uniqueType();
  const { id } = await api.create({ type });
  const session = await sql.session();
  await session.begin();
  await lockNames(session, [orderLock({ queue: 'default', key: 'o' })]);
  const creates = Array.from({ length: 5 }, () =>
    api.post('/jobs/bulk', { jobs: [{ type: `${type}-ordered`, orderKey: 'o' }] }),
  );
  await session.hasWaiter();
  expect((await api.claim({ runnerId: 'r', types: [type] })).map((job) => job.id)).toEqual([id]);
  await session.rollback();
  await session.end();
  expect(new Set((await Promise.all(creates)).map(({ status }) => status))).toEqual(new Set([201]));
});

test('the smallest pool serves every verb, without waiting for itself', async () => {
  const coordinator = await opened(startCoordinator({ poolSize: 5 }));
  const { api } = coordinator;
  const type = uniqueType();
  await Promise.all(
    Array.from({ length: 30 }, (_, at) =>
      api.post('/jobs', { type, uniqueKey: `k${at % 10}` }, { headers: { 'idempotency-key': `i${at}` } }),
    ),
  );
  await Promise.all(
    Array.from({ length: 5 }, () =>
      api.post('/jobs/bulk', {
        jobs: [
          { type, uniqueKey: 'k1' },
          { type, priority: 50 },
        ],
      }),
    ),
  );
  const claimed = await api.claim({ runnerId: 'r', types: [type], max: 50 });
  expect(claimed.length).toBe(15);
  await coordinator.sql.query('UPDATE jobs SET lease_expires_at = now() WHERE id = $1', [claimed[0]?.id]);
  await Promise.all([
    coordinator.runMonitor(),
    ...claimed
      .slice(1)
      .map((job) => api.complete(job, { outcome: 'failed', error: { message: 'x', retryable: false } })),
    api.post('/jobs/retry', { filter: { type } }),
    api.get('/health'),
  ]);
  const { id } = expectStatus(
    await api.post<BulkOperation>('/jobs/cancel', { filter: { type }, background: true }),
    202,
  );
  await eventually(async () => (await api.get<BulkOperation>(`/bulk-operations/${id}`)).body.status === 'finished');
  expect(coordinator.logged.filter(({ level }) => level === 'error')).toEqual([]);
});

test('heartbeats touch no index: at least 95 of 100 are HOT updates', async () => {
  const coordinator = await opened(startCoordinator());
  const { api, sql } = coordinator;
  const type = uniqueType();
  await api.post('/jobs/bulk', { jobs: Array.from({ length: 200 }, () => ({ type })) });
  const jobs = (await api.claim({ runnerId: 'r', types: [type], max: 500 })).map(({ id, leaseToken }) => ({
    jobId: id,
    leaseToken,
    progress: { percent: 5, message: 'on' },
  }));
  const beat = async (rounds: number) => {
    for (let round = 0; round < rounds; round += 1) await api.post('/jobs/heartbeat', { runnerId: 'r', jobs });
  };
  // The first beats spread the rows over their pages.
  await beat(20);
  const updates = async () => {
    // A connection reports what it counted at its end, or after seconds of rest.
    await sql.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'baton' AND state = 'idle'",
    );
    return sql.one<{ all: number; hot: number }>(
      "SELECT n_tup_upd::int AS all, n_tup_hot_upd::int AS hot FROM pg_stat_user_tables WHERE relname = 'jobs'",
    );
  };
  const before = await eventually(updates, ({ all }) => all >= 21 * jobs.length);
  await beat(20);
  const after = await eventually(updates, ({ all }) => all - before.all >= 20 * jobs.length);
  expect((after.hot - before.hot) / (after.all - before.all)).toBeGreaterThanOrEqual(0.95);
}, 40_000);

async function nameOf({ sql }: { sql: { one: (text: string) => Promise<{ name?: string }> } }): Promise<string> {
  return (await sql.one('SELECT current_database() AS name')).name ?? '';
}
