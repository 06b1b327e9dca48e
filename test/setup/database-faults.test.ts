import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { createTestDatabase, type TestDatabase } from '../support/database';
import { postmasterPid, ROOT } from './embedded-rig';

// A database that cannot serve is named in one line that says what to do, and the start ends.

const PROGRAM = join(ROOT, 'coordinator', 'dist', 'main.js');
const KEY = 'an-admin-key-of-this-test';
let database: TestDatabase;
let url: URL;
beforeAll(async () => {
  database = await createTestDatabase();
  url = new URL(database.url);
});
afterAll(() => database.drop());

function start(env: Record<string, string>): { status: number | null; stderr: string } {
  const { status, stderr } = spawnSync(process.execPath, [PROGRAM], {
    env: { PATH: process.env['PATH'], BATON_ADMIN_KEY: KEY, PORT: '0', ...env },
    encoding: 'utf8',
  });
  return { status, stderr };
}

function changed(change: (address: URL) => void): string {
  const address = new URL(url);
  change(address);
  return address.href;
}

async function onServer(statement: string): Promise<void> {
  const client = new Client({ connectionString: url.href });
  await client.connect();
  await client.query(statement).finally(() => client.end());
}

test.each<[string, () => string, RegExp]>([
  ['a wrong password', () => changed((address) => (address.password = 'wrong')), /refuses the password of user baton/],
  [
    'no such user',
    () => changed((address) => (address.username = 'nobody_here')),
    /refuses the password of user nobody_here/,
  ],
  [
    'no such database',
    () => changed((address) => (address.pathname = 'not_there')),
    /no database not_there .*CREATE DATABASE/,
  ],
  [
    'TLS that is not there',
    () => changed((address) => address.searchParams.set('sslmode', 'require')),
    /has no TLS.*sslmode/,
  ],
  [
    'a file that is not there',
    () => changed((address) => (address.search = '?sslmode=verify-full&sslrootcert=/none.pem')),
    /sslrootcert=\/none\.pem/,
  ],
])('%s', (_, address, words) => {
  const { status, stderr } = start({ DATABASE_URL: address() });
  expect(stderr).toMatch(words);
  expect(stderr).toMatch(/^baton: [^\n]+\n$/);
  expect(status).toBe(1);
});

test('an encoding that cannot hold all text', async () => {
  const name = `latin_${process.pid}`;
  await onServer(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C' LOCALE_PROVIDER libc`);
  try {
    const { status, stderr } = start({ DATABASE_URL: changed((address) => (address.pathname = name)) });
    expect(stderr).toMatch(/^baton: [^\n]*encoding SQL_ASCII[^\n]*ENCODING 'UTF8'[^\n]*\n$/);
    expect(status).toBe(1);
  } finally {
    await onServer(`DROP DATABASE ${name}`);
  }
});

test('sslmode=prefer and no sslmode go on without TLS where there is none', async () => {
  for (const mode of ['prefer', 'allow', null]) {
    const address = changed(({ searchParams }) => {
      searchParams.delete('sslmode');
      if (mode !== null) searchParams.set('sslmode', mode);
    });
    const child = spawn(process.execPath, [PROGRAM], {
      env: { PATH: process.env['PATH'], BATON_ADMIN_KEY: KEY, PORT: '0', HOST: '127.0.0.1', DATABASE_URL: address },
    });
    let text = '';
    for await (const part of child.stdout.setEncoding('utf8')) {
      text += part;
      if (text.includes('coordinator listens')) break;
    }
    expect(text).toContain('coordinator listens');
    child.kill('SIGTERM');
    if (child.exitCode === null) await once(child, 'exit');
  }
});

test('a start that fails leaves no embedded database behind, and the shell is not asked how to reach it', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'baton-fault-'));
  chmodSync(dataDir, 0o755);
  const occupant = createServer().listen(0, '127.0.0.1');
  await once(occupant, 'listening');
  const { port } = occupant.address() as { port: number };
  const { status, stderr } = start({
    PORT: String(port),
    BATON_DATA_DIR: dataDir,
    PGSSLMODE: 'require',
    PGOPTIONS: '-c search_path=nowhere -c nonsense=1',
  });
  occupant.close();
  expect(stderr).toMatch(/^baton: PORT \d+ is in use by another process[^\n]*\n$/);
  expect(status).toBe(1);
  expect(postmasterPid(dataDir)).toBeUndefined();
  rmSync(dataDir, { recursive: true, force: true });
});
