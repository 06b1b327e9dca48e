import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { type EmbeddedDatabase, type EmbeddedOptions, startEmbedded } from '../../coordinator/store/embedded';

export const ROOT = join(__dirname, '..', '..');
const PROGRAM = ['--import', 'tsx', join(__dirname, 'embedded-process.ts')];

export interface Holder {
  child: ChildProcess;
  url: string;
  adopted: boolean;
}

/** Folders, servers and processes of one test, all of which `cleanUp` ends. */
export class Rig {
  readonly folder = mkdtempSync(join(tmpdir(), 'baton-embedded-'));
  readonly systemDir: string;
  private readonly databases: EmbeddedDatabase[] = [];
  private readonly children: ChildProcess[] = [];
  private readonly dataDirs = new Set<string>();

  /** @param prototype holds the data directory that `dataDir` copies, because making one anew takes a second. */
  constructor(private readonly prototype?: Rig) {
    // As root the server runs as another user, who must be able to enter.
    chmodSync(this.folder, 0o755);
    this.systemDir = prototype?.systemDir ?? join(this.folder, 'system');
  }

  /** A place where nothing is yet. */
  emptyDir(name = 'data'): string {
    const path = join(this.folder, name);
    this.dataDirs.add(path);
    return path;
  }

  /** A data directory whose server was stopped. */
  dataDir(): string {
    const path = this.emptyDir();
    if (this.prototype === undefined) throw new Error('This rig has no prototype to copy.');
    execFileSync('cp', ['-a', this.prototype.emptyDir(), path]);
    return path;
  }

  async start(dataDir: string, options: Partial<EmbeddedOptions> = {}): Promise<EmbeddedDatabase> {
    const log = { info: () => undefined, warn: () => undefined };
    const database = await startEmbedded({ dataDir, log, systemDir: this.systemDir, ...options });
    this.databases.push(database);
    return database;
  }

  /** A process that holds the database. Rejects with what it wrote to stderr when it ends instead. */
  async hold(dataDir: string, options: { program?: string[]; uid?: number; gid?: number } = {}): Promise<Holder> {
    const { program = PROGRAM, ...account } = options;
    // From a folder that every user may enter.
    const cwd = program === PROGRAM ? ROOT : '/';
    const child = this.keep(
      spawn(process.execPath, [...program, dataDir, this.systemDir], { ...account, cwd, detached: true }),
    );
    let fault = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (fault += text));
    const [line] = (await Promise.race([once(createInterface(child.stdout), 'line'), once(child, 'close')])) as [
      unknown,
    ];
    if (typeof line !== 'string') throw new Error(fault);
    return { child, ...(JSON.parse(line) as { url: string; adopted: boolean }) };
  }

  /** Has the process ended with the test. */
  keep<T extends ChildProcess>(child: T): T {
    this.children.push(child);
    return child;
  }

  async cleanUp(): Promise<void> {
    await Promise.all(this.databases.map((database) => database.stop()));
    await Promise.all(this.children.map((child) => end(child, 'SIGKILL')));
    // What a killed process left behind is taken over and ended.
    for (const dataDir of this.dataDirs) {
      if (postmasterPid(dataDir) !== undefined) await (await this.start(dataDir)).stop();
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'exit');
  child.kill(signal);
  await closed;
}

export async function query(url: string, text: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

/** Asks again until the condition holds. */
export async function until<T>(ask: () => T | Promise<T>, timeoutMs = 20_000): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (performance.now() > deadline) throw new Error(`Not so within ${timeoutMs} ms: ${ask.toString()}`);
    await sleep(10);
  }
}

/** The process number in the lock file of the cluster, wherever that lies. */
export function postmasterPid(dataDir: string): number | undefined {
  const location = join(dataDir, 'postgres-location');
  const cluster = existsSync(location) ? readFileSync(location, 'utf8').trim() : join(dataDir, 'postgres');
  const lockFile = join(cluster, 'postmaster.pid');
  return existsSync(lockFile) ? Number.parseInt(readFileSync(lockFile, 'utf8'), 10) : undefined;
}
