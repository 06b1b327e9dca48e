import { Client, defineJob, Runner, type Handler, type JobContext } from '@baton/runner-sdk';
import type { HeartbeatsReply, RunnerView } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { type Cluster, startCluster, type TestCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import { testLogger } from '../runner-sdk/fake-coordinator';

// Leases of ten minutes: the next regular heartbeat comes after 200 s, so what is seen before is not brought by one.
const LEASE_MS = 600_000;

let cluster: Cluster;
let here: TestCoordinator;
let there: TestCoordinator;
let client: Client;
const runners: Runner[] = [];

beforeAll(async () => {
  cluster = await startCluster(2);
  const [one, two] = cluster.coordinators;
  if (one === undefined || two === undefined) throw new Error('two coordinators');
  [here, there] = [one, two];
  client = new Client({ coordinatorUrl: here.url, apiKey: cluster.adminKey });
});

afterAll(async () => {
  await Promise.all(runners.map((runner) => runner.stop({ graceMs: 0 })));
  await client.close();
  await cluster.stop();
});

/** A runner at the other coordinator, with one slot. */
async function run(type: string, handler: Handler, logger = testLogger()): Promise<Runner> {
  const connection = { coordinatorUrl: there.url, apiKey: cluster.adminKey, signals: false, logger };
  const runner = new Runner({ ...connection, leaseMs: LEASE_MS, concurrency: 1 });
  runner.handle(type, handler);
  runners.push(runner);
  await runner.start();
  return runner;
}

const untilAborted = (_args: unknown, { signal }: JobContext) =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(String((signal.reason as Error).name))));

test('a cancellation on another coordinator reaches the handler at once, whatever the lease', async () => {
  const type = uniqueType();
  const seen: string[] = [];
  await run(type, async (args, job) => void seen.push(String(await untilAborted(args, job))));
  const first = await client.create(type);
  await eventually(
    () => client.get(first.id),
    (job) => job.status === 'running',
  );
  await client.cancel(first.id);
  await eventually(
    () => Promise.resolve(seen.length),
    (count) => count === 1,
  );
  // And again, by a wait that began after the first was told.
  const second = await client.create(type);
  await eventually(
    () => client.get(second.id),
    (job) => job.status === 'running',
  );
  await client.cancel(second.id);
  await eventually(
    () => Promise.resolve(seen),
    (names) => names.length === 2,
  );
  expect(seen).toEqual(['AttemptCancelledError', 'AttemptCancelledError']);
});

test('a drain reaches a runner whose slots are all taken', async () => {
  const [type, logger] = [uniqueType(), testLogger()];
  const runner = await run(type, untilAborted, logger);
  const job = await client.create(type);
  await eventually(
    () => client.get(job.id),
    ({ status }) => status === 'running',
  );
  // The other coordinator writes down within a second whom it has heard.
  await eventually(
    () => here.api.post(`/runners/${runner.id}/drain`, {}),
    ({ status }) => status === 200,
  );
  await eventually(
    () => Promise.resolve(logger.lines),
    (lines) => lines.some(({ message }) => message.startsWith('told to drain')),
  );
});

test('progress and logs are seen while the job runs, and the last progress when it has ended', async () => {
  const type = uniqueType();
  let end: () => void = () => undefined;
  await run(type, async (_args, job) => {
    job.progress(10, 'first');
    await new Promise<void>((resolve) => (end = resolve));
    job.progress(20, 'second');
    job.log.info('a line');
    await new Promise<void>((resolve) => (end = resolve));
    job.progress(100, 'last');
  });
  const { id } = await client.create(type);
  const progress = async () => (await client.get(id)).progress?.message;
  await eventually(progress, (message) => message === 'first');
  end();
  await eventually(progress, (message) => message === 'second');
  await eventually(
    () => client.logs(id),
    ({ items }) => items.some(({ message }) => message === 'a line'),
  );
  end();
  const done = await eventually(
    () => client.get(id),
    ({ status }) => status === 'completed',
  );
  expect(done.progress).toMatchObject({ percent: 100, message: 'last' });
});

test('a runner that has stopped is listed as stopped, and lives no more', async () => {
  const type = uniqueType();
  const runner = await run(type, () => null);
  await client.wait(await client.create(type));
  const listed = async () =>
    expectStatus(await there.api.get<{ items: RunnerView[] }>('/runners?limit=500'), 200).items.find(
      ({ id }) => id === runner.id,
    );
  expect(await listed()).toMatchObject({ status: 'active' });
  await runner.stop();
  expect(await listed()).toMatchObject({ status: 'stopped' });
});

describe('a heartbeat that waits', () => {
  const beat = (at: TestCoordinator, body: object) => at.api.post<HeartbeatsReply>('/jobs/heartbeat', body);

  test('extends the leases first, and is told of a job that was cancelled between two waits', async () => {
    const [type, runnerId] = [uniqueType(), uniqueType('runner')];
    const { id } = await here.api.create({ type });
    const [job] = await here.api.claim({ runnerId, types: [type] });
    await client.cancel(id);
    const leaseToken = job?.leaseToken;
    const reply = expectStatus(await beat(here, { runnerId, jobs: [{ jobId: id, leaseToken }], waitMs: 50_000 }), 200);
    expect(reply).toMatchObject({ jobs: [{ jobId: id, code: 'job_cancelled' }], check: [id] });
    // Told once.
    expect(expectStatus(await beat(here, { runnerId, jobs: [], waitMs: 1 }), 200)).toMatchObject({ check: [] });
  });

  test('is told to check all when many were cancelled at once elsewhere', async () => {
    const [type, runnerId] = [uniqueType(), uniqueType('runner')];
    const jobs = await client.createMany(
      defineJob({ type }),
      Array.from({ length: 20 }, () => ({})),
    );
    await here.api.claim({ runnerId, types: [type], max: 20 });
    const waiting = beat(there, { runnerId, jobs: [], waitMs: 50_000 });
    await client.cancelAll({ type });
    const { check } = expectStatus(await waiting, 200);
    expect(check === 'all' || (check ?? []).every((id) => jobs.some((job) => job.id === id))).toBe(true);
  });

  test.each([[{ waitMs: 50_001 }], [{ waitMs: -1 }], [{ waitMs: 'long' }]])('refuses %j', async (body) => {
    expect((await beat(here, { runnerId: 'r', jobs: [], ...body })).status).toBe(400);
  });
});
