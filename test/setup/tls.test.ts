import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { readAddress } from '../../coordinator/store/connections/address';
import { Route } from '../../coordinator/store/connections/route';
import { closeSession, openSession } from '../../coordinator/store/connections/session';
import { Client } from 'pg';
import { eventually } from '../support/eventually';
import { end, Rig, ROOT } from './embedded-rig';

// `sslmode` means to Baton what it means to libpq: against a server that speaks TLS, with a certificate for localhost
// and 127.0.0.1, or one for another host.

const PROGRAM = join(ROOT, 'coordinator', 'dist', 'main.js');
const CERTIFICATES = {
  localhost: join(ROOT, 'test', 'http', 'tls', 'localhost'),
  elsewhere: join(__dirname, 'certificates', 'elsewhere'),
};
type Certificate = keyof typeof CERTIFICATES;
const authority = (of: Certificate): string => `${CERTIFICATES[of]}-cert.pem`;

const rig = new Rig();
let url: string;
let cluster: string;

/** The test's own session, which was there before anything was changed. */
let own: Client;

beforeAll(async () => {
  ({ url } = await rig.start(rig.emptyDir()));
  own = new Client({ connectionString: url });
  await own.connect();
  const { rows } = await own.query<{ data_directory: string }>('SHOW data_directory');
  cluster = rows[0]?.data_directory ?? '';
});
afterAll(async () => {
  await own.end();
  await rig.cleanUp();
});

function address(parameters: string): string {
  return `${url.replace(/\?.*$/, '')}?${parameters}`;
}

/** The server's keys must be its own, and nobody else's to read. */
function hand(from: string, name: string): void {
  const to = join(cluster, name);
  copyFileSync(from, to);
  chmodSync(to, 0o600);
  const { uid, gid } = statSync(cluster);
  chownSync(to, uid, gid);
}

/** @param lines of pg_hba.conf: who may come in, and how */
async function serve(certificate: Certificate, ...lines: string[]): Promise<void> {
  hand(`${CERTIFICATES[certificate]}-cert.pem`, 'server.crt');
  hand(`${CERTIFICATES[certificate]}-key.pem`, 'server.key');
  hand(authority('localhost'), 'clients.crt');
  writeFileSync(join(cluster, 'pg_hba.conf'), `${lines.join('\n')}\n`);
  const { rows } = await own.query<{ at: Date }>('SELECT pg_conf_load_time() AS at');
  for (const setting of [`ssl = 'on'`, `ssl_ca_file = 'clients.crt'`]) await own.query(`ALTER SYSTEM SET ${setting}`);
  await own.query('SELECT pg_reload_conf()');
  await eventually(
    () => own.query<{ ssl: string; at: Date }>(`SELECT current_setting('ssl') AS ssl, pg_conf_load_time() AS at`),
    (now) => now.rows[0]?.ssl === 'on' && now.rows[0].at.getTime() !== rows[0]?.at.getTime(),
  );
}

const WITH_PASSWORD = 'all all 127.0.0.1/32 scram-sha-256';

