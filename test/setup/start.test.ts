import { createTestDatabase, type TestDatabase } from '../support/database';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../support/eventually';
import { end, postmasterPid, ROOT, until } from './embedded-rig';

/** `npm start` without npm: what was compiled by the set-up that goes before it. */
const PROGRAM = join(ROOT, 'scripts', 'dist', 'start.js');

// A small machine may have none.
const itWithCurl = spawnSync('curl', ['--version']).status === 0 ? it : it.skip;

let dataDir: string;
let port: number;
let started: Started[] = [];

interface Started {
  child: ChildProcess;
  output: () => string;
}

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'baton start-'));
  chmodSync(dataDir, 0o755);
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  port = (probe.address() as { port: number }).port;
  probe.close();
});
afterEach(async () => {
  // Its processes drain when it is gone, and the last one ends the database.
  await Promise.all(started.map(({ child }) => end(child, 'SIGKILL')));
  await until(() => postmasterPid(dataDir) === undefined);
  started = [];
});
afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

describe('npm start', () => {
  it('processes 730 quotes at the port that it is told, says what to try next, and drains at Ctrl-C', async () => {
    const { child, output } = start('--port', String(port));
    await until(() => output().includes('Ctrl-C drains'), 60_000);
    expect(output()).toMatch(/730 quotes of films, submitted as 8 jobs/);
    expect(output().match(/100 % {2}completed/g)).toHaveLength(8);
    expect(output()).toMatch(/730 quotes, \d+ words/);
    expect(output()).toContain(`http://127.0.0.1:${port}/docs`);
    expect(statSync(join(dataDir, 'admin-key')).mode & 0o777).toBe(0o600);

    await end(child, 'SIGINT');
    expect(child.exitCode).toBe(0);
    // The job that fails on purpose may do so just then.
    await eventually(
      () => output().replace(/^ +/gm, '').split('Draining …\n')[1] ?? '',
      (end) =>
        /^(?:! quotes runner: an attempt failed.*\n|! coordinator: job\.failed\n)*Stopped\. The data stay\.\n$/.test(
          end,
        ),
      20_000,
    );
    expect(postmasterPid(dataDir)).toBeUndefined();
  }, 90_000);

  it('finds its work done the second time, and refuses a port that is taken', async () => {
    const { output } = start();
    await until(() => output().includes('Ctrl-C drains'), 60_000);
    expect(output()).toMatch(/processed already, on /);
    expect(output()).toMatch(/730 quotes, \d+ words/);

    const other = spawnSync(process.execPath, [PROGRAM], { env: environment(), encoding: 'utf8' });
    expect(other.status).toBe(1);
    expect(other.stderr).toMatch(
      new RegExp(`^Baton runs already at http://127\\.0\\.0\\.1:${port}\\. Stop it first, or [^\\n]*\\n$`),
    );
  }, 90_000);

  itWithCurl(
    'prints curl lines that work as they are',
    async () => {
      const { output } = start();
      await until(() => output().includes('Ctrl-C drains'), 60_000);
      const replies =
        output()
          .match(/^ {2}curl .*$/gm)
          ?.map((line) => execFileSync('bash', ['-c', line], { encoding: 'utf8', cwd: ROOT })) ?? [];
      expect(replies).toHaveLength(2);
      const created = JSON.parse(replies[0] ?? '') as { id: string; type: string };
      expect(created.type).toBe('BATCH_QUOTE_PROCESS');
      expect(JSON.parse(replies[1] ?? '')).toMatchObject({ items: [{ id: created.id }] });
    },
    90_000,
  );

  it('keeps a killed coordinator and a killed runner going', async () => {
    const { output, child } = start();
    await until(() => output().includes('Ctrl-C drains'), 60_000);
    for (const name of ['coordinator', 'quotes runner']) {
      process.kill(childOf(child, name), 'SIGKILL');
      await until(() => output().includes(`! the ${name} ended (SIGKILL) and is started again`));
    }
    await until(async () => (await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined))?.ok);
  }, 90_000);
});

