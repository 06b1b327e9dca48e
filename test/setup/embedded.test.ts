import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { migrateAsBefore } from './before';
import { end, postmasterPid, query, Rig, ROOT, until } from './embedded-rig';

let rig: Rig;
const prototype = new Rig();
beforeAll(async () => (await prototype.start(prototype.emptyDir())).stop());
beforeEach(() => (rig = new Rig(prototype)));
afterEach(() => rig.cleanUp());
afterAll(() => prototype.cleanUp());

describe('a data directory', () => {
  it('is made, kept from others, and found again', async () => {
    const dataDir = rig.emptyDir();
    const first = await rig.start(dataDir);
    expect(first.adopted).toBe(false);
    expect(statSync(join(dataDir, 'postgres-password')).mode & 0o777).toBe(0o600);
    await query(first.url, 'CREATE TABLE kept (x int)');
    await first.stop();
    expect(postmasterPid(dataDir)).toBeUndefined();

    const second = await rig.start(dataDir);
    expect(second.url).toBe(first.url);
    expect(await query(second.url, 'SELECT * FROM kept')).toEqual([]);
  });

  it('may have spaces and be longer than a socket address', async () => {
    const { url } = await rig.start(rig.emptyDir(`my 'own' "data" ${'long'.repeat(40)}`));
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('holds UTF-8, sorted alike everywhere, durably', async () => {
    const { url } = await rig.start(rig.dataDir());
    const names = [
      'server_encoding',
      'lc_collate',
      'fsync',
      'synchronous_commit',
      'listen_addresses',
      'unix_socket_directories',
    ];
    const [row] = await query(
      url,
      `SELECT ${names.map((name) => `current_setting('${name}', true) AS ${name}`).join()}, upper('ä') AS upper`,
    );
    expect(row).toEqual({
      server_encoding: 'UTF8',
      lc_collate: null,
      fsync: 'on',
      synchronous_commit: 'on',
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      upper: 'Ä',
    });
  });

  it('takes another port when its last one is taken', async () => {
    const dataDir = rig.dataDir();
    const first = await rig.start(dataDir);
    await first.stop();
    const occupant = createServer().listen(Number(new URL(first.url).port), '127.0.0.1');
    await once(occupant, 'listening');
    const second = await rig.start(dataDir);
    expect(second.url).not.toBe(first.url);
    expect(await query(second.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    occupant.close();
  });
});

describe('a coordinator that is killed', () => {
  it('leaves the server to the next one', async () => {
    const dataDir = rig.dataDir();
    const { child, url } = await rig.hold(dataDir);
    await query(url, 'CREATE TABLE kept (x int)');
    const pid = postmasterPid(dataDir);
    await end(child, 'SIGKILL');

    const next = await rig.start(dataDir);
    expect(next).toMatchObject({ adopted: true, url });
    expect(postmasterPid(dataDir)).toBe(pid);
    expect(await query(next.url, 'SELECT * FROM kept')).toEqual([]);
    await next.stop();
    expect(postmasterPid(dataDir)).toBeUndefined();
    await expect(query(url, 'SELECT 1')).rejects.toThrow('ECONNREFUSED');
  });

  it('and the server too: the next one starts it and it recovers', async () => {
    const dataDir = rig.dataDir();
    const { child, url } = await rig.hold(dataDir);
    await query(url, 'CREATE TABLE kept AS SELECT 7 AS x');
    await end(child, 'SIGKILL');
    process.kill(postmasterPid(dataDir) ?? Number.NaN, 'SIGKILL');

    const next = await rig.start(dataDir);
    expect(next.adopted).toBe(false);
    expect(await query(next.url, 'SELECT * FROM kept')).toEqual([{ x: 7 }]);
  });

  it.each([
    ['long ago', 60_000],
    ['a moment ago', 19_000],
  ])('that was made %s, and never written, keeps nobody out for long', async (_when, agoMs) => {
    const dataDir = rig.dataDir();
    const first = await rig.start(dataDir);
    await query(first.url, 'CREATE TABLE kept AS SELECT 7 AS x');
    await first.stop();
    const lockFile = join(dataDir, 'postgres', 'postmaster.pid');
    writeFileSync(lockFile, '');
    const at = new Date(Date.now() - agoMs);
    utimesSync(lockFile, at, at);
    const next = await rig.start(dataDir);
    expect(await query(next.url, 'SELECT * FROM kept')).toEqual([{ x: 7 }]);
  });
});

describe('a lock file', () => {
  it('that names a process of somebody else keeps nobody out', async () => {
    const dataDir = rig.dataDir();
    const first = await rig.start(dataDir);
    await query(first.url, 'CREATE TABLE kept AS SELECT 7 AS x');
    const lockFile = join(dataDir, 'postgres', 'postmaster.pid');
    const text = readFileSync(lockFile, 'utf8');
    await first.stop();
    // Another program of the server's own user, as after a reboot.
    const { uid, gid } = statSync(join(dataDir, 'postgres'));
    const stranger = rig.keep(
      spawn(process.execPath, ['--eval', 'setInterval(() => 0, 1000)'], { uid, gid, cwd: '/' }),
    );
    writeFileSync(lockFile, text.replace(/^\d+/, String(stranger.pid)));

    const next = await rig.start(dataDir);
    expect(next.adopted).toBe(false);
    expect(await query(next.url, 'SELECT * FROM kept')).toEqual([{ x: 7 }]);
  });
});

describe("the terminal's Ctrl-C", () => {
  it('does not reach the server', async () => {
    const dataDir = rig.dataDir();
    const { child, url } = await rig.hold(dataDir);
    process.kill(-(child.pid ?? Number.NaN), 'SIGINT');
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    const pid = postmasterPid(dataDir);
    await end(child, 'SIGTERM');
    expect(pid).toBeGreaterThan(0);
    expect(postmasterPid(dataDir)).toBeUndefined();
  });
});

describe('two coordinators on one data directory', () => {
  it('share one server, and the last to leave ends it', async () => {
    const dataDir = rig.emptyDir();
    const [one, other] = await Promise.all([rig.hold(dataDir), rig.hold(dataDir)]);
    expect(one.url).toBe(other.url);
    expect([one.adopted, other.adopted].sort()).toEqual([false, true]);
    const pid = postmasterPid(dataDir);
    await end(one.child, 'SIGTERM');
    expect(postmasterPid(dataDir)).toBe(pid);
    expect(await query(other.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await end(other.child, 'SIGTERM');
    expect(postmasterPid(dataDir)).toBeUndefined();
  });

  it('one arriving while the other leaves gets a server that stays', async () => {
    const dataDir = rig.dataDir();
    let current = await rig.start(dataDir);
    for (let round = 0; round < 5; round += 1) {
      const [, next] = await Promise.all([current.stop(), rig.start(dataDir)]);
      expect(await query(next.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
      current = next;
    }
  });
});

describe('a server that is killed while it is held', () => {
  it('is started again at the same address, with all that was committed', async () => {
    const dataDir = rig.dataDir();
    const warnings: string[] = [];
    const { url, stop } = await rig.start(dataDir, {
      log: { info: () => undefined, warn: (line) => warnings.push(line) },
    });
    await query(url, 'CREATE TABLE kept AS SELECT 7 AS x');
    const pid = postmasterPid(dataDir) ?? Number.NaN;
    process.kill(pid, 'SIGKILL');
    const rows = await until(() => query(url, 'SELECT * FROM kept').catch(() => undefined));
    expect(rows).toEqual([{ x: 7 }]);
    expect(postmasterPid(dataDir)).not.toBe(pid);
    expect(warnings[0]).toMatch(/went away/);
    await stop();
    expect(postmasterPid(dataDir)).toBeUndefined();
  });
});

describe('what cannot be used is named in one line', () => {
  it.each([
    [
      'another major version',
      (dataDir: string) => writeFileSync(join(dataDir, 'postgres', 'PG_VERSION'), '17\n'),
      /of PostgreSQL 17, and this Baton brings PostgreSQL 18/,
    ],
    ['no cluster', (dataDir: string) => rmSync(join(dataDir, 'postgres', 'PG_VERSION')), /has no PG_VERSION/],
    [
      'a lost password',
      (dataDir: string) => rmSync(join(dataDir, 'postgres-password')),
      /postgres-password is missing/,
    ],
    [
      'another password',
      (dataDir: string) => writeFileSync(join(dataDir, 'postgres-password'), 'other\n'),
      /refuses the password/,
    ],
    [
      'a broken setting',
      (dataDir: string) => writeFileSync(join(dataDir, 'postgres', 'postgresql.conf'), 'nonsense = 1\n'),
      /did not start: configuration file .*postgres\.log\.$/,
    ],
  ])('%s', async (_, breakIt, message) => {
    const dataDir = rig.dataDir();
    await (await rig.start(dataDir)).stop();
    breakIt(dataDir);
    const fault = await rig.start(dataDir).then(
      () => '',
      (error: unknown) => (error instanceof Error ? error.message : ''),
    );
    expect(fault).toMatch(message);
    expect(fault).not.toContain('\n');
  });

  it('a data directory that is a file', async () => {
    const dataDir = rig.emptyDir();
    writeFileSync(dataDir, '');
    await expect(rig.start(dataDir)).rejects.toThrow(/cannot be made.*BATON_DATA_DIR/);
  });
});

describe('the database of a version before 0.1', () => {
  it('is named in one line, and kept as it is', async () => {
    const dataDir = rig.dataDir();
    const before = await rig.start(dataDir);
    await migrateAsBefore(before.url);
    await query(before.url, 'INSERT INTO baton.jobs (id) VALUES (gen_random_uuid())');
    const kept = () => query(before.url, 'SELECT id FROM baton.jobs');
    const jobs = await kept();
    const start = spawn(process.execPath, [join(ROOT, 'coordinator', 'dist', 'main.js')], {
      env: { ...process.env, BATON_DATA_DIR: dataDir, PORT: '0', LOG_LEVEL: 'error' },
    });
    rig.keep(start);
    let said = '';
    start.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    const [code] = (await once(start, 'close')) as [number | null];
    expect(said.trim().split('\n')).toEqual([
      expect.stringContaining(`The database in ${dataDir} was made by a version of Baton before 0.1`),
    ]);
    expect(said).toContain('BATON_DATA_DIR');
    expect(code).toBe(1);
    expect(await kept()).toEqual(jobs);
  });
});

describe('a first start that was killed', () => {
  it('leaves nothing that is taken for a database, and is cleared away', async () => {
    const dataDir = rig.emptyDir();
    const dead = spawnSync(process.execPath, ['--version']).pid;
    const draft = join(dataDir, `postgres.new-${dead}-abc`);
    mkdirSync(join(draft, 'cluster'), { recursive: true });
    const { url } = await rig.start(dataDir);
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(existsSync(draft)).toBe(false);
  });
});
