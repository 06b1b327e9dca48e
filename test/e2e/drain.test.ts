import type { Coordinator, RunnerProcess } from './support/processes';
import { Stage } from './support/stage';
import { until } from './support/until';
import { AT_ONCE } from './support/work';

const JOBS = 200;
const LONG = 4;
const CUSTOMERS = 24;
const EXIT_MS = 8000;

let stage: Stage;

beforeEach(async () => {
  stage = await Stage.open('drain');
});

afterEach(() => stage.close());

it('loses nothing and lets no lease run out when coordinators and runners are replaced in turns under load', async () => {
  const { random } = stage;
  const coordinators = await Promise.all(['left', 'right'].map((name) => stage.coordinator({ name })));
  const urls = coordinators.map(({ url }) => url);
  const runners = await Promise.all(['anna', 'bert', 'cleo'].map((name) => startRunner(urls, name)));
  const load = stage.load(urls);
  // These outlast any grace: they are given back, and run elsewhere.
  const long = await Promise.all(
    Array.from({ length: LONG }, () => load.mustCreate({ ms: [60_000, 10], options: { retry: AT_ONCE } })),
  );
  await Promise.all(long.map((id) => stage.started(id)));
  const isEnough = () => load.acknowledged >= JOBS && stage.faults['replaced'] === coordinators.length + runners.length;
  const serving = load.serve(
    CUSTOMERS,
    () => ({ ms: [random.between(5, 120)], options: { retry: AT_ONCE } }),
    isEnough,
  );

  for (const [index, coordinator] of coordinators.entries()) {
    await underLoad(load);
    expect(await coordinator.endedAfter('SIGTERM', EXIT_MS)).toEqual({ code: 0, signal: null });
    coordinators[index] = await restart(coordinator);
    stage.bite('replaced');
  }
  for (const [index, runner] of runners.entries()) {
    await underLoad(load);
    expect(await runner.endedAfter('SIGTERM', EXIT_MS)).toEqual({ code: 0, signal: null });
    runners[index] = await startRunner(urls, runner.name);
    stage.bite('replaced');
  }

  await serving;
  await stage.settled();
  const { coverage } = await stage.judge({ replaced: 5, completed: JOBS, released: LONG, aborted: LONG });
  expect(coverage).toMatchObject({ timedOut: 0, cutOff: 0, unknownCreates: 0, failed: 0 });
  expect(coverage['completed']).toBe(coverage['creates']);
});

/** Leases are long: whatever is not given back would be missed in the end. */
function startRunner(urls: string[], name: string): Promise<RunnerProcess> {
  return stage.runner({ name, urls, leaseMs: 60_000, graceMs: 500 });
}

async function restart(coordinator: Coordinator): Promise<Coordinator> {
  const risen = await stage.restartCoordinator(coordinator);
  await until(`${risen.name} is ready`, async () => (await risen.probe('/readyz')) === 200);
  return risen;
}

async function underLoad(load: { acknowledged: number }): Promise<void> {
  const before = load.acknowledged;
  await until('jobs are created', () => load.acknowledged > before + 10);
}