describe('a start that cannot be', () => {
  it.each([
    [{ PORT: 'abc' }, /^PORT is "abc", but /],
    [{ DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' }, /^With DATABASE_URL, set BATON_ADMIN_KEY too/],
    [{ BATON_DATADIR: '/tmp' }, /^BATON_DATADIR is not a setting .*BATON_DATA_DIR/],
  ])('says why in one line: %j', (settings, message) => {
    const { status, stderr } = spawnSync(process.execPath, [PROGRAM], {
      env: { ...environment(), ...settings },
      encoding: 'utf8',
    });
    expect(status).toBe(1);
    expect(stderr).toMatch(message);
    expect(stderr.trim()).not.toContain('\n');
  });
});

describe('a DATABASE_URL that does not work', () => {
  let database: TestDatabase;
  beforeAll(async () => (database = await createTestDatabase({ migrated: false })));
  afterAll(() => database.drop());

  it.each<[string, (url: URL) => void, RegExp]>([
    ['a wrong password', (url) => (url.password = 'wrong'), /^The database refuses the password of user baton/],
    ['no such database', (url) => (url.pathname = 'nowhere'), /^There is no database nowhere .*CREATE DATABASE/],
    ['TLS that is not there', (url) => url.searchParams.set('sslmode', 'require'), /^The database has no TLS.*sslmode/],
    ['another protocol', (url) => (url.href = 'mysql://a:b@127.0.0.1/x'), /^DATABASE_URL must be a URL such as/],
  ])('%s ends in one line, without a stack', (_, change, message) => {
    const url = new URL(database.url);
    change(url);
    const { status, stderr } = spawnSync(process.execPath, [PROGRAM], {
      env: { ...environment(), BATON_ADMIN_KEY: 'an-admin-key-of-this-test', DATABASE_URL: url.href },
      encoding: 'utf8',
    });
    expect(stderr).toMatch(message);
    expect(stderr.trim()).not.toContain('\n');
    expect(status).toBe(1);
  });
});

describe('flags', () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [PROGRAM, ...args], { env: environment(), encoding: 'utf8' });

  it('--help lists all, and starts nothing', () => {
    const { status, stdout } = run('--help');
    expect(status).toBe(0);
    for (const flag of ['--port', '--runners', '--again', '--nightly', '--watch', '--help'])
      expect(stdout).toContain(flag);
    expect(postmasterPid(dataDir)).toBeUndefined();
  });

  it.each([
    [['--prot', '4204'], /^--prot is not a flag of npm start\. Did you mean --port\?/],
    [['--port', 'abc'], /^--port takes a whole number from 1 to 65535/],
    [['--port'], /^--port takes a whole number/],
    [['--again=yes'], /^--again takes no value/],
    [['4204'], /^npm start takes no argument "4204"/],
  ])('%j is refused in one line', (args, message) => {
    const { status, stderr } = run(...args);
    expect(status).toBe(1);
    expect(stderr).toMatch(message);
    expect(stderr.trim()).not.toContain('\n');
  });
});

function start(...args: string[]): Started {
  if (!existsSync(PROGRAM)) throw new Error('Nothing is compiled: run npm run setup.');
  const child = spawn(process.execPath, [PROGRAM, ...args], { env: environment(), cwd: ROOT });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (part: string) => (text += part));
  const made = { child, output: () => text };
  started.push(made);
  return made;
}

function environment(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], HOME: process.env['HOME'], PORT: String(port), BATON_DATA_DIR: dataDir };
}

/** The process number of a process that `npm start` made, by the program that it runs. */
function childOf({ pid }: ChildProcess, name: string): number {
  const program = name === 'coordinator' ? 'coordinator/dist/main.js' : 'runners/quotes/dist/index.js';
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
  const found = children.find((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes(program));
  if (found === undefined) throw new Error(`There is no ${name} among the processes of npm start.`);
  return found;
}