/** Whether a session of Baton's is encrypted. */
async function isEncrypted(parameters: string): Promise<boolean> {
  const read = readAddress(address(parameters));
  const options = { applicationName: 'baton-tls-test', statementTimeoutMs: 5000 };
  const client = await openSession(new Route(read), options);
  const { rows } = await client.query<{ ssl: boolean }>('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
  await closeSession(client);
  return rows[0]?.ssl ?? false;
}

function start(parameters: string): { status: number | null; stderr: string } {
  const { status, stderr } = spawnSync(process.execPath, [PROGRAM], { env: environment(parameters), encoding: 'utf8' });
  return { status, stderr };
}

const environment = (parameters: string): NodeJS.ProcessEnv => ({
  PATH: process.env['PATH'],
  BATON_ADMIN_KEY: 'an-admin-key-of-this-test',
  PORT: '0',
  HOST: '127.0.0.1',
  DATABASE_URL: address(parameters),
});

describe('a server with TLS', () => {
  beforeAll(() => serve('localhost', `host ${WITH_PASSWORD}`));

  test.each([
    ['', true],
    ['sslmode=prefer', true],
    ['sslmode=require', true],
    ['sslmode=allow', false],
    ['sslmode=disable', false],
    ['ssl=false', false],
    [`sslmode=require&sslrootcert=${authority('localhost')}`, true],
    [`sslmode=verify-ca&sslrootcert=${authority('localhost')}`, true],
    [`sslmode=verify-full&sslrootcert=${authority('localhost')}`, true],
    [`ssl=true&sslrootcert=${authority('localhost')}`, true],
  ])('%s: encrypted %s', async (parameters, encrypted) => {
    expect(await isEncrypted(parameters)).toBe(encrypted);
  });

  test.each([
    [
      'verify-full and no authority',
      'sslmode=verify-full',
      /certificate of the database is not accepted: .*sslrootcert/,
    ],
    [
      'verify-full and another authority',
      `sslmode=verify-full&sslrootcert=${authority('elsewhere')}`,
      /certificate of the database is not accepted/,
    ],
    [
      'require and another authority, which verifies as with libpq',
      `sslmode=require&sslrootcert=${authority('elsewhere')}`,
      /certificate of the database is not accepted/,
    ],
    ['verify-ca and no authority', 'sslmode=verify-ca', /verify-ca without sslrootcert/],
    ['a mode that is none', 'sslmode=verify', /sslmode=verify, which is none of disable, allow, prefer/],
  ])('%s: one line', (_, parameters, words) => {
    const { status, stderr } = start(parameters);
    expect(stderr).toMatch(words);
    expect(stderr).toMatch(/^baton: [^\n]+\n$/);
    expect(status).toBe(1);
  });

  test('every connection of a coordinator is encrypted', async () => {
    const parameters = `sslmode=verify-full&sslrootcert=${authority('localhost')}`;
    const child: ChildProcess = rig.keep(
      spawn(process.execPath, [PROGRAM], { env: environment(parameters), stdio: ['ignore', 'pipe', 'inherit'] }),
    );
    let log = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (log += text));
    await eventually(
      () => log,
      (text) => text.includes('coordinator listens'),
      30_000,
    );
    const rows = await eventually(
      () =>
        own.query<{ name: string; ssl: boolean }>(
          `SELECT DISTINCT split_part(application_name, ' ', 1) AS name, s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
           WHERE application_name = 'baton' OR application_name LIKE 'baton-listen%' ORDER BY 1`,
        ),
      ({ rows: found }) => found.length > 1,
    );
    expect(rows.rows).toEqual([
      { name: 'baton', ssl: true },
      { name: 'baton-listen', ssl: true },
    ]);
    await end(child, 'SIGTERM');
  });
});

describe('a server whose certificate is for another host', () => {
  beforeAll(() => serve('elsewhere', `host ${WITH_PASSWORD}`));

  test('verify-ca takes it, verify-full does not', async () => {
    expect(await isEncrypted(`sslmode=verify-ca&sslrootcert=${authority('elsewhere')}`)).toBe(true);
    const { status, stderr } = start(`sslmode=verify-full&sslrootcert=${authority('elsewhere')}`);
    expect(stderr).toMatch(/^baton: The certificate of the database is not accepted: [^\n]* does not match [^\n]*\n$/);
    expect(status).toBe(1);
  });

  test('a public authority is not its authority', async () => {
    const file = join(rig.folder, 'public.pem');
    writeFileSync(file, rootCertificates[0] ?? '');
    await expect(isEncrypted(`sslmode=verify-ca&sslrootcert=${file}`)).rejects.toThrow(/certificate/);
    expect(await isEncrypted('sslmode=require')).toBe(true);
  });
});

describe('a server that lets only some in', () => {
  test('encrypted ones: allow and prefer come in, disable does not', async () => {
    await serve('localhost', `hostssl ${WITH_PASSWORD}`);
    expect(await isEncrypted('sslmode=allow')).toBe(true);
    expect(await isEncrypted('sslmode=prefer')).toBe(true);
    const { status, stderr } = start('sslmode=disable');
    expect(stderr).toMatch(
      /^baton: The database lets this user in from here on other terms only[^\n]*sslmode[^\n]*\n$/,
    );
    expect(status).toBe(1);
  });

  test('plain ones: prefer comes in without TLS, require does not', async () => {
    await serve('localhost', `hostnossl ${WITH_PASSWORD}`);
    expect(await isEncrypted('sslmode=prefer')).toBe(false);
    const { status, stderr } = start('sslmode=require');
    expect(stderr).toMatch(
      /^baton: The database lets this user in from here on other terms only[^\n]*sslmode[^\n]*\n$/,
    );
    expect(status).toBe(1);
  });

  test('those with a certificate: sslcert and sslkey are shown to the server', async () => {
    await serve('localhost', `hostssl ${WITH_PASSWORD} clientcert=verify-ca`);
    const own = `&sslcert=${authority('localhost')}&sslkey=${CERTIFICATES.localhost}-key.pem`;
    expect(await isEncrypted(`sslmode=require${own}`)).toBe(true);
    await expect(isEncrypted('sslmode=require')).rejects.toThrow(/certificate/);
    await expect(isEncrypted(`sslmode=require${own.replaceAll('localhost', 'none')}`)).rejects.toThrow(
      /none-cert\.pem/,
    );
  });
});
