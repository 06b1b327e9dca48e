import type { Coordinator } from './support/processes';
import { Stage } from './support/stage';
import { until } from './support/until';
import { AT_ONCE } from './support/work';

const JOBS = 400;
const KILLS = 8;
const CUSTOMERS = 32;

let stage: Stage;

beforeEach(async () => {
  stage = await Stage.open('killed coordinators');
});

afterEach(() => stage.close());

it('loses no acknowledged job though coordinators are killed in turns', async () => {
  const { random } = stage;
  const coordinators = await Promise.all(['left', 'right'].map((name) => stage.coordinator({ name })));
  const urls = coordinators.map(({ url }) => url);
  await Promise.all(['anna', 'bert', 'cleo'].map((name, index) => stage.runner({ name, urls: turned(urls, index) })));
  const loads = urls.map((_, index) => stage.load(turned(urls, index)));
  const acknowledged = () => loads.reduce((sum, load) => sum + load.acknowledged, 0);
  const order = () => ({ ms: [random.between(5, 150)], options: { retry: AT_ONCE } });
  const isEnough = () => acknowledged() >= JOBS && stage.faults['kills'] === KILLS;
  const serving = loads.map((load) => load.serve(CUSTOMERS / 2, order, isEnough));

  for (let kills = 0; kills < KILLS; kills += 1) {
    const before = acknowledged();
    await until('jobs are created', () => acknowledged() > before + 10);
    await new Promise((resolve) => setTimeout(resolve, random.between(0, 200)));
    const victim = coordinators[kills % 2] as Coordinator;
    await victim.kill();
    stage.bite('kills');
    const risen = await stage.restartCoordinator(victim);
    await until(`${risen.name} is ready`, async () => (await risen.probe('/readyz')) === 200);
    coordinators[kills % 2] = risen;
  }

  await Promise.all(serving);
  await stage.settled();
  stage.bite('callsFailedOver', stage.heard(/no answer to a (claim|report)|a heartbeat got no answer/));
  await stage.judge({ kills: KILLS, completed: JOBS, callsFailedOver: 1 });
});

/** So that not everybody talks to the same one. */
function turned(urls: string[], by: number): string[] {
  const start = by % urls.length;
  return [...urls.slice(start), ...urls.slice(0, start)];
}
