import type { Coordinator, RunnerProcess } from './support/processes';
import { Stage } from './support/stage';
import { until } from './support/until';
import { AT_ONCE } from './support/work';

const JOBS = 300;
/** As many as there is time for. */
const KILLS = { least: 2, most: 8, withinMs: 9000 };
const CUSTOMERS = 32;

let stage: Stage;

beforeEach(async () => {
  stage = await Stage.open('killed runners');
});

afterEach(() => stage.close());

it('finishes every job once though runners are killed at random', async () => {
  const { random } = stage;
  const coordinator = await stage.coordinator();
  const runners = await Promise.all(['anna', 'bert', 'cleo'].map((name) => startRunner(coordinator, name)));
  const load = stage.load([coordinator.url]);
  const order = () => ({ ms: [random.between(20, 250)], options: { retry: AT_ONCE, delayMs: random.between(0, 200) } });
  let isOver = false;
  const serving = load.serve(CUSTOMERS, order, () => isOver && load.acknowledged >= JOBS);

  const endsAt = performance.now() + KILLS.withinMs;
  for (let kills = 0; kills < KILLS.least || (kills < KILLS.most && performance.now() < endsAt); kills += 1) {
    const victim = random.pick(runners);
    await new Promise((resolve) => setTimeout(resolve, random.between(0, 250)));
    await until(`${victim.name} has a job in hand`, () => inHand(victim) > 0);
    await victim.kill();
    stage.bite('kills');
    runners.splice(runners.indexOf(victim), 1, await startRunner(coordinator, victim.name));
  }
  isOver = true;

  await serving;
  await stage.settled();
  await stage.judge({
    kills: KILLS.least,
    completed: JOBS,
    cutOff: KILLS.least,
    timedOut: KILLS.least,
    startedAgain: KILLS.least,
  });
});

function startRunner(coordinator: Coordinator, name: string): Promise<RunnerProcess> {
  return stage.runner({ name, urls: [coordinator.url] });
}

/** How many handlers of this process have started and not ended. */
function inHand(runner: RunnerProcess): number {
  const own = stage.ledger().filter((line) => line.runnerId.startsWith(`${runner.name}.${runner.pid}.`));
  return own.filter((line) => line.event === 'start').length - own.filter((line) => line.event !== 'start').length;
}
