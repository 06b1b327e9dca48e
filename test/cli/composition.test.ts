import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Batch, Schedule, Workflow } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { uniqueType } from '../support/factory';
import { Shell } from './support/command';

type Started = Awaited<ReturnType<typeof startCoordinator>>;
let coordinator: Started;
let shell: Shell;

beforeAll(async () => {
  coordinator = await startCoordinator();
  shell = new Shell({ COORDINATOR_URL: coordinator.url, BATON_KEY: coordinator.adminKey });
});
afterAll(() => coordinator.stop());

const finish = async (type: string, outcome: 'completed' | 'failed', result?: unknown) => {
  const claimed = await coordinator.api.claimOne({ runnerId: 'shell', types: [type], waitMs: 10_000 });
  await coordinator.api.complete(
    claimed,
    outcome === 'completed' ? { outcome, result } : { outcome, error: { message: 'it broke' } },
  );
};

test('a schedule is put, shown with its next ticks, run, paused, resumed and deleted by its name', async () => {
  const name = uniqueType('nightly');
  const put = ['schedules', 'put', name, 'REPORT', '{"kind":"daily"}', '--cron', '0 2 * * *'];
  expect(await shell.json<Schedule>([...put, '--timezone', 'Europe/Lisbon', '--overlap', 'skip'])).toMatchObject({
    name,
    cron: '0 2 * * *',
    timezone: 'Europe/Lisbon',
    overlap: 'skip',
    job: { type: 'REPORT', arguments: { kind: 'daily' } },
  });
  const shown = await shell.run(['schedules', 'get', name, '--next', '2']);
  expect(shown.stdout).toContain('0 2 * * * in Europe/Lisbon');
  expect(shown.stdout.match(/\d{4}-\d\d-\d\d 02:00:00/g)).toHaveLength(2);
  await shell.json(['schedules', 'run', name]);
  expect((await shell.run(['schedules', 'ticks', name])).stdout).toContain('created');
  expect(await shell.json(['schedules', 'pause', name, '--reason', 'rewritten'])).toMatchObject({ status: 'paused' });
  expect((await shell.run(['schedules', 'list'])).stdout).toMatch(new RegExp(`${name}.*paused`));
  expect(await shell.json(['schedules', 'resume', name])).toMatchObject({ status: 'active' });
  expect((await shell.run(['schedules', 'delete', name, '--yes'])).code).toBe(0);
  const gone = await shell.run(['schedules', 'get', name]);
  expect([gone.code, gone.stderr]).toEqual([5, expect.stringContaining(`there is no schedule ${name}`)]);
  const unsaid = await shell.run(['schedules', 'put', name, 'REPORT']);
  expect([unsaid.code, unsaid.stderr]).toEqual([2, expect.stringContaining('either --cron or --every')]);
});

test('a batch is listed, shown, retried, cancelled, waited for, and gives its results', async () => {
  const type = uniqueType('part');
  const jobs = [1, 2].map((n) => ({ type, arguments: { n }, maxAttempts: 1 }));
  const { id } = expectStatus(
    await coordinator.api.post<Batch>('/batches', { name: 'parts', sealed: false, jobs }),
    201,
  );
  await finish(type, 'completed', { squared: 1 });
  await finish(type, 'failed');
  expect(await shell.json<Batch>(['batches', 'seal', id])).toMatchObject({ sealed: true });
  const waited = await shell.run(['batches', 'wait', id]);
  expect([waited.code, waited.stdout]).toEqual([
    7,
    expect.stringMatching(/parts failed[\s\S]*completed +1[\s\S]*failed +1/),
  ]);
  const results = (await shell.run(['batches', 'results', id])).stdout.trim().split('\n');
  expect(results).toEqual([expect.stringContaining('{"squared":1}'), expect.stringContaining('it broke')]);
  expect(await shell.json(['batches', 'retry', id])).toMatchObject({ status: 'running', counts: { pending: 1 } });
  expect((await shell.run(['batches', 'list', '--status', 'running'])).stdout).toContain(id);
  const cancelled = await shell.run(['batches', 'cancel', id, '--reason', 'enough', '--yes']);
  expect([cancelled.code, cancelled.stdout]).toEqual([0, expect.stringContaining('enough')]);
  expect((await shell.run(['batches', 'get', '01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10'])).code).toBe(5);
});

test('a workflow is run from a file, its gate opened, its failure retried', async () => {
  const type = uniqueType('step');
  const file = join(shell.folder, 'release.yaml');
  writeFileSync(
    file,
    `name: release
jobs:
  build: { type: ${type}, arguments: { target: web }, maxAttempts: 1 }
  approve: { gate: { expiresInMs: 3600000 }, dependsOn: [build] }
  ship: { type: ${type}, maxAttempts: 1, dependsOn: [approve, build] }
`,
  );
  const { id } = await shell.json<Workflow>(['workflows', 'run', file]);
  const early = await shell.run(['workflows', 'open', id, 'approve']);
  expect(early.code).toBe(6);
  await finish(type, 'completed');
  const opened = shell.run(['workflows', 'open', id, 'approve', '--result', '{"by":"ann"}']);
  expect((await opened).stdout).toContain('approve is opened.');
  await finish(type, 'failed');
  const waited = await shell.run(['workflows', 'wait', id]);
  expect([waited.code, waited.stdout]).toEqual([7, expect.stringMatching(/ship +failed/)]);
  expect((await shell.run(['workflows', 'list', '--status', 'failed'])).stdout).toContain(id);
  await shell.json(['workflows', 'retry', id]);
  await finish(type, 'completed');
  expect((await shell.run(['workflows', 'wait', id])).code).toBe(0);
  writeFileSync(file, 'name: broken\njobs:\n  a: { dependsOn: [b] }\n');
  const broken = await shell.run(['workflows', 'run', file]);
  expect([broken.code, broken.stderr]).toEqual([2, expect.stringContaining('a has neither a type nor a gate')]);
});
