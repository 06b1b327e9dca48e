import { Runner, SnoozeError, type Handler, type RunnerOptions } from '@baton/runner-sdk';
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
    waitMs: 200,
    abortGraceMs: 100,
    ...options,
  });
  await runner.handle('TEST', handler).start();
  return runner;
}

it('a report is sent again before its deadline, though it is asked to come back after that', async () => {
  const job = coordinator.add({ timeoutMs: 4000 });
  coordinator.script('POST /jobs/complete', { status: 503, headers: { 'retry-after': '60' } });
  await run(() => 'done');
  expect(await coordinator.report(job)).toMatchObject({ outcome: 'completed', result: 'done' });
});

it('a snoozed job goes back also after an outage', async () => {
  const job = coordinator.add();
  coordinator.script(`POST /jobs/${job.id}/release`, { status: 503, headers: { 'retry-after': '3' } });
  await run(() => {
    throw new SnoozeError(5000);
  });
  const { body } = await coordinator.until('the release', () => coordinator.released[0]);
  expect(body).toMatchObject({ leaseToken: job.leaseToken, delayMs: 5000 });
});

it('a runner that stops during an outage does not wait for it as long as one that works on', async () => {
  const job = coordinator.add({ leaseMs: 600_000 });
  const release = `POST /jobs/${job.id}/release`;
  coordinator.script(
    release,
    { status: 503, headers: { 'retry-after': '300' } },
    { status: 503, headers: { 'retry-after': '300' } },
  );
  const one = await run(() => {
    throw new SnoozeError(5000);
  });
  await coordinator.until('the first try', () => coordinator.calls(release)[0]);
  await one.stop();
  expect(coordinator.released.map(({ jobId }) => jobId)).toEqual([job.id]);
});

it('a runner that stops while it asks for what was granted with a lost report waits for that, and gives it back', async () => {
  const [started, held] = [gate(), gate()];
  coordinator.add({ timeoutMs: 400 });
  const one = await run(() => (started.open(), held.opened), { concurrency: 1 });
  await started.opened;
  const granted = coordinator.add();
  coordinator.script('POST /jobs/complete', ...Array.from({ length: 12 }, () => 'drop_reply' as const));
  const polls = coordinator.calls('POST /jobs/claim').length;
  coordinator.script('POST /jobs/claim', { status: 503, headers: { 'retry-after': '1' } });
  held.open();
  await coordinator.until('the question for the grant', () => coordinator.calls('POST /jobs/claim').length > polls);
  await one.stop();
  expect(coordinator.released.map(({ jobId }) => jobId)).toEqual([granted.id]);
});

it('a runner that gives up a report at its end gives back what was granted with it', async () => {
  const [started, held] = [gate(), gate()];
  coordinator.add();
  const one = await run(() => (started.open(), held.opened), { concurrency: 1 });
  await started.opened;
  const granted = coordinator.add();
  coordinator.script(
    'POST /jobs/complete',
    'drop_reply',
    ...Array.from({ length: 5 }, () => ({ status: 503, headers: { 'retry-after': '60' } })),
  );
  held.open();
  await coordinator.until('the report', () => coordinator.calls('POST /jobs/complete').length === 2);
  await one.stop();
  expect(coordinator.released.map(({ jobId }) => jobId)).toEqual([granted.id]);
});

it('one report that the coordinator stumbles over keeps neither others nor claims waiting', async () => {
  const held = gate();
  const [bad, good] = [coordinator.add(), coordinator.add()];
  coordinator.stumblesOver.set(bad.id, 500);
  await run((_args, { id }) => (id === good.id ? held.opened.then(() => 'good') : 'done'));
  await coordinator.until('the first try', () => coordinator.calls('POST /jobs/complete')[0]);
  held.open();
  expect(await coordinator.report(good)).toMatchObject({ outcome: 'completed', result: 'good' });
  expect(await coordinator.report(coordinator.add())).toMatchObject({ outcome: 'completed' });
  coordinator.stumblesOver.clear();
  expect(await coordinator.report(bad)).toMatchObject({ outcome: 'completed', result: 'done' });
});

it('a report whose call hangs when its runner stops is sent again before it is given up', async () => {
  const job = coordinator.add();
  coordinator.script('POST /jobs/complete', 'hang');
  const one = await run(() => 'done');
  await coordinator.until('the report', () => coordinator.calls('POST /jobs/complete')[0]);
  await one.stop();
  expect(coordinator.completed.get(job.id)).toMatchObject({ outcome: 'completed', result: 'done' });
});
