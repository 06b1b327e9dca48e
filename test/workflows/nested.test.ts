import { Client, defineJob, Runner, SuspendError } from '@baton/runner-sdk';
import type { Batch, ClaimedJob, Explanation, Job, Problem, ReleaseReply, Workflow } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

// Jobs that give themselves back until a workflow or batch has ended.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => {
  coordinator = await startCoordinator();
});
afterAll(() => coordinator.stop());

const claimOne = (type: string): Promise<ClaimedJob> =>
  coordinator.api.claimOne({ runnerId: 'r', types: [type], waitMs: 10_000 });
const release = ({ id, leaseToken }: ClaimedJob, body: object) =>
  coordinator.api.post<ReleaseReply & Omit<Problem, 'status'>>(`/jobs/${id}/release`, { leaseToken, ...body });
const make = async (jobs: Record<string, unknown>, more: object = {}): Promise<Workflow> =>
  expectStatus(await coordinator.api.post<Workflow>('/workflows', { name: 'nested', jobs, ...more }), 201);
const statusIs = (id: string, status: string) =>
  eventually(
    () => coordinator.api.job(id),
    (job) => job.status === status,
  );

async function suspended(until: object, more: object = {}): Promise<Job> {
  const type = uniqueType();
  const { id } = await coordinator.api.create({ type, ...more });
  const reply = expectStatus(await release(await claimOne(type), { until, checkpoint: { at: 2 } }), 200);
  expect(reply.attempt).toBe(1);
  return coordinator.api.job(id);
}

test('it is blocked until the workflow ends, and then has its checkpoint and the outcome', async () => {
  const inner = uniqueType('inner');
  const { id: workflowId } = await make({ a: { type: inner } });
  const job = await suspended({ workflowId });
  expect(job).toMatchObject({ status: 'blocked', failures: 0, leaseExpiresAt: null });
  const { reasons } = expectStatus(await coordinator.api.get<Explanation>(`/jobs/${job.id}/explain`), 200);
  expect(reasons).toMatchObject([
    { code: 'waits_for_jobs', details: { jobs: [{ id: workflowId, status: 'running' }] } },
  ]);
  await coordinator.api.complete(await claimOne(inner), { outcome: 'completed' });
  const again = await claimOne(job.type);
  expect(again).toMatchObject({
    attempt: 2,
    checkpoint: { at: 2 },
    dependencies: { [workflowId]: { id: workflowId, status: 'completed' } },
  });
  // The same release again is the same; one workflow can be waited for twice.
  expectStatus(await release(again, { until: { workflowId } }), 200);
  expect((await release(again, { until: { workflowId } })).body.status).toBe('pending');
  expect((await claimOne(job.type)).attempt).toBe(3);
});

test('it goes on after a batch, however that ends', async () => {
  const inner = uniqueType('inner');
  const { id: batchId } = expectStatus(
    await coordinator.api.post<Batch>('/batches', { jobs: [{ type: inner }, { type: inner }] }),
    201,
  );
  const job = await suspended({ batchId });
  expect(job.status).toBe('blocked');
  await coordinator.api.complete(await claimOne(inner), { outcome: 'completed' });
  expect((await coordinator.api.job(job.id)).status).toBe('blocked');
  expectStatus(await coordinator.api.post(`/batches/${batchId}/cancel`, {}), 200);
  expect((await claimOne(job.type)).dependencies).toMatchObject({ [batchId]: { status: 'cancelled' } });
});

test('what has ended, or is not there, or is deleted meanwhile, is not waited for', async () => {
  const inner = uniqueType('inner');
  const { id: workflowId } = await make({ a: { type: inner } });
  const kept = await suspended({ workflowId });
  await coordinator.api.post(`/workflows/${workflowId}/cancel`, {});
  await statusIs(kept.id, 'pending');
  expect((await suspended({ workflowId })).status).toBe('pending');
  const gone = await suspended({ workflowId: '0198b7d0-0000-7000-8000-000000000001' });
  expect(gone.status).toBe('pending');
  expect((await claimOne(gone.type)).dependencies).toMatchObject({
    '0198b7d0-0000-7000-8000-000000000001': { status: 'cancelled' },
  });
  const { id: lost } = await make({ a: { type: inner, runAt: '2100-01-01T00:00:00Z' } });
  const waiting = await suspended({ workflowId: lost });
  await coordinator.sql.query('DELETE FROM workflows WHERE id = $1', [lost]);
  await coordinator.app.loops.settle.runOnce();
  await statusIs(waiting.id, 'pending');
});

