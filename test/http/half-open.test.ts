import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy';

// Connections that died without a word, as behind a firewall that forgot them: what carries leases takes others in
// time.

// Longer than the 7 s after which a silent connection is given up, also on a machine that is busy with other things.
const LEASE_MS = 15_000;

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let proxy: TcpProxy;
beforeAll(async () => {
  coordinator = await startCoordinator({
    async through(url) {
      const direct = new URL(url);
      proxy = await startTcpProxy({ host: direct.hostname, port: Number(direct.port) });
      [direct.hostname, direct.port] = ['127.0.0.1', String(proxy.port)];
      return direct.href;
    },
  });
});
afterAll(async () => {
  proxy.heal();
  await coordinator.stop();
  await proxy.stop();
});

test('a live runner keeps its lease, reports, and claims again', async () => {
  const { api, sql } = coordinator;
  const type = uniqueType();
  await api.create({ type });
  const job = await api.claimOne({ runnerId: 'r', types: [type], leaseMs: LEASE_MS });
  // So that several connections of each pool are there, and die.
  const beats = await Promise.all(
    Array.from({ length: 8 }, () =>
      api.post<{ leaseExpiresAt: string }>(`/jobs/${job.id}/heartbeat`, { leaseToken: job.leaseToken }),
    ),
  );
  const heldUntil = Math.max(...beats.map(({ body }) => Date.parse(body.leaseExpiresAt)));
  const listeners = () =>
    sql.query<{ pid: number }>(
      "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'baton-listen %'",
    );
  const [before] = await eventually(listeners, (rows) => rows.length === 1);

  proxy.freeze();
  const beat = await api.post<{ leaseExpiresAt: string }>(`/jobs/${job.id}/heartbeat`, { leaseToken: job.leaseToken });
  expect(beat).toMatchObject({ status: 200 });
  // Extended while it was still held: on another coordinator a monitor would have taken the job away after that.
  expect(Date.parse(beat.body.leaseExpiresAt) - LEASE_MS).toBeLessThan(heldUntil);
  await coordinator.runMonitor();
  expect((await api.complete(job)).body).toMatchObject({ status: 'completed' });
  expect(await api.job(job.id)).toMatchObject({ status: 'completed', attempt: 1 });
  await api.create({ type });
  expect(await api.claim({ runnerId: 'r', types: [type] })).toHaveLength(1);
  // What was told meanwhile is heard by looking; what is told from now on by a new connection.
  await eventually(listeners, (rows) => rows.some(({ pid }) => pid !== before?.pid), 20_000);
});
