import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startEmbedded } from '../../coordinator/store/embedded';
import { migrate } from '../../coordinator/store/migrate';
import type { Coordinator } from './support/processes';
import { Stage } from './support/stage';
import { until } from './support/until';
import { AT_ONCE } from './support/work';

const CUSTOMERS = 24;
const JOBS = 200;

/** A server that is back at once may be gone between two looks of a busy machine: after so many it is struck again. */
const LOOKS = 100;

/** Each in turn, under load. */
const FAULTS = ['cutConnections', 'killedBackend', 'killedServer', 'fastRestart', 'killedServer'] as const;

let stage: Stage;
let serverPid: () => number;

beforeEach(async () => {
  stage = Stage.bare('database restarts');
  const dataDir = join(stage.folder, 'data');
  const log = {
    info: (text: string) => stage.note('database', text),
    warn: (text: string) => stage.note('database', text),
  };
  // Whoever holds the database starts it again when it dies, as the coordinator of a laptop does.
  // What a killed process wrote is safe with the system, so syncing to the disk would only cost time.
  const database = await startEmbedded({
    dataDir,
    log,
    systemDir: join(stage.folder, 'system'),
    settings: { fsync: 'off' },
  });
  stage.onClose(() => database.stop());
  await migrate(database.url, { log });
  await stage.watch(database.url);
  serverPid = () => Number.parseInt(readFileSync(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8'), 10);
});

afterEach(() => stage.close());

it('loses no acknowledged job, ends no coordinator and heals by itself when the database is killed, cut off and restarted', async () => {
  const { random } = stage;
  const coordinators = await Promise.all(['left', 'right'].map((name) => stage.coordinator({ name })));
  const urls = coordinators.map(({ url }) => url);
  await Promise.all(['anna', 'bert', 'cleo'].map((name) => stage.runner({ name, urls, leaseMs: 3000 })));
  const load = stage.load(urls);
  let isOver = false;
  const isEnough = () => isOver && load.acknowledged >= JOBS;
  const serving = load.serve(
    CUSTOMERS,
    () => ({ ms: [random.between(5, 150)], options: { retry: AT_ONCE } }),
    isEnough,
  );

  for (const fault of FAULTS) {
    const before = load.acknowledged;
    await until('jobs are created', () => load.acknowledged > before + 10);
    const watches = coordinators.map(watch);
    for (const { stop } of watches) stage.onClose(stop);
    await until('the coordinators are ready', () => watches.every(({ readiness }) => readiness.at(-1) === 200));
    const wereMissed = (since: number[]) =>
      watches.every(({ readiness }, nth) => readiness.length >= (since[nth] ?? 0) + LOOKS);
    const wereHeard = () => watches.every(({ readiness }) => readiness.includes(503));
    do {
      const since = watches.map(({ readiness }) => readiness.length);
      await strike(fault);
      stage.bite(fault);
      if (fault === 'cutConnections') break;
      await until(
        'the coordinators hear of it, or missed it',
        () => wereHeard() || (wereMissed(since) && watches.every(({ readiness }) => readiness.at(-1) === 200)),
      );
    } while (!wereHeard());
    await until('the coordinators are ready again', () => watches.every(({ readiness }) => readiness.at(-1) === 200));
    for (const { stop, liveness, readiness } of watches) {
      await stop();
      expect(new Set(liveness)).toEqual(new Set([200]));
      expect([200, 503]).toEqual(expect.arrayContaining([...new Set(readiness)]));
    }
    expect(coordinators.map(({ hasEnded }) => hasEnded)).toEqual([false, false]);
  }
  isOver = true;

  await serving;
  await stage.settled();
  stage.bite('refusedForTheDatabase', stage.heard('a request met a database that is away'));
  expect(stage.heard('a request failed')).toBe(0);
  await stage.judge({
    completed: JOBS,
    cutConnections: 1,
    killedBackend: 1,
    killedServer: 2,
    fastRestart: 1,
    refusedForTheDatabase: 5,
  });
});

async function strike(fault: (typeof FAULTS)[number]): Promise<void> {
  switch (fault) {
    case 'cutConnections':
      expect(await stage.witness.cutAll()).toBeGreaterThan(4);
      return;
    case 'killedBackend': {
      const [backend] = await stage.witness.query<{ pid: number }>(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'baton' LIMIT 1",
      );
      process.kill(backend?.pid ?? Number.NaN, 'SIGKILL');
      return;
    }
    case 'killedServer':
      process.kill(serverPid(), 'SIGKILL');
      return;
    case 'fastRestart':
      process.kill(serverPid(), 'SIGINT');
  }
}

interface Watch {
  readiness: number[];
  liveness: number[];
  stop(): Promise<void>;
}

/** Asks without pause how the coordinator does. */
function watch(coordinator: Coordinator): Watch {
  const readiness: number[] = [];
  const liveness: number[] = [];
  let isOver = false;
  const asking = (async () => {
    while (!isOver) {
      const [ready, alive] = await Promise.all([coordinator.probe('/readyz'), coordinator.probe('/healthz')]);
      readiness.push(ready);
      liveness.push(alive);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  return {
    readiness,
    liveness,
    async stop() {
      isOver = true;
      await asking;
    },
  };
}