test("another user's workflow is as one that is not there", async () => {
  const { id: workflowId } = await make({ a: { type: uniqueType() } }, { userId: 'ben' });
  expect((await suspended({ workflowId }, { userId: 'ann' })).status).toBe('pending');
  expect((await suspended({ workflowId }, { userId: 'ben' })).status).toBe('blocked');
});

test('what waits for the job itself is refused, over however many steps', async () => {
  const [outer, inner] = [uniqueType('outer'), uniqueType('inner')];
  const one = await make({ a: { type: outer } });
  const two = await make({ a: { type: inner }, b: { type: inner, dependsOn: ['a'] } });
  const first = await claimOne(outer);
  const own = await release(first, { until: { workflowId: one.id } });
  expect([own.status, own.body.code]).toEqual([400, 'dependency_cycle']);
  expectStatus(await release(first, { until: { workflowId: two.id } }), 200);
  const second = await claimOne(inner);
  const round = await release(second, { until: { workflowId: one.id } });
  expect([round.status, round.body.code]).toEqual([400, 'dependency_cycle']);
  expect((await coordinator.api.job(second.id)).status).toBe('running');
});

test('one that waits can be cancelled, and retried while the other runs', async () => {
  const inner = uniqueType('inner');
  const { id: batchId } = expectStatus(await coordinator.api.post<Batch>('/batches', { jobs: [{ type: inner }] }), 201);
  const job = await suspended({ batchId });
  expectStatus(await coordinator.api.post(`/jobs/${job.id}/cancel`), 200);
  expect(expectStatus(await coordinator.api.post<Job>(`/jobs/${job.id}/retry`), 200).status).toBe('blocked');
  await coordinator.api.complete(await claimOne(inner), { outcome: 'completed' });
  await statusIs(job.id, 'pending');
});

test('a handler adds to its workflow, starts another, and goes on after it; a run again makes nothing twice', async () => {
  const key = await coordinator.api.makeKey({ name: 'runner', role: 'runner' });
  const connection = { coordinatorUrl: coordinator.url, proxy: false as const };
  const client = new Client({ ...connection, apiKey: coordinator.adminKey });
  const quiet = { debug() {}, info() {}, warn() {}, error() {} };
  const runner = new Runner({ ...connection, apiKey: key, concurrency: 1, logger: quiet });
  const [plan, part, late] = ['plan', 'part', 'late'].map((name) => defineJob({ type: uniqueType(name) }));
  if (plan === undefined || part === undefined || late === undefined) throw new Error('three were defined');
  const runs: number[] = [];
  runner.handle(plan, async (_args, job) => {
    runs.push(job.attempt);
    await job.addToWorkflow((workflow) => workflow.add(late, {}, { key: 'late', after: [workflow.step('plan')] }));
    const nested = await job.startWorkflow('parts', (workflow) => {
      workflow.add(part, {}, { key: 'one' });
      workflow.add(part, {}, { key: 'two' });
    });
    if (job.dependencies[nested.id] === undefined) {
      await job.checkpoint({ nested: nested.id });
      throw new SuspendError({ workflowId: nested.id });
    }
    return { saved: job.lastCheckpoint, status: job.dependencies[nested.id]?.status, counted: nested.counts.total };
  });
  // With one slot, they run only because the job that waits for them takes none.
  runner.handle(part, () => null);
  runner.handle(late, async (_args, job) => job.resultOf('plan'));
  try {
    await runner.start();
    const { id } = await client.workflow('outer', (workflow) => workflow.add(plan, {}, { key: 'plan' }));
    const ended = await client.waitWorkflow(id, { timeoutMs: 30_000 });
    expect(ended).toMatchObject({ status: 'completed', counts: { total: 2, completed: 2 } });
    const result = await client.wait(ended.jobs['late']?.id ?? '');
    expect(result).toMatchObject({ saved: { nested: expect.any(String) as string }, status: 'completed', counted: 2 });
    expect(runs).toEqual([1, 2]);
    expect((await client.workflows.list({ name: 'parts' })).items).toHaveLength(1);
  } finally {
    await runner.stop();
    await client.close();
  }
});

