import type { ClaimReply, HeartbeatReply, HeartbeatsReply, RunnerView } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { type Cluster, startCluster, type TestCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { jobIn, uniqueType } from '../support/factory';

interface Page {
  items: RunnerView[];
  nextCursor: string | null;
}

let cluster: Cluster;
let here: TestCoordinator;
let there: TestCoordinator;
beforeAll(async () => {
  cluster = await startCluster(2);
  const [one, two] = cluster.coordinators;
  if (one === undefined || two === undefined) throw new Error('two coordinators');
  [here, there] = [one, two];
});
afterAll(() => cluster.stop());

const listed = async (id: string) =>
  expectStatus(await here.api.get<Page>('/runners?limit=500'), 200).items.find((runner) => runner.id === id);

test('a runner is known from its first claim, with what it takes and how much it holds', async () => {
  const [type, id] = [uniqueType(), uniqueType('runner')];
  await here.api.create({ type });
  await here.api.claim({
    runnerId: id,
    types: [type],
    queues: ['default'],
    labels: { gpu: true, zone: 'a' },
    version: '1.2.3',
  });
  expect(await listed(id)).toMatchObject({
    id,
    types: [type],
    queues: ['default'],
    labels: { gpu: true, zone: 'a' },
    version: '1.2.3',
    running: 1,
    status: 'active',
    drainingSince: null,
  });
});

test('a runner that was heard on the other coordinator is listed within its next round', async () => {
  const id = uniqueType('runner');
  await there.api.claim({ runnerId: id, types: ['none'] });
  expect(
    await eventually(
      () => listed(id),
      (runner) => runner !== undefined,
    ),
  ).toMatchObject({ id, queues: null });
});

test.each<[string, (id: string) => Promise<unknown>]>([
  [
    'a heartbeat of one job',
    async (id) => {
      const type = uniqueType();
      await here.api.create({ type });
      const job = await here.api.claimOne({ runnerId: id, types: [type] });
      await cluster.sql.query('DELETE FROM runners WHERE id = $1', [id]);
      await here.app.context.runnerRegistry.writeSeen();
      await cluster.sql.query('DELETE FROM runners WHERE id = $1', [id]);
      return here.api.post(`/jobs/${job.id}/heartbeat`, { leaseToken: job.leaseToken });
    },
  ],
  ['a heartbeat of many', (id) => here.api.post('/jobs/heartbeat', { runnerId: id, jobs: [] })],
])('%s keeps a runner known', async (_name, beat) => {
  const id = uniqueType('runner');
  await beat(id);
  expect(await listed(id)).toMatchObject({ id, status: 'active' });
});

test('a runner that was not heard for a minute is lost, until it is heard again', async () => {
  const id = uniqueType('runner');
  await here.api.claim({ runnerId: id, types: ['none'] });
  await listed(id);
  await cluster.sql.query("UPDATE runners SET last_seen_at = now() - interval '61 s' WHERE id = $1", [id]);
  expect((await listed(id))?.status).toBe('lost');
  await here.api.claim({ runnerId: id, types: ['none'] });
  expect((await listed(id))?.status).toBe('active');
});

test('the list goes page by page', async () => {
  const ids = Array.from({ length: 5 }, (_, at) => uniqueType(`page-${at}`));
  for (const id of ids) await here.api.claim({ runnerId: id, types: ['none'] });
  const read: string[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const page: Page = expectStatus(
      await here.api.get<Page>(`/runners?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`),
      200,
    );
    read.push(...page.items.map((runner) => runner.id));
    cursor = page.nextCursor;
  }
  expect(read).toEqual([...new Set(read)]);
  expect(read).toEqual(expect.arrayContaining(ids));
});

describe('drain', () => {
  const runnerOf = async (on: TestCoordinator, type: string) => {
    const id = uniqueType('runner');
    expectStatus(await on.api.post<ClaimReply>('/jobs/claim', { runnerId: id, types: [type] }), 200);
    return id;
  };

  test('a runner that drains gets no more work, and is told on every answer, until it is resumed', async () => {
    const type = uniqueType();
    const id = await runnerOf(here, type);
    await here.api.create({ type });
    const held = await here.api.claimOne({ runnerId: id, types: [type] });
    expect((await here.api.post<RunnerView>(`/runners/${id}/drain`)).body).toMatchObject({
      id,
      status: 'draining',
      drainingSince: expect.any(String),
    });
    await here.api.create({ type });
    const claim = () => here.api.post<ClaimReply>('/jobs/claim', { runnerId: id, types: [type] });
    expect((await claim()).body).toEqual({ jobs: [], directives: { drain: true } });
    expect(
      (await here.api.post<HeartbeatReply>(`/jobs/${held.id}/heartbeat`, { leaseToken: held.leaseToken })).body
        .directives,
    ).toEqual({ drain: true });
    expect(
      (await here.api.post<HeartbeatsReply>('/jobs/heartbeat', { runnerId: id, jobs: [] })).body.directives,
    ).toEqual({ drain: true });
    const both = await here.api.post('/jobs/complete', {
      completions: [{ jobId: held.id, leaseToken: held.leaseToken, outcome: 'completed' }],
      claim: { runnerId: id, types: [type] },
    });
    expect(both.body).toMatchObject({ results: [{ status: 'completed' }], jobs: [], directives: { drain: true } });
    expect((await here.api.post<RunnerView>(`/runners/${id}/resume`)).body).toMatchObject({
      status: 'active',
      drainingSince: null,
    });
    expect((await claim()).body).toMatchObject({ jobs: [{ type }], directives: {} });
  });

  test.each([
    ['here', 0],
    ['on the other coordinator', 1],
  ])('a claim that waits %s is answered at once, and gets nothing any more', async (_name, at) => {
    const on = at === 0 ? here : there;
    const type = uniqueType();
    const id = await runnerOf(on, type);
    await on.app.context.runnerRegistry.writeSeen();
    const parked = on.api.post<ClaimReply>('/jobs/claim', { runnerId: id, types: [type], waitMs: 50_000 });
    await eventually(() => on.app.services.dispatcher.size === 1);
    await here.api.post(`/runners/${id}/drain`);
    expect((await parked).body).toEqual({ jobs: [], directives: { drain: true } });
  });

  test('other runners go on', async () => {
    const { job } = await jobIn('pending', { ...here, sql: cluster.sql });
    const id = await runnerOf(here, 'none');
    await here.api.post(`/runners/${id}/drain`);
    expect((await here.api.claim({ runnerId: 'another', types: [job.type] })).length).toBe(1);
  });

  test('a runner that was never heard is 404', async () => {
    expect(await here.api.refusal('post', `/runners/${uniqueType('nobody')}/drain`)).toEqual([404, 'not_found']);
    expect(await here.api.refusal('post', `/runners/${uniqueType('nobody')}/resume`)).toEqual([404, 'not_found']);
  });
});
