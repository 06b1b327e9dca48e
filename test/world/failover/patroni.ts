import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { request } from 'undici';
import { chooseAccount } from '../../../coordinator/store/embedded/account';
import type { DebianProgram } from '../../../scripts/debian';
import type { PostgresPrograms } from '../../../scripts/postgres';
import { until } from '../../e2e/support/until';
import { freePort } from '../../setup/backup-server';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy';

export interface Programs {
  patroni: DebianProgram;
  etcd: DebianProgram;
  postgres: PostgresPrograms;
}

/** As short as Patroni allows, with time for a busy machine: a leader that says nothing for so long is replaced. */
const TTL_S = 15;
const LOOP_WAIT_S = 2;
const RETRY_TIMEOUT_S = 4;
const START_MS = 120_000;

/** PostgreSQL servers of which Patroni keeps one the primary, with an etcd of one member. */
export class PatroniCluster {
  readonly nodes: PatroniNode[] = [];
  private etcd: ChildProcess | undefined;

  constructor(
    private readonly folder: string,
    private readonly programs: Programs,
    private readonly isSynchronous: boolean,
  ) {
    // Patroni and PostgreSQL run as another user, who must be able to enter.
    chmodSync(folder, 0o755);
  }

  async start(count: number): Promise<void> {
    const account = chooseAccount(this.folder);
    const [port, peers] = [await freePort(), await freePort()];
    const [client, peer] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${peers}`];
    this.etcd = spawn(
      this.programs.etcd.path,
      ['--data-dir', join(this.folder, 'etcd'), '--initial-cluster', `default=${peer}`]
        .concat('--listen-client-urls', client, '--advertise-client-urls', client)
        .concat('--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer),
      { env: this.programs.etcd.env, stdio: ['ignore', 'ignore', openSync(join(this.folder, 'etcd.log'), 'w')] },
    );
    await until('etcd answers', async () => (await request(`${client}/health`)).statusCode === 200, START_MS);
    for (let index = 0; index < count; index += 1) {
      const node = new PatroniNode(`node${index}`, this.folder, this.programs, account);
      await node.start(port, this.isSynchronous);
      this.nodes.push(node);
      // The first makes the cluster, of which the others are copies.
      if (index === 0) await until('the first node leads', () => node.isLeader(), START_MS);
    }
    await this.replicated();
  }

  /** In the order of the nodes, for the address of coordinators. */
  get ports(): number[] {
    return this.nodes.map(({ port }) => port);
  }

  /** The node that leads, other than one that may still think so. */
  leader(except?: PatroniNode): Promise<PatroniNode> {
    return until(
      'a node leads',
      async () => {
        for (const node of this.nodes) if (node !== except && (await node.isLeader())) return node;
        return null;
      },
      START_MS,
    );
  }

  /** When every other node follows the leader, so that the next failover finds a standby. */
  async replicated(): Promise<void> {
    const leader = await this.leader();
    await until(
      'all others follow',
      async () => {
        const others = this.nodes.filter((node) => node !== leader);
        const states = await Promise.all(others.map((node) => node.isReplica(this.isSynchronous)));
        return states.every(Boolean);
      },
      START_MS,
    );
  }

  async stop(): Promise<void> {
    await Promise.allSettled(this.nodes.map((node) => node.stop()));
    if (this.etcd !== undefined && this.etcd.exitCode === null) {
      const ended = once(this.etcd, 'exit');
      this.etcd.kill('SIGKILL');
      await ended;
    }
  }
}

/** One server and the Patroni beside it. What others see of it passes proxies that can be cut. */
export class PatroniNode {
  port = 0;
  private api = '';
  private patroni: ChildProcess | undefined;
  private proxies: TcpProxy[] = [];
  private readonly dataDir: string;
  private readonly settingsFile: string;

  constructor(
    readonly name: string,
    private readonly folder: string,
    private readonly programs: Programs,
    private readonly account: { uid: number; gid: number } | undefined,
  ) {
    const own = join(folder, name);
    mkdirSync(own, { mode: 0o700 });
    if (account !== undefined) chownSync(own, account.uid, account.gid);
    this.dataDir = join(own, 'data');
    this.settingsFile = join(own, 'patroni.json');
  }

  async start(etcdPort: number, isSynchronous: boolean): Promise<void> {
    const [postgres, rest] = [await freePort(), await freePort()];
    const through = async (port: number): Promise<number> => {
      const proxy = await startTcpProxy({ host: '127.0.0.1', port });
      this.proxies.push(proxy);
      return proxy.port;
    };
    this.port = await through(postgres);
    this.api = `http://127.0.0.1:${rest}`;
    const login = (username: string) => ({ username, password: 'unused' });
    // JSON is YAML.
    const settings = {
      scope: 'baton',
      name: this.name,
      restapi: { listen: `127.0.0.1:${rest}`, connect_address: `127.0.0.1:${await through(rest)}` },
      // Without this it asks etcd where its members are, and passes no proxy.
      etcd3: { hosts: [`127.0.0.1:${await through(etcdPort)}`], use_proxies: true },
      bootstrap: {
        dcs: {
          ttl: TTL_S,
          loop_wait: LOOP_WAIT_S,
          retry_timeout: RETRY_TIMEOUT_S,
          synchronous_mode: isSynchronous,
          postgresql: { use_pg_rewind: true, use_slots: true },
        },
        initdb: [{ encoding: 'UTF8' }, { locale: 'C' }, { auth: 'trust' }],
      },
      postgresql: {
        listen: `127.0.0.1:${postgres}`,
        connect_address: `127.0.0.1:${this.port}`,
        data_dir: this.dataDir,
        bin_dir: this.programs.postgres.bin,
        pgpass: join(this.folder, this.name, 'pgpass'),
        authentication: { superuser: login('baton'), replication: login('replicator') },
        pg_hba: ['host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust'],
        // What a killed process wrote is safe with the system, so syncing to the disk would only cost time.
        parameters: { fsync: 'off', unix_socket_directories: join(this.folder, this.name), wal_log_hints: 'on' },
      },
    };
    writeFileSync(this.settingsFile, JSON.stringify(settings), { mode: 0o644 });
    this.run();
  }