test('a handler starts a batch of its own with the key of a runner, once, and goes on when it has ended', async () => {
  const [outer, inner] = [uniqueType('outer'), uniqueType('inner')];
  const apiKey = await coordinator.api.makeKey({ name: 'nested', role: 'runner' });
  const connection = { coordinatorUrl: coordinator.url, proxy: false as const };
  const client = new Client({ ...connection, apiKey: coordinator.adminKey });
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  const runner = new Runner({ ...connection, apiKey, concurrency: 1, logger });
  let calls = 0;
  runner.handle(inner, (args) => (args as { n: number }).n ** 2);
  runner.handle(outer, async (_args, job) => {
    calls += 1;
    const batch = await job.startBatch('squares', inner, [{ n: 2 }, { n: 3 }]);
    // Again, as a handler does that is run again.
    expect((await job.startBatch('squares', inner, [{ n: 2 }, { n: 3 }])).id).toBe(batch.id);
    const split = await job.startSplit('halves', inner, [1, 2, 3], { batchSize: 2, arguments: { n: 0 } });
    expect([split.counts.total, split.userId]).toEqual([2, 'ann']);
    expect((await job.startSplit('halves', inner, [1, 2, 3], { batchSize: 2, arguments: { n: 0 } })).id).toBe(split.id);
    if (job.dependencies[batch.id] === undefined) throw new SuspendError({ batchId: batch.id });
    return { batchId: batch.id, ended: job.dependencies[batch.id]?.status };
  });
  await runner.start();
  const created = await client.create(outer, {}, { userId: 'ann' });
  const result = (await client.wait(created, { timeoutMs: 30_000 })) as { batchId: string; ended: string };
  expect([calls, result.ended]).toEqual([2, 'completed']);
  expect(await client.batches.get(result.batchId)).toMatchObject({
    userId: 'ann',
    name: 'squares',
    status: 'completed',
  });
  await runner.stop();
  await client.close();
});

test('a job makes batches and workflows for its own user alone', async () => {
  const type = uniqueType();
  await coordinator.api.create({ type, userId: 'ann' });
  const { id, leaseToken } = await claimOne(type);
  const headers = { 'baton-job': id, 'baton-lease': leaseToken };
  const refused = async (path: string, json: object) => {
    const { status, body } = await coordinator.api.call('post', path, { headers, json });
    expect([status, (body as Problem).code]).toEqual([403, 'forbidden']);
  };
  await refused('/batches', { userId: 'ben', jobs: [{ type }] });
  await refused('/batches', { jobs: [{ type, userId: 'ben' }] });
  await refused('/batches', { jobs: [{ type }], onComplete: { type, userId: 'ben' } });
  await refused('/workflows', { name: 'other', userId: 'ben', jobs: { a: { type } } });
});

test('a limited key of a runner makes only jobs within its limits, in whose name ever', async () => {
  const type = uniqueType();
  await coordinator.api.create({ type, queue: 'limited' });
  const api = coordinator.api.as(await coordinator.api.makeKey({ name: 'l', role: 'runner', queues: ['limited'] }));
  const { id, leaseToken } = await api.claimOne({ runnerId: 'l', types: [type], waitMs: 10_000 });
  const headers = { 'baton-job': id, 'baton-lease': leaseToken };
  const post = async (path: string, json: object) => (await api.call('post', path, { headers, json })).status;
  const within = { type, queue: 'limited' };
  for (const [queue, status] of [
    ['other', 403],
    ['limited', 201],
  ] as const) {
    const job = { type, queue };
    expect([queue, await post('/batches', { jobs: [job] })]).toEqual([queue, status]);
    expect([queue, await post('/batches', { jobs: [within], onComplete: job })]).toEqual([queue, status]);
    expect([queue, await post('/jobs/split', { ...job, items: [1], batchSize: 1 })]).toEqual([queue, status]);
    expect([queue, await post('/workflows', { name: 'w', jobs: { a: job } })]).toEqual([queue, status]);
  }
});

test('an attempt with another limited key of a runner finds the batch that the one before began', async () => {
  const type = uniqueType();
  const { id } = await coordinator.api.create({ type, queue: 'limited' });
  const begin = async (name: string) => {
    const api = coordinator.api.as(await coordinator.api.makeKey({ name, role: 'runner', queues: ['limited'] }));
    const job = await api.claimOne({ runnerId: name, types: [type], waitMs: 10_000 });
    const headers = { 'baton-job': id, 'baton-lease': job.leaseToken, 'idempotency-key': `${id}:parts` };
    const answer = await api.call<Batch>('post', '/batches', {
      headers,
      json: { jobs: [{ type: `${type}-part`, queue: 'limited' }] },
    });
    await api.post(`/jobs/${id}/release`, { leaseToken: job.leaseToken, delayMs: 0 });
    return answer;
  };
  const [first, second] = [await begin('one'), await begin('two')];
  expect([first.status, second.status, second.body.id]).toEqual([201, 200, first.body.id]);
});
