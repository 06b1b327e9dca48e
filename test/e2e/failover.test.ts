import { migrate } from '../../coordinator/store/migrate';
import { BackupServers, describeWithPostgres, freePort } from '../setup/backup-server';
import { eventually } from '../support/eventually';
import { Stage } from './support/stage';
import { until } from './support/until';
import { Witness } from './support/witness';
import { AT_ONCE } from './support/work';

const CUSTOMERS = 16;
const JOBS = 150;

let stage: Stage;

describeWithPostgres('an address of several servers', (programs) => {
  let servers: BackupServers;
  let ports: [number, number, number];
  const urlOf = (port: number) => `postgres://baton@127.0.0.1:${port}/baton`;

  beforeEach(async () => {
    stage = Stage.bare('failover');
    servers = new BackupServers(programs);
    stage.onClose(() => servers.cleanUp());
    ports = [await freePort(), await freePort(), await freePort()];
  });
  afterEach(() => stage.close());

  /** What is acknowledged from now on is on both. */
  async function replicate(): Promise<void> {
    await until('the standby follows', async () => {
      const [row] = await stage.witness.query<{ count: number }>(
        `SELECT count(*)::int AS count FROM pg_stat_replication WHERE state = 'streaming'`,
      );
      return row?.count === 1;
    });
    await stage.witness.query(`ALTER SYSTEM SET synchronous_standby_names = '*'`);
    await stage.witness.query('SELECT pg_reload_conf()');
    await until('it is synchronous', async () => {
      const [row] = await stage.witness.query<{ state: string }>('SELECT sync_state AS state FROM pg_stat_replication');
      return row?.state === 'sync';
    });
  }

  async function promote(url: string): Promise<void> {
    stage.follow(url);
    await stage.witness.query('SELECT pg_promote()');
  }

  it('finds the server that takes writes, when the primary is killed and when it hangs, and loses nothing acknowledged', async () => {
    const { random } = stage;
    const [first, second, third] = ports;
    const log = { info: () => undefined, warn: () => undefined };
    await servers.create('first', first);
    await migrate(urlOf(first), { log });
    await stage.watch(urlOf(first));
    await servers.standby('second', urlOf(first), second);
    await replicate();

    // The standby stands before the primary, and one server is not there yet.
    const url = `postgresql://baton@127.0.0.1:${third},127.0.0.1:${second},127.0.0.1:${first}/baton`;
    const coordinators = await Promise.all(
      ['left', 'right'].map((name) => stage.coordinator({ name, database: { url } })),
    );
    const urls = coordinators.map((each) => each.url);
    await Promise.all(['anna', 'bert'].map((name) => stage.runner({ name, urls, leaseMs: 5000 })));
    const load = stage.load(urls);
    let isOver = false;
    const serving = load.serve(
      CUSTOMERS,
      () => ({ ms: [random.between(5, 100)], options: { retry: AT_ONCE } }),
      () => isOver && load.acknowledged >= JOBS,
    );
    const underLoad = async (what: string): Promise<void> => {
      const before = load.acknowledged;
      await until(`jobs are created ${what}`, () => load.acknowledged > before + 20, 60_000);
    };

    await underLoad('on the first server');
    servers.signal(urlOf(first), 'SIGKILL');
    await promote(urlOf(second));
    stage.bite('killedPrimary');
    await underLoad('on the second server');

    await servers.standby('third', urlOf(second), third);
    await replicate();
    await underLoad('on the second server and its standby');
    servers.signal(urlOf(second), 'SIGSTOP');
    await promote(urlOf(third));
    stage.bite('stoppedPrimary');
    await underLoad('on the third server');
    // It comes back and takes itself for the primary; nobody asks it any more.
    servers.signal(urlOf(second), 'SIGCONT');
    const stale = new Witness(urlOf(second));
    await eventually(
      () =>
        stale.query<{ pid: number }>(
          `SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'baton%' AND query_start > now() - interval '1 s'`,
        ),
      (asking) => asking.length === 0,
      30_000,
    );
    await underLoad('while the second is back');
    isOver = true;

    await serving;
    await stage.settled(60_000);
    expect(coordinators.map(({ hasEnded }) => hasEnded)).toEqual([false, false]);
    await stage.judge({ completed: JOBS, killedPrimary: 1, stoppedPrimary: 1 });
  });
});
