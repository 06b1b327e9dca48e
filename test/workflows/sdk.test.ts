import { Client, defineJob, Runner } from '@baton/runner-sdk';
import { z } from 'zod';
import { startCoordinator } from '../support/coordinator';
import { uniqueType } from '../support/factory';

// Workflows as users of the SDK write them, run by its runner.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let client: Client;
let runner: Runner;

beforeAll(async () => {
  coordinator = await startCoordinator();
  const connection = { coordinatorUrl: coordinator.url, apiKey: coordinator.adminKey, proxy: false as const };
  client = new Client(connection);
  runner = new Runner({ ...connection, concurrency: 4, logger: { debug() {}, info() {}, warn() {}, error() {} } });
});
afterAll(async () => {
  await runner.stop();
  await client.close();
  await coordinator.stop();
});

const load = defineJob({
  type: uniqueType('load'),
  arguments: z.object({ rows: z.int() }),
  result: z.object({ rows: z.array(z.int()) }),
});
const sum = defineJob({ type: uniqueType('sum'), result: z.object({ sum: z.int(), large: z.string() }) });
const report = defineJob({ type: uniqueType('report'), result: z.string() });

test('a child is handed the results of its parents, typed, also those too large for the claim', async () => {
  runner.handle(load, ({ rows }) => ({ rows: Array.from({ length: rows }, (_, index) => index) }));
  runner.handle(sum, async (_args, job) => {
    const { rows } = (await job.resultOf(load)) ?? { rows: [] };
    return { sum: rows.reduce((total, row) => total + row, 0), large: 'x'.repeat(200_000) };
  });
  runner.handle(report, async (_args, job) => {
    const [left, right] = [await job.resultOf(sum, 'left'), await job.resultOf(sum, 'right')];
    const unknown = await job.resultOf('nobody').catch((error: Error) => error.message);
    return `${left?.sum} ${right?.sum} ${left?.large.length} ${right?.large.length}; ${String(unknown)}`;
  });
  await runner.start();
  const made = await client.workflow('sums', (workflow) => {
    const loaded = workflow.add(load, { rows: 4 });
    const parts = ['left', 'right'].map((key) => workflow.add(sum, undefined, { key, after: [loaded] }));
    workflow.add(report, undefined, { key: 'report', after: parts });
  });
  const ended = await client.waitWorkflow(made, { timeoutMs: 30_000 });
  expect(ended).toMatchObject({ status: 'completed', counts: { total: 4, completed: 4 } });
  expect(await client.wait(ended.jobs['report']?.id ?? '', { definition: report })).toBe(
    '6 6 200000 200000; this job did not wait for nobody; it waited for left, right',
  );
});

test('a chain runs one step after the other, each key its type', async () => {
  const { id, jobs } = await client.chain([[load, { rows: 2 }], [sum]], { name: 'two' });
  expect(jobs[sum.type]?.dependsOn).toEqual([load.type]);
  const { jobs: ended } = await client.waitWorkflow(id, { timeoutMs: 30_000 });
  expect((await client.wait(ended[sum.type]?.id ?? '', { definition: sum })).sum).toBe(1);
});

test('a gate is opened and linked to, and what does not fit is not sent', async () => {
  const { id } = await client.workflow('gate', (workflow) => {
    const gate = workflow.gate('approve');
    workflow.add('ANY', {}, { after: [gate], runAt: '2100-01-01T00:00:00Z' });
  });
  expect((await client.workflows.link(id, 'approve', { outcome: 'refused' })).url).toContain('for=refused');
  expect(await client.workflows.decide(id, 'approve', 'opened', { by: 'ann' })).toMatchObject({ status: 'completed' });
  expect((await client.workflows.cancel(id, { key: 'ANY' })).status).toBe('cancelled');
  await expect(client.workflow('bad', (workflow) => workflow.add(load, { rows: 0.5 }))).rejects.toMatchObject({
    code: 'invalid_arguments',
  });
  await expect(client.workflow('twice', (workflow) => [workflow.gate('a'), workflow.gate('a')])).rejects.toMatchObject({
    code: 'validation_failed',
  });
  expect((await client.workflows.list({ name: ['bad', 'twice'] })).items).toEqual([]);
});
