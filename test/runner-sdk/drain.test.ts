import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Runner, RunnerStoppingError, type Handler, type RunnerOptions } from '@baton/runner-sdk';
import { Transport } from '../../runner-sdk/transport/transport';
import { eventually } from '../support/eventually';
import { FakeCoordinator, gate, testLogger } from './fake-coordinator';

let coordinator: FakeCoordinator;
let runner: Runner | undefined;

beforeEach(async () => {
  coordinator = await FakeCoordinator.start();
});

afterEach(async () => {
  await runner?.stop({ graceMs: 0 });
  runner = undefined;
  await coordinator.stop();
});

async function run(handler: Handler, options: RunnerOptions = {}): Promise<Runner> {
  runner = new Runner({
    coordinatorUrl: coordinator.url,
    apiKey: 'key',
    signals: false,
    logger: testLogger(),
    concurrency: 2,
    abortGraceMs: 100,
    ...options,
  });
  await runner.handle('TEST', handler).start();
  return runner;
}

it('stops claiming at once, lets a handler finish, and reports it without a claim', async () => {
  const [started, held] = [gate(), gate()];
  const job = coordinator.add();
  const one = await run(() => (started.open(), held.opened.then(() => 'done')));
  await started.opened;
  const stopped = one.stop();
  coordinator.add();
  held.open();
  await stopped;
  expect(await coordinator.report(job)).toMatchObject({ outcome: 'completed', result: 'done' });
  expect(coordinator.calls('POST /jobs/complete')[0]?.body.claim).toBeUndefined();
  expect(coordinator.completed.size).toBe(1);
});

it('aborts what is not finished after the grace, and gives it back with its checkpoint', async () => {
  const started = gate();
  const job = coordinator.add();
  let seen: unknown;
  const one = await run((_args, { signal, checkpoint }) => {
    void checkpoint({ at: 7 });
    started.open();
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject((seen = signal.reason))));
  });
  await started.opened;
  await one.stop({ graceMs: 10 });
  expect(seen).toBeInstanceOf(RunnerStoppingError);
  expect(coordinator.released).toMatchObject([{ jobId: job.id, body: { leaseToken: job.leaseToken, delayMs: 0 } }]);
  expect(coordinator.calls('POST /jobs/complete')).toHaveLength(0);
  const said = JSON.stringify(coordinator.requests.map(({ body }) => body ?? null));
  expect(said).toContain('"checkpoint":{"at":7}');
});

it('gives back the job of a handler that ignores the abort', async () => {
  const started = gate();
  const job = coordinator.add();
  const one = await run(() => (started.open(), new Promise(() => undefined)));
  await started.opened;
  await one.stop({ graceMs: 10 });
  expect(coordinator.released.map(({ jobId }) => jobId)).toEqual([job.id]);
});

it('fetches a grant that was on its way to the parked poll, and gives it back', async () => {
  const handler = jest.fn();
  const one = await run(handler);
  const [poll] = await coordinator.until(
    'the poll',
    () => coordinator.calls('POST /jobs/claim').length === 1 && coordinator.calls('POST /jobs/claim'),
  );
  // Granted, but the answer is not there yet when the runner hangs up.
  const stopped = one.stop();
  const job = coordinator.add();
  await stopped;
  const claims = coordinator.calls('POST /jobs/claim');
  expect(claims[1]?.body).toMatchObject({ claimId: poll?.body.claimId, waitMs: 0 });
  expect(coordinator.released.map(({ jobId }) => jobId)).toEqual([job.id]);
  expect(handler).not.toHaveBeenCalled();
});

it('stops in bounded time though the coordinator is gone', async () => {
  const started = gate();
  coordinator.add();
  const one = await run(
    (_args, { signal }) => new Promise((resolve) => (started.open(), signal.addEventListener('abort', resolve))),
  );
  await started.opened;
  await coordinator.stop();
  await one.stop({ graceMs: 10 });
});

it('is stopped once, however often it is asked', async () => {
  const one = await run(() => null);
  expect(one.stop()).toBe(one.stop());
  await one.stop();
  await expect(one.start()).rejects.toThrow('make a new one');
});

it('told to drain it claims nothing, finishes what runs, and claims again when told', async () => {
  const [started, held] = [gate(), gate()];
  const job = coordinator.add({ leaseMs: 1000 });
  await run(() => (started.open(), held.opened), { concurrency: 1 });
  await started.opened;
  coordinator.directives = { drain: true };
  held.open();
  await coordinator.report(job);
  const count = coordinator.calls('POST /jobs/claim').length;
  await coordinator.until('a heartbeat without jobs', () =>
    coordinator.calls('POST /jobs/heartbeat').some(({ body }) => body.jobs.length === 0),
  );
  expect(coordinator.calls('POST /jobs/claim')).toHaveLength(count);
  coordinator.directives = {};
  const next = coordinator.add();
  await coordinator.report(next);
});