  /** What Patroni says of this node, whatever others can see of it. */
  async isLeader(): Promise<boolean> {
    return (await this.ask('/primary')) === 200;
  }

  async isReplica(isSynchronous: boolean): Promise<boolean> {
    return (await this.ask(isSynchronous ? '/synchronous' : '/replica')) === 200;
  }

  /** The server, its backends and Patroni. */
  signal(signal: 'SIGKILL' | 'SIGSTOP'): void {
    const own = this.patroni?.pid;
    for (const pid of [...(own === undefined ? [] : [own]), ...this.serverPids()]) strike(pid, signal);
  }

  /** The server goes on where it was stopped, and takes itself for the primary; its Patroni does not. */
  resumeServer(): void {
    for (const pid of this.serverPids()) strike(pid, 'SIGCONT');
  }

  /** Nobody reaches it, and it reaches nobody; connections stay open. */
  cutOff(): void {
    for (const proxy of this.proxies) proxy.goSilent();
  }

  joinAgain(): void {
    for (const proxy of this.proxies) proxy.heal();
  }

  /** After a kill. */
  run(): void {
    const { patroni, postgres } = this.programs;
    const log = openSync(join(this.folder, `${this.name}.log`), 'a');
    this.patroni = spawn(patroni.path, [this.settingsFile], {
      ...this.account,
      env: { ...postgres.env, ...patroni.env, HOME: join(this.folder, this.name) },
      cwd: '/',
      stdio: ['ignore', log, log],
    });
  }

  async stop(): Promise<void> {
    const { patroni } = this;
    const ended = patroni === undefined || patroni.exitCode !== null || patroni.signalCode !== null;
    const end = ended ? undefined : once(patroni, 'exit');
    this.signal('SIGKILL');
    await end;
    for (const proxy of this.proxies) await proxy.stop();
    rmSync(this.dataDir, { recursive: true, force: true, maxRetries: 5 });
  }

  private async ask(path: string): Promise<number> {
    try {
      const { statusCode, body } = await request(`${this.api}${path}`, { headersTimeout: 2000, bodyTimeout: 2000 });
      await body.dump();
      return statusCode;
    } catch {
      return 0;
    }
  }

  /** None when it does not run. */
  private serverPids(): number[] {
    try {
      const pid = Number.parseInt(readFileSync(join(this.dataDir, 'postmaster.pid'), 'utf8'), 10);
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
      return [
        pid,
        ...children
          .split(' ')
          .filter((text) => text !== '')
          .map(Number),
      ];
    } catch {
      return [];
    }
  }
}

/** A backend may end meanwhile. */
function strike(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
