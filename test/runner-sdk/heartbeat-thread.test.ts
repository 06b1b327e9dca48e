import { Worker } from 'node:worker_threads';
import { Runner } from '@baton/runner-sdk';
import { SharedLeaseTable } from '../../runner-sdk/leases/shared-lease-table';
import { eventually } from '../support/eventually';
import { FakeCoordinator, gate, testLogger } from './fake-coordinator';

let coordinator: FakeCoordinator;
let runner: Runner | undefined;

beforeEach(async () => {
  coordinator = await FakeCoordinator.start();
});

afterEach(async () => {
  await runner?.stop({ graceMs: 0 });
  await coordinator.stop();
});

it('sleeps when nothing changes, is woken for the next lease, and keeps it', async () => {
  const put = jest.spyOn(SharedLeaseTable.prototype, 'put');
  const held = gate();
  runner = new Runner({
    coordinatorUrl: coordinator.url,
    apiKey: 'key',
    signals: false,
    logger: testLogger(),
    concurrency: 1,
    waitMs: 200,
  });
  runner.handle('TEST', (args) => ((args as { waits?: boolean }).waits ? held.opened : null));
  await runner.start();
  await coordinator.report(coordinator.add());
  const table = put.mock.contexts[0] as SharedLeaseTable;
  put.mockRestore();
  await eventually(() => Atomics.load(new Int32Array(table.memory), 0) === 1);
  const job = coordinator.add({ arguments: { waits: true }, leaseMs: 1500 });
  const beatsFor = () =>
    coordinator.calls('POST /jobs/heartbeat').filter(({ body }) => JSON.stringify(body).includes(job.id)).length;
  await coordinator.until('two beats for the second job', () => beatsFor() === 2);
  held.open();
  expect(await coordinator.report(job)).toMatchObject({ outcome: 'completed' });
});

it('does not beat for what was let go before it was due', async () => {
  const first = coordinator.add({ leaseMs: 600 });
  runner = new Runner({
    coordinatorUrl: coordinator.url,
    apiKey: 'key',
    signals: false,
    logger: testLogger(),
    concurrency: 2,
    waitMs: 200,
  });
  const held = gate();
  runner.handle('TEST', (args) => ((args as { waits?: boolean }).waits ? held.opened : null));
  await runner.start();
  await coordinator.report(first);
  const second = coordinator.add({ arguments: { waits: true }, leaseMs: 1500 });
  await coordinator.until('two beats', () => coordinator.calls('POST /jobs/heartbeat').length === 2);
  expect(JSON.stringify(coordinator.calls('POST /jobs/heartbeat').map(({ body }) => body as unknown))).not.toContain(
    first.id,
  );
  held.open();
  await coordinator.report(second);
});

it('started again after its death it asks for what stands on the table', async () => {
  const start = jest.spyOn(Worker.prototype, 'unref');
  const logger = testLogger();
  const held = gate();
  const started = gate();
  const job = coordinator.add({ leaseMs: 3000 });
  runner = new Runner({ coordinatorUrl: coordinator.url, apiKey: 'key', signals: false, logger, concurrency: 1 });
  runner.handle('TEST', () => (started.open(), held.opened));
  await runner.start();
  await started.opened;
  await start.mock.contexts[0]?.terminate();
  start.mockRestore();
  await coordinator.until('a beat of the new thread', () =>
    coordinator.calls('POST /jobs/heartbeat').find(({ body }) => body.jobs.length > 0),
  );
  expect(logger.lines.map(({ message }) => message)).toContain('the heartbeat thread died and was started again');
  held.open();
  expect(await coordinator.report(job)).toMatchObject({ outcome: 'completed' });
});

it('started again after its death it sends the checkpoint that a handler waits for', async () => {
  const start = jest.spyOn(Worker.prototype, 'unref');
  const died = gate();
  const job = coordinator.add({ leaseMs: 600_000 });
  runner = new Runner({ coordinatorUrl: coordinator.url, apiKey: 'key', signals: false, logger: testLogger() });
  runner.handle('TEST', async (_args, { checkpoint }) => {
    await died.opened;
    await checkpoint({ page: 7 });
    return 'stored';
  });
  await runner.start();
  await coordinator.until('a claim', () => coordinator.calls('POST /jobs/claim').length > 0);
  await start.mock.contexts[0]?.terminate();
  start.mockRestore();
  died.open();
  expect(await coordinator.report(job)).toMatchObject({ outcome: 'completed', result: 'stored' });
  expect(coordinator.calls('POST /jobs/heartbeat').flatMap(({ body }) => body.jobs)).toContainEqual(
    expect.objectContaining({ jobId: job.id, checkpoint: { page: 7 } }),
  );
});

it('started again after its death it still beats for a runner that drains, which hears when that is over', async () => {
  const start = jest.spyOn(Worker.prototype, 'unref');
  const logger = testLogger();
  coordinator.directives = { drain: true };
  runner = new Runner({
    coordinatorUrl: coordinator.url,
    apiKey: 'key',
    signals: false,
    logger,
    concurrency: 1,
    waitMs: 200,
  });
  await runner.handle('TEST', () => 'done').start();
  const beats = () => coordinator.calls('POST /jobs/heartbeat').length;
  await coordinator.until('a beat of a runner that drains', () => beats() > 0);
  await start.mock.contexts[0]?.terminate();
  start.mockRestore();
  await eventually(() => logger.lines.some(({ message }) => message.includes('was started again')));
  coordinator.directives = {};
  expect(await coordinator.report(coordinator.add())).toMatchObject({ outcome: 'completed' });
});