it('told to drain it claims nothing while it reports what it held either', async () => {
  const held = [gate(), gate()];
  const logger = testLogger();
  const jobs = [coordinator.add({ leaseMs: 3000 }), coordinator.add({ leaseMs: 3000 })];
  let running = 0;
  await run(() => held[running++]?.opened, { logger });
  await coordinator.until('both jobs', () => running === 2);
  coordinator.directives = { drain: true };
  const idleBeat = () =>
    coordinator
      .calls('POST /jobs/heartbeat')
      // One is the runner's first word, and one waits for cancellations.
      .filter(({ body }) => body.jobs.length === 0 && body.waitMs === undefined).length > 1;
  await eventually(() => logger.lines.some(({ message }) => message.startsWith('told to drain')));
  const count = coordinator.calls('POST /jobs/claim').length;
  held.forEach(({ open }) => open());
  await Promise.all(jobs.map((job) => coordinator.report(job)));
  await coordinator.until('a heartbeat without jobs', idleBeat);
  expect(coordinator.calls('POST /jobs/claim')).toHaveLength(count);
  expect(logger.lines.map(({ message }) => message)).not.toContain('no longer told to drain: claiming again');
});

it('ends its process on SIGTERM, when its work is done', async () => {
  const dist = join(__dirname, '../../runner-sdk/dist/index.js');
  const job = coordinator.add();
  const code = `
    const { Runner } = require(${JSON.stringify(dist)});
    setInterval(() => {}, 1000);
    const runner = new Runner();
    runner.handle('TEST', () => new Promise((resolve) => { process.stdout.write('started'); setTimeout(resolve, 300, 'done'); }));
    runner.start();`;
  const child = spawn(process.execPath, ['-e', code], {
    env: { COORDINATOR_URL: coordinator.url, RUNNER_KEY: 'key' },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  const [exitCode] = (await once(child, 'exit')) as [number];
  expect(exitCode).toBe(0);
  expect(await coordinator.report(job)).toMatchObject({ outcome: 'completed', result: 'done' });
});

it.each([
  ['a second runner is done at once', "const prepare = () => new Runner().handle('OTHER', () => null).start();"],
  ['the process stops the runner itself', "process.on('SIGTERM', () => runner.stop()); const prepare = () => null;"],
])('ends its process on SIGTERM not before its work is done, though %s', async (_name, more) => {
  const dist = join(__dirname, '../../runner-sdk/dist/index.js');
  const job = coordinator.add();
  const code = `
    const { Runner } = require(${JSON.stringify(dist)});
    const runner = new Runner();
    ${more}
    runner.handle('TEST', async () => {
      await prepare();
      process.stdout.write('started');
      await new Promise((resolve) => setTimeout(resolve, 1500));
      return 'done';
    });
    runner.start();`;
  const child = spawn(process.execPath, ['-e', code], {
    env: { COORDINATOR_URL: coordinator.url, RUNNER_KEY: 'key' },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  const [exitCode] = (await once(child, 'exit')) as [number];
  expect([exitCode, coordinator.completed.get(job.id)]).toEqual([0, expect.objectContaining({ result: 'done' })]);
});

it.each([
  ['one that comes twice within a second is the same', '', 2, 0],
  [
    'others that listen to it may finish',
    "process.once('SIGTERM', () => setTimeout(() => process.exit(7), 1000));",
    1,
    7,
  ],
])('of signals %s', async (_name, more, times, exit) => {
  const dist = join(__dirname, '../../runner-sdk/dist/index.js');
  const job = coordinator.add();
  const code = `
    const { Runner } = require(${JSON.stringify(dist)});
    ${more}
    const runner = new Runner();
    runner.handle('TEST', () => new Promise((resolve) => { process.stdout.write('started'); setTimeout(resolve, 300, 'done'); }));
    runner.start();`;
  const child = spawn(process.execPath, ['-e', code], {
    env: { COORDINATOR_URL: coordinator.url, RUNNER_KEY: 'key' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  child.stderr.on('data', (chunk) => (log += String(chunk)));
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  if (times === 2) {
    await eventually(() => log.includes('runner stopping'));
    child.kill('SIGTERM');
  }
  const [exitCode] = (await once(child, 'exit')) as [number];
  expect([exitCode, coordinator.completed.get(job.id)]).toEqual([exit, expect.objectContaining({ result: 'done' })]);
});

it('gives back a thousand jobs over the same few connections, each with the longer for it', async () => {
  const count = 1000;
  const started = gate();
  let running = 0;
  Array.from({ length: count }, () => coordinator.add());
  const call = jest.spyOn(Transport.prototype, 'call');
  const one = await run(
    (_args, { signal }) => {
      if ((running += 1) === count) started.open();
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    },
    { concurrency: count },
  );
  await started.opened;
  await one.stop({ graceMs: 0 });
  const given = call.mock.calls.flatMap(([{ path, timeoutMs }]) => (path.endsWith('/release') ? [timeoutMs] : []));
  expect([given.length, new Set(given)]).toEqual([count, new Set([8000])]);
  expect(coordinator.released).toHaveLength(count);
  call.mockRestore();
});
