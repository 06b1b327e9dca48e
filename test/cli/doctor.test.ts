import { once } from 'node:events';
import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import type { SystemReport } from '@baton/runner-sdk/protocol';
import { checkDatabase } from '../../cli/commands/doctor/database';
import { checkClock } from '../../cli/commands/doctor/network';
import { checkCoordinators, checkRunners } from '../../cli/commands/doctor/service';
import { startCoordinator } from '../support/coordinator';
import { Shell } from './support/command';

type Started = Awaited<ReturnType<typeof startCoordinator>>;
interface Found {
  check: string;
  level: string;
  what: string;
  advice?: string;
  fixed?: string;
}

let coordinator: Started;
let shell: Shell;

beforeAll(async () => {
  coordinator = await startCoordinator();
  shell = new Shell({ COORDINATOR_URL: coordinator.url, BATON_KEY: coordinator.adminKey });
});

afterAll(() => coordinator.stop());

async function doctor(args: string[] = ['--wait', '0s'], env: Record<string, string> = {}) {
  const { code, stdout } = await shell.run(['doctor', '--json', ...args], { env });
  const items = (JSON.parse(stdout) as { items: Found[] }).items;
  // The database of the tests is fast rather than safe, which is found too.
  const found = items.filter(({ level }) => level === 'warning' || level === 'problem');
  return { code, items, wrong: found.filter(({ check }) => check !== 'settings') };
}

test('finds nothing wrong where nothing is', async () => {
  const { wrong, items } = await doctor(['--wait', '100ms']);
  expect(wrong).toEqual([]);
  expect(items.filter(({ check }) => check === 'settings').map(({ what }) => what)).toEqual([
    'fsync is off',
    'full_page_writes is off',
    'synchronous_commit is off',
  ]);
  expect(items.filter(({ level }) => level === 'ok').map(({ check }) => check)).toEqual(
    expect.arrayContaining(['configuration', 'TLS', 'reachability', 'key', 'coordinator', 'database', 'migrations']),
  );
  expect(items.at(-1)).toMatchObject({ check: 'long poll', level: 'ok' });
  const { items: runners } = await shell.json<{ items: { id: string }[] }>(['runners', 'list']);
  expect(runners).toEqual([]);
  expect((await shell.run(['doctor', '--wait', '0s'])).stdout).toMatch(
    /✓ reachability: ready[\s\S]*✗ settings: fsync is off[\s\S]*3 of \d+ checks found something/,
  );
});

test('finds queues that nobody serves, and those that are paused', async () => {
  await coordinator.api.create({ type: 'ALONE', queue: 'lonely' });
  await coordinator.api.create({ type: 'HALTED', queue: 'halted' });
  await shell.run(['queues', 'pause', 'halted']);
  const nobody = await doctor();
  expect(nobody.code).toBe(8);
  expect(nobody.wrong.map(({ what }) => what)).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^nobody serves lonely: 1 /),
      expect.stringMatching(/^halted is paused/),
    ]),
  );
  // One that takes other types is of no use.
  await coordinator.api.post('/jobs/claim', { runnerId: 'r1', types: ['OTHER'], queues: ['lonely'] });
  expect((await doctor()).wrong).toContainEqual(
    expect.objectContaining({ what: 'no runner of lonely takes ALONE', advice: expect.stringContaining('ALONE') }),
  );
  await coordinator.api.post('/jobs/claim', { runnerId: 'r1', types: ['OTHER', 'ALONE'], queues: ['lonely'] });
  await coordinator.api.create({ type: 'ALONE', queue: 'lonely' });
  await shell.run(['queues', 'resume', 'halted']);
  await shell.run(['queues', 'purge', 'halted', '--yes']);
  expect((await doctor()).wrong).toEqual([]);
});

