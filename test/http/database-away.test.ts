import type { Problem } from '@baton/runner-sdk/protocol';
import { isUnavailable } from '../../coordinator/store/db';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy';

/** Far more than readiness waits for a database, and less than a statement may take. */
const ANSWERS_WITHIN_MS = 15_000;

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let proxy: TcpProxy;
beforeAll(async () => {
  coordinator = await startCoordinator({
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

const ready = async () => (await coordinator.api.get('/readyz')).status;

test('ready while the database answers', async () => {
  expect(await coordinator.api.as(null).get('/readyz')).toMatchObject({
    status: 200,
    body: { status: 'ready', reasons: [] },
  });
});

test.each<['cut' | 'goSilent']>([['cut'], ['goSilent']])(
  'a database that is away (%s): 503 with Retry-After, alive all the while, and it heals by itself',
  async (how) => {
    const type = uniqueType();
    const { id } = await coordinator.api.create({ type });
    const parked = coordinator.api.claim({ runnerId: 'r', types: [`${type}-later`], waitMs: 45_000 });
    await eventually(() => coordinator.app.services.dispatcher.size === 1);
    proxy[how]();
    // One look is shared for a second.
    const seen = await eventually(
      () => coordinator.api.call('get', '/readyz', { signal: AbortSignal.timeout(ANSWERS_WITHIN_MS) }),
      ({ status }) => status !== 200,
    );
    expect(seen).toMatchObject({
      status: 503,
      headers: { 'retry-after': '1' },
      body: { status: 'not_ready', reasons: ['the database cannot be reached'] },
    });
    expect((await coordinator.api.get('/healthz')).status).toBe(200);
    if (how === 'cut') {
      // Prisma reports it in its own words.
      await expect(
        coordinator.app.context.db.prisma.apiKey.findMany().catch((error: unknown) => isUnavailable(error)),
      ).resolves.toBe(true);
      for (const [method, path, json] of [
        ['post', '/jobs', { type }],
        ['get', `/jobs/${id}`],
        ['get', '/api-keys'],
        ['get', '/runners'],
        ['post', '/jobs/claim', { runnerId: 'x', types: [type] }],
      ] as const) {
        const answer = await coordinator.api.call<Problem>(method, path, json === undefined ? {} : { json });
        expect([path, answer.status, answer.body.code, answer.headers['retry-after']]).toEqual([
          path,
          503,
          'unavailable',
          '1',
        ]);
      }
    }
    proxy.heal();
    await eventually(ready, (status) => status === 200, 20_000);
    expect((await coordinator.api.job(id)).status).toBe('pending');
    const later = await coordinator.api.create({ type: `${type}-later` });
    expect((await parked).map((job) => job.id)).toEqual([later.id]);
  },
  60_000,
);

test('connections that the server ends are made anew', async () => {
  await coordinator.sql.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'baton%'",
  );
  // Being ready is told from a look that is shared for a second, so a call may still meet a connection that has ended.
  const type = uniqueType();
  await eventually(
    () => coordinator.api.post('/jobs', { type }),
    ({ status }) => status === 201,
  );
  await eventually(
    () =>
      coordinator.sql.count(
        "pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'baton-listen %'",
      ),
    (count) => count === 1,
  );
});

test('a database that can be read and not written, as one that failed over, is not ready', async () => {
  // Sessions ask for writes, so it takes a standby to refuse them; the trigger answers as one does.
  await coordinator.sql.query(`
    CREATE FUNCTION refuse_writes() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE 'cannot execute UPDATE in a read-only transaction' USING ERRCODE = '25006'; END $$;
    CREATE TRIGGER refuse_writes BEFORE UPDATE ON attempts FOR EACH STATEMENT EXECUTE FUNCTION refuse_writes()`);
  await eventually(ready, (status) => status === 503);
  expect((await coordinator.api.get('/readyz')).body).toMatchObject({ reasons: ['the database is read only'] });
  await coordinator.sql.query('DROP TRIGGER refuse_writes ON attempts; DROP FUNCTION refuse_writes()');
  await eventually(ready, (status) => status === 200);
});

test('a coordinator that drains is not ready', async () => {
  coordinator.app.services.processState.isDraining = true;
  const answer = await coordinator.api.get('/readyz');
  coordinator.app.services.processState.isDraining = false;
  expect(answer).toMatchObject({
    status: 503,
    headers: { connection: 'close' },
    body: { reasons: ['the coordinator is shutting down'] },
  });
});

test('/health counts jobs and runners, and tells of database and monitor', async () => {
  await coordinator.runMonitor();
  const { status, body } = await coordinator.api.get('/health');
  expect(status).toBe(200);
  expect(body).toMatchObject({
    status: 'ok',
    version: expect.any(String),
    database: { latencyMs: expect.any(Number), version: expect.stringMatching(/^\d+/) },
    monitor: { lagMs: expect.any(Number) },
    jobs: { pending: expect.any(Number), running: expect.any(Number) },
    runners: { total: expect.any(Number) },
  });
});
