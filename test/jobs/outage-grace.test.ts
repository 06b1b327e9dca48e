import { OutageGrace } from '../../coordinator/domain/jobs/outage-grace';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy';

const ALL = 2_147_483_647;

describe('the grace after an outage of the database', () => {
  const at = (startsCutOff: boolean) => {
    let now = 1000;
    const grace = new OutageGrace(3000, startsCutOff, () => now);
    return (afterMs: number): number => {
      now += afterMs;
      return grace.recordContact();
    };
  };

  test('lets every lease be judged, as long as contacts are frequent', () => {
    const contactAfter = at(false);
    expect([0, 1000, 3000, 2999].map(contactAfter)).toEqual([ALL, ALL, ALL, ALL]);
  });

  test('leaves each lease a third of its length after an outage, once', () => {
    const contactAfter = at(false);
    expect([0, 3001, 0, 1000, 2000, 3000].map(contactAfter)).toEqual([ALL, 0, 0, 3000, 9000, 18_000]);
    expect([3001, 1000].map(contactAfter)).toEqual([0, 3000]);
  });

  test('counts the time before the start as an outage, when no other coordinator ran', () => {
    expect([0, 500, 500].map(at(true))).toEqual([0, 1500, 3000]);
  });
});

describe('leases that ran out while the database was away', () => {
  let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
  let proxy: TcpProxy;
  beforeAll(async () => {
    coordinator = await startCoordinator({
      monitorIntervalMs: 50,
      startsCutOff: true,
      async through(url) {
        const direct = new URL(url);
        proxy = await startTcpProxy({ host: direct.hostname, port: Number(direct.port) });
        const through = new URL(url);
        [through.hostname, through.port] = ['127.0.0.1', String(proxy.port)];
        return through.href;
      },
    });
  });
  afterAll(async () => {
    await coordinator.stop();
    await proxy.stop();
  });

  test('are kept by the next heartbeat, and end when none comes', async () => {
    const { api, sql, app } = coordinator;
    const type = uniqueType();
    await api.post('/jobs/bulk', { jobs: [{ type }, { type }] });
    const [alive] = await api.claim({ runnerId: 'alive', types: [type], leaseMs: 600_000 });
    const [dead] = await api.claim({ runnerId: 'dead', types: [type], leaseMs: 1000 });
    if (alive === undefined || dead === undefined) throw new Error('two jobs were wanted');
    proxy.cut();
    await eventually(() => (app.loops.monitor.lagMs() ?? 0) > 3100);
    await sql.query("UPDATE jobs SET lease_expires_at = now() - interval '1 ms' WHERE type = $1", [type]);
    proxy.heal();
    // The monitor is at work again once it has found the one that nobody speaks for.
    await eventually(
      async () => (await api.attempts(dead.id).catch(() => [])).map(({ outcome }) => outcome).join(),
      (outcome) => outcome === 'timed_out',
      30_000,
    );
    expect((await api.post(`/jobs/${alive.id}/heartbeat`, { leaseToken: alive.leaseToken })).status).toBe(200);
    expect((await api.complete(alive)).status).toBe(200);
  }, 60_000);

  test('a deadline waits as long, so that work that was done meanwhile can be told', async () => {
    const { api, sql, app } = coordinator;
    const type = uniqueType();
    const { id } = await api.create({ type });
    const job = await api.claimOne({ runnerId: 'done', types: [type], leaseMs: 600_000 });
    proxy.cut();
    await eventually(() => (app.loops.monitor.lagMs() ?? 0) > 3100);
    await sql.passDeadline(id);
    proxy.heal();
    await eventually(() => (app.loops.monitor.lagMs() ?? Infinity) < 500, Boolean, 30_000);
    await coordinator.runMonitor();
    expect((await api.complete(job)).status).toBe(200);
  }, 60_000);
});
