import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findPostgres, type PostgresPrograms } from '../../scripts/postgres';
import { chooseAccount } from '../../coordinator/store/embedded/account';
import { query, until } from './embedded-rig';

/** Tests that need PostgreSQL's own programs, or the same skipped and counted, with the reason in their name. */
export function describeWithPostgres(name: string, tests: (programs: PostgresPrograms) => void): void {
  const programs = findPostgres();
  if (programs === null)
    describe.skip(`${name} (skipped: no PostgreSQL in /usr/lib/postgresql)`, () => test('', () => undefined));
  else describe(name, () => tests(programs));
}

/** Servers of the machine's PostgreSQL, and what its programs do to them. */
export class BackupServers {
  readonly folder = mkdtempSync(join(tmpdir(), 'baton-backup-'));
  private readonly account = chooseAccount(this.folder);
  private readonly servers = new Map<string, ChildProcess>();

  constructor(private readonly programs: PostgresPrograms) {
    // As root the programs run as another user, who must be able to enter.
    chmodSync(this.folder, 0o755);
  }

  /** A folder of the account that the programs run as. */
  emptyDir(name: string): string {
    const path = join(this.folder, name);
    mkdirSync(path, { mode: 0o700 });
    if (this.account !== undefined) chownSync(path, this.account.uid, this.account.gid);
    return path;
  }

  /** A new cluster, whose counters begin at the beginning, with an empty database. Resolves with its address. */
  async create(name: string, port?: number): Promise<string> {
    const dataDir = this.emptyDir(name);
    await this.run('initdb', ['-D', dataDir, '-U', 'baton', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync']);
    const url = await this.start(dataDir, port);
    await query(url.replace(/baton$/, 'postgres'), 'CREATE DATABASE baton');
    return url;
  }

  async start(dataDir: string, port?: number): Promise<string> {
    port ??= await freePort();
    const settings = {
      port,
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      wal_level: 'logical',
      fsync: 'off',
    };
    const server = spawn(
      join(this.programs.bin, 'postgres'),
      ['-D', dataDir, ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`])],
      { ...this.account, env: this.programs.env, cwd: '/', stdio: 'ignore' },
    );
    const admin = `postgres://baton@127.0.0.1:${port}/postgres`;
    const url = admin.replace(/postgres$/, 'baton');
    this.servers.set(url, server);
    await until(() =>
      query(admin, 'SELECT 1').then(
        () => true,
        () => false,
      ),
    );
    return url;
  }

  /** A standby that has and gets all that this server has. Resolves with its address. */
  async standby(name: string, of: string, port: number): Promise<string> {
    const dataDir = this.emptyDir(name);
    const source = of.replace(/baton$/, 'postgres');
    await this.run('pg_basebackup', ['-D', dataDir, '-d', source, '-X', 'stream', '-c', 'fast', '-R', '--no-sync']);
    return this.start(dataDir, port);
  }

  /** Sends a signal to the server's main process and to all that it started. */
  signal(url: string, signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    const pid = this.servers.get(url)?.pid;
    if (pid === undefined) throw new Error(`No server of this test has the address ${url}.`);
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
    for (const each of [pid, ...children]) process.kill(each, signal);
  }

  /** Runs one of PostgreSQL's programs to its end. Rejects with what it complained of. */
  async run(program: string, args: string[]): Promise<void> {
    await promisify(execFile)(join(this.programs.bin, program), args, {
      ...this.account,
      env: this.programs.env,
      cwd: '/',
    });
  }

  async cleanUp(): Promise<void> {
    for (const server of this.servers.values()) {
      if (server.exitCode !== null || server.signalCode !== null) continue;
      const ended = once(server, 'exit');
      // Immediate shutdown, also of one that was stopped.
      server.kill('SIGQUIT');
      server.kill('SIGCONT');
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
