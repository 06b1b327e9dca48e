import { migrate } from '../../../coordinator/store/migrate';
import { findDebian } from '../../../scripts/debian';
import { findPostgres } from '../../../scripts/postgres';
import { Stage } from '../../e2e/support/stage';
import { until } from '../../e2e/support/until';
import { AT_ONCE } from '../../e2e/support/work';
import { describeWith } from '../support/needs';
import { PatroniCluster, type PatroniNode } from './patroni';

// Patroni decides who leads; the coordinators find out by themselves.

const CUSTOMERS = 12;
const PATIENCE_MS = 120_000;
const FAULTS = ['killed', 'stopped', 'cutOff'] as const;
const quiet = { info: () => undefined, warn: () => undefined };

const postgres = findPostgres();
const programs = {
  patroni: findDebian('patroni'),
  etcd: findDebian('etcd-server', 'etcd'),
  postgres: postgres === null ? null : { path: postgres.bin, root: '', env: postgres.env },
};

jest.setTimeout(600_000);

describeWith('a failover by Patroni', programs, ({ patroni, etcd }) => {
  let stage: Stage;
  let cluster: PatroniCluster;

  async function begin(isSynchronous: boolean): Promise<void> {
    stage = Stage.bare(`failover, ${isSynchronous ? 'synchronous' : 'asynchronous'}`);
    if (postgres === null) throw new Error('There is no PostgreSQL.');
    cluster = new PatroniCluster(stage.folder, { patroni, etcd, postgres }, isSynchronous);
    stage.onClose(() => cluster.stop());
    await cluster.start(2);
    const leader = await cluster.leader();
    await migrate(urlOf(leader), { log: quiet });
    await stage.watch(urlOf(leader));
  }
  afterEach(() => stage.close());

  const urlOf = ({ port }: PatroniNode) => `postgresql://baton@127.0.0.1:${port}/postgres`;

  /** Coordinators with runners and customers, and how to wait for what they do. */
  async function serve() {
    const url = `postgresql://baton@${cluster.ports.map((port) => `127.0.0.1:${port}`).join(',')}/postgres`;
    const coordinators = await Promise.all(
      ['left', 'right'].map((name) => stage.coordinator({ name, database: { url } })),
    );
    const urls = coordinators.map((each) => each.url);
    await Promise.all(['anna', 'bert'].map((name) => stage.runner({ name, urls, leaseMs: 5000 })));
    const load = stage.load(urls);
    let isOver = false;
    const serving = load.serve(
      CUSTOMERS,
      () => ({ ms: [stage.random.between(5, 100)], options: { retry: AT_ONCE } }),
      () => isOver,
    );
    return {
      coordinators,
      load,
      /** When so many more jobs are acknowledged. */
      async creates(count: number): Promise<void> {
        const before = load.acknowledged;
        await until('jobs are created', () => load.acknowledged > before + count, PATIENCE_MS);
      },
      async end(): Promise<void> {
        isOver = true;
        await serving;
      },
    };
  }

  /** @returns the new leader, and how long it was until it led, and until the next job was acknowledged after that */
  async function strike(fault: (typeof FAULTS)[number], created: () => Promise<void>): Promise<PatroniNode> {
    const leader = await cluster.leader();
    const from = performance.now();
    if (fault === 'killed') leader.signal('SIGKILL');
    else if (fault === 'stopped') leader.signal('SIGSTOP');
    else leader.cutOff();
    stage.bite(fault);
    const next = await cluster.leader(leader);
    const ledAfter = performance.now() - from;
    stage.follow(urlOf(next));
    await created();
    const servedAfter = performance.now() - from;
    process.stderr.write(
      `leader ${fault}: the next led after ${seconds(ledAfter)}, jobs were created again ${seconds(servedAfter - ledAfter)} later\n`,
    );
    if (fault === 'stopped') {
      leader.resumeServer();
      await created();
      // Ended before it goes on: after its lease it may take back a lock that another has by now.
      leader.signal('SIGKILL');
    }
    if (fault === 'cutOff') leader.joinAgain();
    else leader.run();
    await cluster.replicated();
    return next;
  }

  it('loses nothing acknowledged with a synchronous standby, whatever happens to the leader', async () => {
    await begin(true);
    const { coordinators, creates, end } = await serve();
    for (const fault of FAULTS) {
      await creates(20);
      await strike(fault, () => creates(1));
    }
    await creates(20);
    await end();
    await stage.settled(PATIENCE_MS);
    expect(coordinators.map(({ hasEnded }) => hasEnded)).toEqual([false, false]);
    await stage.judge({ completed: 60, killed: 1, stopped: 1, cutOff: 1 });
  });

  it('loses with an asynchronous standby only what had not reached it', async () => {
    await begin(false);
    const { load, coordinators, creates, end } = await serve();
    await creates(50);
    const before = load.creates.length;
    await strike('killed', () => creates(1));
    await creates(50);
    await end();
    await stage.settled(PATIENCE_MS);
    expect(coordinators.map(({ hasEnded }) => hasEnded)).toEqual([false, false]);

    const kept = new Set((await stage.witness.jobs()).map(({ id }) => id));
    const acknowledged = load.creates.flatMap(({ outcome, jobId }, nth) =>
      outcome === 'acknowledged' && jobId !== undefined ? [{ jobId, nth }] : [],
    );
    const lost = acknowledged.filter(({ jobId }) => !kept.has(jobId));
    process.stderr.write(`lost with an asynchronous standby: ${lost.length} of ${acknowledged.length}\n`);
    // What was created after the fault, by whoever led then, is all there.
    expect(lost.filter(({ nth }) => nth >= before + CUSTOMERS)).toEqual([]);
    const tokens = (await stage.witness.changes()).flatMap(({ was, became }) =>
      became?.status === 'running' && was?.status !== 'running' ? [became.token] : [],
    );
    expect(new Set(tokens).size).toBe(tokens.length);
    stage.pass();
  });
});

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
