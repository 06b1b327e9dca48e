import { join } from 'node:path';
import { readAllowed } from '@baton/url-policy';
import type { ClaimedJob, CreatedWebhook, Job } from '@baton/runner-sdk/protocol';
import { migrate } from '../../coordinator/store/migrate';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { TestEventSource } from '../support/event-source';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import { Receiver } from '../support/receiver';
import { TestSql } from '../support/sql';
import { BackupServers, describeWithPostgres } from './backup-server';
import { query, Rig } from './embedded-rig';

// What PostgreSQL's own programs copy from one cluster into another, of another major version as well, goes on there.

const SPENT_TRANSACTIONS = 20_000;
const quiet = { info: () => undefined, warn: () => undefined };
const webhooks = { urlPolicy: { ...readAllowed(['127.0.0.0/8']), isHttpAllowed: false, ports: [443] } };

/** What was under way when the copy was made. */
interface Left {
  type: string;
  running: ClaimedJob;
  waiting: Job;
  /** Its events have been stored, but told to nobody. */
  untold: Job;
  lastEventId: string;
}

describeWithPostgres('a copy of a database', (programs) => {
  const rig = new Rig();
  const servers = new BackupServers(programs);
  let receiver: Receiver;
  let source: string;
  let left: Left;
  const running = new Set<Awaited<ReturnType<typeof startCoordinator>>>();

  beforeAll(async () => {
    receiver = await Receiver.open();
    source = await servers.create('source');
    await migrate(source, { log: quiet });
    const sql = new TestSql(source, 1);
    await sql.query(
      `DO $$ BEGIN FOR n IN 1..${SPENT_TRANSACTIONS} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$`,
    );
    await sql.end();
    left = await leaveWork();
  });
  // Those of a test that failed.
  afterEach(async () => {
    for (const coordinator of running) await close(coordinator);
  });
  afterAll(async () => {
    await receiver.close();
    await servers.cleanUp();
    await rig.cleanUp();
  });

  async function open(on: string) {
    const coordinator = await startCoordinator({ webhooks, through: () => on });
    running.add(coordinator);
    return coordinator;
  }
  async function close(coordinator: Awaited<ReturnType<typeof open>>): Promise<void> {
    running.delete(coordinator);
    await coordinator.stop();
  }

  /** Has a coordinator on the source leave jobs in all states, and news that it has told to nobody. */
  async function leaveWork(): Promise<Left> {
    const coordinator = await open(source);
    const { api, app, url, adminKey } = coordinator;
    const type = uniqueType();
    const events = ['job.created', 'job.completed'];
    expectStatus(await api.post<CreatedWebhook>('/webhooks', { url: receiver.url(), events, filter: { type } }), 201);
    const stream = await TestEventSource.open(`${url}/events?type=${type}`, adminKey);
    await api.create({ type });
    const running = await api.claimOne({ runnerId: 'r', types: [type], leaseMs: 600_000 });
    const waiting = await api.create({ type, callbackUrl: receiver.url('/called-back') });
    await eventually(
      () =>
        stream.events.length === 3 &&
        [running, waiting].every(({ id }) => receiver.received.some(({ body }) => body.data['jobId'] === id)),
    );
    stream.close();
    await app.loops.outbox.stop();
    const untold = await api.create({ type });
    await close(coordinator);
    return { type, running, waiting, untold, lastEventId: stream.lastId };
  }

  /** A coordinator on the copy, which does what the one on the source left undone. */
  async function requireGoingOn(copy: string, { type, running, waiting, untold, lastEventId }: Left): Promise<void> {
    receiver.received.length = 0;
    const told = (name: string) =>
      receiver.received
        .filter(({ path, body }) => path !== '/called-back' && body.type === name)
        .map(({ body }) => body.data['jobId']);
    const coordinator = await open(copy);
    const { api, url, adminKey } = coordinator;
    await eventually(() => told('job.created').length === 1);
    const stream = await TestEventSource.open(`${url}/events?type=${type}`, adminKey, lastEventId);
    expect(stream.frames[0]?.event).toBe('ready');
    await eventually(() => stream.namesOf(untold.id).length === 1);
    expectStatus(await api.complete(running, { outcome: 'completed', result: 1 }), 200);
    const claimed = await api.claim({ runnerId: 'r', types: [type], max: 5 });
    expect(claimed.map(({ id }) => id)).toEqual([waiting.id, untold.id]);
    for (const job of claimed) expectStatus(await api.complete(job), 200);
    // Of a queue and type that the source never had, with a lane, events and log lines of their own.
    const fresh = await api.create({ type, queue: uniqueType('queue'), priority: 7 });
    const taken = await api.claimOne({ runnerId: 'r', types: [type] });
    expect(taken.id).toBe(fresh.id);
    expectStatus(await api.complete(taken, { outcome: 'completed', logs: [{ level: 'info', message: 'done' }] }), 200);
    const all = [running.id, waiting.id, untold.id, fresh.id];
    await eventually(() => told('job.completed').length === all.length);
    expect(told('job.completed').sort()).toEqual([...all].sort());
    expect(told('job.created').sort()).toEqual([untold.id, fresh.id].sort());
    await eventually(() => receiver.received.some(({ path }) => path === '/called-back'));
    await eventually(() => all.every((id) => stream.namesOf(id).includes('job.completed')));
    stream.close();
    await close(coordinator);
  }

  const transactions = async (url: string) =>
    Number(((await query(url, 'SELECT pg_current_xact_id()::text::int AS id')) as [{ id: number }])[0].id);

  it('goes on where pg_restore brought it into another cluster', async () => {
    const dump = join(servers.emptyDir('dump'), 'baton.dump');
    await servers.run('pg_dump', ['-Fc', '-f', dump, source]);
    const copy = await servers.create('restored');
    await servers.run('pg_restore', ['--exit-on-error', '-d', copy, dump]);
    expect(await transactions(copy)).toBeLessThan(await transactions(source));
    await requireGoingOn(copy, left);
  });

  it('goes on where a dump was read into another major version', async () => {
    const dump = join(servers.emptyDir('text'), 'baton.sql');
    await servers.run('pg_dump', ['--no-owner', '--no-privileges', '-f', dump, source]);
    const { url: copy } = await rig.start(rig.emptyDir('newer'));
    await servers.run('psql', ['-q', '-X', '-v', 'ON_ERROR_STOP=1', '-f', dump, copy]);
    expect(await transactions(copy)).toBeLessThan(await transactions(source));
    await requireGoingOn(copy, left);
  });

  it('goes on where a base backup was started', async () => {
    const dataDir = servers.emptyDir('base');
    await servers.run('pg_basebackup', [
      '-D',
      dataDir,
      '-X',
      'stream',
      '-c',
      'fast',
      '--no-sync',
      '-d',
      source.replace(/baton$/, 'postgres'),
    ]);
    await requireGoingOn(await servers.start(dataDir), left);
  });

  it('goes on where logical replication kept it, in another major version, once its sequences are set', async () => {
    const schema = join(servers.emptyDir('schema'), 'baton.sql');
    await servers.run('pg_dump', ['--no-owner', '--no-privileges', '--schema-only', '-f', schema, source]);
    const { url: copy } = await rig.start(rig.emptyDir('replica'));
    await servers.run('psql', ['-q', '-X', '-v', 'ON_ERROR_STOP=1', '-f', schema, copy]);
    await query(source, 'CREATE PUBLICATION moving FOR ALL TABLES');
    await query(copy, `CREATE SUBSCRIPTION moving CONNECTION '${source}' PUBLICATION moving`);
    // A coordinator works meanwhile, so every table must tell which row was changed.
    const moved = await leaveWork();
    await eventually(async () => {
      const [{ left: unready }] = (await query(
        copy,
        "SELECT count(*)::int AS left FROM pg_subscription_rel WHERE srsubstate <> 'r'",
      )) as [{ left: number }];
      const [{ behind }] = (await query(
        source,
        'SELECT count(*)::int AS behind FROM pg_stat_replication WHERE replay_lsn IS DISTINCT FROM pg_current_wal_lsn()',
      )) as [{ behind: number }];
      return unready === 0 && behind === 0;
    });
    await query(copy, 'DROP SUBSCRIPTION moving');
    const sequences = (await query(
      source,
      "SELECT format('SELECT setval(%L, %s)', quote_ident(schemaname) || '.' || quote_ident(sequencename), last_value) AS set FROM pg_sequences WHERE last_value IS NOT NULL",
    )) as { set: string }[];
    for (const { set } of sequences) await query(copy, set);
    await requireGoingOn(copy, moved);
  });
});