test('measures a proxy that ends calls which wait', async () => {
  const proxy = createServer((incoming, outgoing) => {
    const passed = request(new URL(incoming.url ?? '/', coordinator.url), {
      method: incoming.method,
      headers: incoming.headers,
    });
    incoming.pipe(passed);
    passed.on('response', (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    passed.on('error', () => undefined);
    setTimeout(() => {
      if (outgoing.headersSent) return;
      passed.destroy();
      outgoing.writeHead(504).end();
    }, 1500);
  });
  await once(proxy.listen(0, '127.0.0.1'), 'listening');
  try {
    const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const { code, wrong } = await doctor(['--wait', '20s'], { COORDINATOR_URL: url });
    expect(code).toBe(8);
    expect(wrong).toEqual([
      expect.objectContaining({
        check: 'long poll',
        what: expect.stringContaining('HTTP 504'),
        advice: expect.stringContaining('60 s'),
      }),
    ]);
  } finally {
    proxy.closeAllConnections();
    await once(proxy.close(), 'close');
  }
});

test('says what cannot be reached, or is no coordinator, and that a key is wrong', async () => {
  const other = createServer((_request, response) => response.end('hello'));
  await once(other.listen(0, '127.0.0.1'), 'listening');
  const { port } = other.address() as AddressInfo;
  try {
    const [refused, foreign, tls, key] = await Promise.all([
      doctor([], { COORDINATOR_URL: 'http://127.0.0.1:9' }),
      doctor([], { COORDINATOR_URL: `http://127.0.0.1:${port}` }),
      doctor([], { COORDINATOR_URL: coordinator.url.replace('http:', 'https:') }),
      doctor(['--wait', '0s'], { BATON_KEY: 'no-such-key' }),
    ]);
    expect(refused.wrong).toEqual([expect.objectContaining({ check: 'reachability' })]);
    expect(foreign.wrong).toEqual([expect.objectContaining({ check: 'reachability' })]);
    expect(tls.wrong[0]).toMatchObject({ check: 'TLS', level: 'problem' });
    expect(key.wrong).toEqual([expect.objectContaining({ check: 'key', advice: 'Run: baton login' })]);
  } finally {
    other.closeAllConnections();
    other.close();
  }
  const nothing = new Shell();
  const { code, stdout } = await nothing.run(['doctor', '--json'], {
    env: { BATON_DATA_DIR: join(nothing.folder, 'none') },
  });
  expect([code, (JSON.parse(stdout) as { items: Found[] }).items]).toEqual([
    8,
    [expect.objectContaining({ what: 'no coordinator is named', advice: expect.stringContaining('baton login') })],
  ]);
});

test('makes files with keys private with --fix, and changes nothing without it', async () => {
  const profiles = join(shell.configDir, 'profiles.json');
  mkdirSync(dirname(profiles), { recursive: true });
  writeFileSync(profiles, '{"profiles":{}}');
  chmodSync(profiles, 0o644);
  const before = await doctor();
  expect(before.wrong).toEqual([
    expect.objectContaining({ what: expect.stringContaining('can be read'), advice: expect.stringContaining('--fix') }),
  ]);
  expect(statSync(profiles).mode & 0o777).toBe(0o644);
  expect((await doctor(['--fix', '--wait', '0s'])).items[0]).toMatchObject({ fixed: 'only its owner can read it now' });
  expect(statSync(profiles).mode & 0o777).toBe(0o600);
  expect((await doctor()).wrong).toEqual([]);
});

test('a key that may not look at everything leaves out what it may not', async () => {
  const made = await coordinator.api.post<{ key: string }>('/api-keys', { name: 'reader', role: 'viewer' });
  const { code, items } = await doctor(['--wait', '100ms'], { BATON_KEY: made.body.key });
  expect(code).toBe(0);
  expect(items.filter(({ level }) => level === 'skipped').map(({ check }) => check)).toEqual(['database', 'long poll']);
});

describe('of what the database tells', () => {
  const jobs = { name: 'jobs', bytes: 1e9, liveRows: 1e6, deadRows: 1000, bloatBytes: 1e6, vacuumedAt: null };
  const healthy: SystemReport['database'] = {
    version: '18.1',
    at: '2026-01-01T00:00:00.000Z',
    coordinatorAt: '2026-01-01T00:00:00.000Z',
    pendingMigrations: [],
    connections: { used: 10, own: 5, max: 100 },
    oldestSnapshot: null,
    settings: ['fsync', 'autovacuum', 'synchronous_commit', 'track_counts', 'full_page_writes'].map((name) => ({
      name,
      value: 'on',
    })),
    tables: [jobs],
  };
  const wrongOf = (changes: Partial<typeof healthy>, coordinators = 1) =>
    checkDatabase({
      database: { ...healthy, ...changes },
      coordinators: Array.from({ length: coordinators }, () => ({
        version: '1.0.0',
        host: null,
        address: null,
        connectedAt: healthy.at,
      })),
      migrations: [],
      settings: [],
    })
      .filter(({ level }) => level !== 'ok')
      .map(({ check, what }) => `${check}: ${what}`);

  test.each<[string, Partial<typeof healthy>, RegExp]>([
    ['an old version', { version: '13.4' }, /^database: PostgreSQL 13/],
    ['missing migrations', { pendingMigrations: ['0002_x'] }, /^migrations: 1 are missing: 0002_x/],
    ['no fsync', { settings: [{ name: 'fsync', value: 'off' }] }, /^settings: fsync is off/],
    ['no autovacuum', { settings: [{ name: 'autovacuum', value: 'off' }] }, /^settings: autovacuum is off/],
    ['few connections left', { connections: { used: 90, own: 5, max: 100 } }, /^connections: 90 of 100/],
    [
      'an old snapshot',
      { oldestSnapshot: { holder: 'session', name: 'report process 7', ageMs: 7_200_000, transactions: 9 } },
      /^oldest snapshot: the transaction of report process 7 has been open for 2 h/,
    ],
    [
      'a forgotten slot',
      { oldestSnapshot: { holder: 'replication_slot', name: 'old', ageMs: null, transactions: 2_000_000 } },
      /^oldest snapshot: the replication slot old has been open for 2,000,000 transactions/,
    ],
    ['dead rows', { tables: [{ ...jobs, deadRows: 500_000 }] }, /^dead rows: jobs has 500,000 dead rows/],
    ['bloat', { tables: [{ ...jobs, bloatBytes: 7e8 }] }, /^bloat: about 700 MB of the 1.0 GB of jobs/],
  ])('%s', (_name, changes, what) => {
    expect(wrongOf({})).toEqual([]);
    expect(wrongOf(changes)).toEqual([expect.stringMatching(what)]);
  });

  test('nobody who listens, different versions, and clocks that are wrong', () => {
    expect(wrongOf({}, 0)).toEqual([expect.stringMatching(/^pooler: no coordinator listens/)]);
    const at = { host: null, address: null, connectedAt: healthy.at };
    const coordinators = [
      { ...at, version: '1.0.0' },
      { ...at, version: '1.1.0' },
    ];
    expect(checkCoordinators({ database: healthy, coordinators, migrations: [], settings: [] }).level).toBe('warning');
    expect([checkClock('it', 4000, ''), checkClock('it', -9000, '')].map(({ level, what }) => [level, what])).toEqual([
      ['ok', 'it is right within 4.0 s'],
      ['warning', 'it is 9.0 s behind'],
    ]);
    const runner = {
      types: ['A'],
      queues: null,
      labels: {},
      protocol: 1,
      running: 0,
      firstSeenAt: healthy.at,
      lastSeenAt: healthy.at,
      drainingSince: null,
    };
    const levels = (version: string, status: 'active' | 'lost' = 'active') =>
      checkRunners([{ ...runner, id: 'r', version, status }], '1.9.0').map(({ level }) => level);
    expect([levels('1.8.2'), levels('1.10.0'), levels('mine'), levels('1.9.0', 'lost')]).toEqual([
      ['ok'],
      ['warning'],
      ['ok'],
      ['warning'],
    ]);
  });
});
