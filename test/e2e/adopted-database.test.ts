import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive } from '../../coordinator/store/embedded/process';
import { eventually } from '../support/eventually';
import { postmasterPid } from '../setup/embedded-rig';
import type { Coordinator } from './support/processes';
import { Stage } from './support/stage';
import { until } from './support/until';
import { AT_ONCE } from './support/work';

const ROUNDS = 2;
const JOBS = 40;

let stage: Stage;
let dataDir: string;

beforeEach(() => {
  stage = Stage.bare('adopted database');
  dataDir = join(stage.folder, 'data');
});

afterEach(async () => {
  await stage.endAll();
  const pid = postmasterPid(dataDir);
  // PostgreSQL's immediate shutdown, for a test that failed while no coordinator held it.
  if (pid !== undefined && isAlive(pid)) process.kill(pid, 'SIGQUIT');
  await stage.close();
});

it('takes over the database of a coordinator that was killed, brings it up when both were, and ends it in the end', async () => {
  const { random } = stage;
  let coordinator = await stage.coordinator({ database: { dataDir } });
  await stage.watch(databaseUrl());
  const runner = await stage.runner({ name: 'anna', urls: [coordinator.url] });
  const load = stage.load([coordinator.url]);
  const isEnough = () => stage.faults['killedBoth'] === ROUNDS && load.acknowledged >= JOBS;
  const serving = load.serve(12, () => ({ ms: [random.between(5, 100)], options: { retry: AT_ONCE } }), isEnough);

  for (let round = 1; round <= ROUNDS; round += 1) {
    await underLoad(load);
    const server = postmasterPid(dataDir) ?? 0;
    await coordinator.kill();
    expect(isAlive(server)).toBe(true);
    coordinator = await rise(coordinator);
    expect(postmasterPid(dataDir)).toBe(server);
    stage.bite('killedCoordinator');

    await underLoad(load);
    process.kill(server, 'SIGKILL');
    await coordinator.kill();
    coordinator = await rise(coordinator);
    expect(postmasterPid(dataDir)).not.toBe(server);
    stage.bite('killedBoth');
  }
  await serving;
  await stage.settled();
  await stage.judge({ killedCoordinator: ROUNDS, killedBoth: ROUNDS, completed: JOBS });

  const server = postmasterPid(dataDir) ?? 0;
  expect(await runner.endedAfter('SIGTERM', 10_000)).toEqual({ code: 0, signal: null });
  expect(await coordinator.endedAfter('SIGTERM', 10_000)).toEqual({ code: 0, signal: null });
  expect(postmasterPid(dataDir)).toBeUndefined();
  // It removes its lock file with its last breath.
  await eventually(() => !isAlive(server));
});

async function rise(killed: Coordinator): Promise<Coordinator> {
  const risen = await stage.restartCoordinator(killed);
  await until('the coordinator is ready', async () => (await risen.probe('/readyz')) === 200);
  return risen;
}

async function underLoad(load: { acknowledged: number }): Promise<void> {
  const before = load.acknowledged;
  await until('jobs are created', () => load.acknowledged > before + 5);
}

/** As an operator with psql would find it. */
function databaseUrl(): string {
  const [location, inPlace] = [join(dataDir, 'postgres-location'), join(dataDir, 'postgres')];
  const cluster = existsSync(location) ? readFileSync(location, 'utf8').trim() : inPlace;
  const port = readFileSync(join(cluster, 'postmaster.pid'), 'utf8').split('\n')[3];
  const password = readFileSync(join(dataDir, 'postgres-password'), 'utf8').trim();
  return `postgresql://baton:${encodeURIComponent(password)}@127.0.0.1:${port}/baton`;
}
