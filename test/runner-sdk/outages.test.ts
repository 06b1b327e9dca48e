import { Runner, type Handler, type RunnerOptions } from '@baton/runner-sdk';
import { FakeCoordinator, testLogger } from './fake-coordinator';

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
  runner = new Runner({ coordinatorUrl: coordinator.url, apiKey: 'key', signals: false, logger: testLogger(), concurrency: 2, waitMs: 200, abortGraceMs: 100, ...options });
  await runner.handle('TEST', handler).start();
  return runner;
}

it('a report is sent again before its deadline, though it is asked to come back after that', async () => {
  const job = coordinator.add({ timeoutMs: 800 });
  coordinator.script('POST /jobs/complete', { status: 503, headers: { 'retry-after': '60' } });
  await run(() => 'done');
  expect(await coordinator.report(job)).toMatchObject({ outcome: 'completed', result: 'done' });
});
