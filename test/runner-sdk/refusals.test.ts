import { Worker } from 'node:worker_threads';
import { Runner, SnoozeError, type Handler, type RunnerOptions } from '@baton/runner-sdk';
import type { ToThread } from '../../runner-sdk/leases/heartbeat-thread';
import { Heartbeats } from '../../runner-sdk/leases/heartbeats';
import { eventually } from '../support/eventually';
import { FakeCoordinator, gate, testLogger } from './fake-coordinator';

let coordinator: FakeCoordinator;
let runner: Runner | undefined;
let logger = testLogger();

beforeEach(async () => {
  logger = testLogger();
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
    logger,
    concurrency: 2,
    waitMs: 200,
    abortGraceMs: 100,
    ...options,
  });
  await runner.handle('TEST', handler).start();
  return runner;
}

describe("an answer with status 200 that is not the coordinator's", () => {
  it.each([
    ['an object', {}],
    ['null', null],
    ['a text', 'sorry'],
  ])('to a report: %s; the report is sent again', async (_name, body) => {
    const job = coordinator.add();
    coordinator.script('POST /jobs/complete', { status: 200, body });
    await run(() => 'done');
    expect(await coordinator.report(job)).toMatchObject({ outcome: 'completed', result: 'done' });
  });

  it.each([
    ['an object', {}],
    ['null', null],
  ])('to a claim: %s; the claim is sent again', async (_name, body) => {
    const job = coordinator.add();
    coordinator.script('POST /jobs/claim', { status: 200, body });
    await run(() => 'done');
    expect(await coordinator.report(job)).toMatchObject({ outcome: 'completed' });
  });

  it.each([
    ['an object', {}],
    ['a text', 'sorry'],
  ])('to a release: %s; the job is given back again', async (_name, body) => {
    const job = coordinator.add();
    coordinator.script(`POST /jobs/${job.id}/release`, { status: 200, body });
    await run(() => {
      throw new SnoozeError(5000);
    });
    expect(await coordinator.until('the release', () => coordinator.released[0])).toMatchObject({
      jobId: job.id,
      body: { delayMs: 5000 },
    });
  });
});

it.each([404, 403, 405])(
  'a report that is answered %i by something on the way is sent again, and what was granted with it is not lost',
  async (status) => {
    const first = coordinator.add();
    const held = gate();
    await run((_args, { id }) => (id === first.id ? held.opened : 'next'), { concurrency: 1 });
    await coordinator.until('the first job', () => coordinator.pending.length === 0);
    const granted = coordinator.add();
    coordinator.script('POST /jobs/complete', 'drop_reply', { status, body: '<html>' });
    held.open();
    expect(await coordinator.report(granted)).toMatchObject({ outcome: 'completed', result: 'next' });
    await coordinator.until(
      'the report again',
      () => coordinator.calls('POST /jobs/complete').filter(({ text }) => text.includes(first.id)).length === 3,
    );
  },
);

it('one report that something on the way refuses keeps no others from their words', async () => {
  const [good, bad] = [coordinator.add(), coordinator.add()];
  coordinator.stumblesOver.set(bad.id, 403);
  await run((_args, { id }) => id);
  expect(await coordinator.report(good)).toMatchObject({ outcome: 'completed' });
  coordinator.stumblesOver.clear();
  expect(await coordinator.report(bad)).toMatchObject({ outcome: 'completed' });
});

it('a report whose log lines make it too large is sent without them; its outcome stands', async () => {
  const job = coordinator.add();
  coordinator.script('POST /jobs/complete', { status: 413 }, { status: 413 });
  await run((_args, { log }) => {
    for (let line = 0; line < 1000; line += 1) log.info('row', { text: 'x'.repeat(100) });
    return 'done';
  });
  expect(await coordinator.report(job)).toMatchObject({ outcome: 'completed', result: 'done' });
});

it('a job whose checkpoint or log lines are refused is given back without them', async () => {
  const job = coordinator.add();
  coordinator.script(`POST /jobs/${job.id}/release`, { status: 413 });
  await run((_args, { checkpoint, log }) => {
    void checkpoint({ text: 'ä'.repeat(200_000) });
    log.info('x');
    throw new SnoozeError(5000);
  });
  const { body } = await coordinator.until('the release', () => coordinator.released[0]);
  expect(body).toEqual({ leaseToken: job.leaseToken, delayMs: 5000 });
});

it('an error whose message is no text is reported', async () => {
  const ring: Record<string, unknown> = {};
  ring['ring'] = ring;
  const job = coordinator.add();
  await run(() => Promise.reject(Object.assign(new Error(), { message: ring, stack: ring })));
  expect(await coordinator.report(job)).toMatchObject({ outcome: 'failed', error: { retryable: true } });
});

it('what was said while a heartbeat hangs goes with the report', async () => {
  const beating = gate();
  const posted = jest.spyOn(Worker.prototype, 'postMessage');
  const updates = () => posted.mock.calls.filter(([message]) => (message as ToThread).kind === 'updates').length;
  coordinator.script('POST /jobs/heartbeat', 'hang');
  const job = coordinator.add();
  await run(async (_args, { progress, log }) => {
    progress(1);
    await beating.opened;
    log.error('what went wrong');
    await eventually(() => updates() === 2);
    throw new Error('no');
  });
  await coordinator.until('the beat that hangs', () => coordinator.calls('POST /jobs/heartbeat').length > 0);
  beating.open();
  expect(await coordinator.report(job)).toMatchObject({ outcome: 'failed', logs: [{ message: 'what went wrong' }] });
});

it('a grace without end is no grace of a millisecond', async () => {
  const [started, held] = [gate(), gate()];
  const job = coordinator.add({ leaseMs: 1000 });
  const one = await run(() => (started.open(), held.opened.then(() => 'done')));
  await started.opened;
  const stopped = one.stop({ graceMs: Infinity });
  await coordinator.until('a beat', () => coordinator.calls('POST /jobs/heartbeat').length > 0);
  held.open();
  await stopped;
  expect(await coordinator.report(job)).toMatchObject({ outcome: 'completed', result: 'done' });
});

it('what a handler says when its lease is lost is not kept for ever', async () => {
  const addOutput = jest.spyOn(Heartbeats.prototype, 'addOutput');
  const job = coordinator.add({ leaseMs: 1000 });
  coordinator.verdicts.set(job.id, 'job_cancelled');
  await run(
    (_args, { signal, log }) =>
      new Promise((resolve) => signal.addEventListener('abort', () => (log.warn('cut off'), resolve(null)))),
  );
  await eventually(() => logger.lines.some(({ message }) => message.startsWith('an attempt was dropped')));
  const heartbeats = addOutput.mock.contexts[0] as Heartbeats;
  expect(addOutput).toHaveBeenCalledTimes(1);
  addOutput.mockRestore();
  expect(heartbeats.hasPendingOutput(job.leaseToken)).toBe(false);
});
