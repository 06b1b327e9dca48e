import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { until } from './until';

export const ROOT = join(__dirname, '..', '..', '..');
export const ADMIN_KEY = 'an-admin-key-for-end-to-end-tests';

/** What all processes of a test said, in the order in which it was heard. */
export interface Line {
  atMs: number;
  from: string;
  text: string;
}

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A program that runs beside the test. */
export class Program {
  readonly ended: Promise<Ended>;
  private readonly child: ChildProcess;
  private readonly own: string[] = [];

  constructor(
    readonly name: string,
    args: string[],
    options: { env: Record<string, string>; log: Line[] },
  ) {
    // Only what is given: settings of the shell, and of jest, are not the program's.
    const env = { PATH: process.env['PATH'] ?? '', ...options.env };
    const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.child = child;
    this.ended = once(child, 'exit').then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
    }));
    for (const stream of [child.stdout, child.stderr]) {
      createInterface(stream).on('line', (text) => {
        this.own.push(text);
        options.log.push({ atMs: Date.now(), from: name, text });
      });
    }
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error(`${this.name} did not start`);
    return this.child.pid;
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Ends it as a crash would, stopped or not. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.ended;
  }

  /** How it ended after this signal; an error when it goes on for longer. */
  async endedAfter(signal: NodeJS.Signals, timeoutMs: number): Promise<Ended> {
    this.signal(signal);
    await until(`${this.name} ends after ${signal}`, () => this.hasEnded, timeoutMs);
    return this.ended;
  }

  /** The first line it says that has this text, read as JSON. */
  async says(text: string): Promise<Record<string, unknown>> {
    const find = () => this.own.find((line) => line.includes(text));
    await until(`${this.name} says "${text}"`, () => this.hasEnded || find() !== undefined);
    const line = find();
    if (line === undefined)
      throw new Error(`${this.name} ended without saying "${text}": ${this.own.slice(0, 20).join('\n')}`);
    return JSON.parse(line) as Record<string, unknown>;
  }
}

export interface CoordinatorOptions {
  name: string;
  /** Where its database is: a URL, or a data directory for an embedded one. */
  database: { url: string } | { dataDir: string };
  /** Default: a free one. */
  port?: number;
  /** Other settings. */
  env?: Record<string, string>;
}

export class Coordinator extends Program {
  private address = '';

  constructor(
    readonly options: CoordinatorOptions,
    log: Line[],
  ) {
    const { database, port, env } = options;
    super(options.name, [join(ROOT, 'coordinator', 'dist', 'main.js')], {
      log,
      env: {
        ...('url' in database ? { DATABASE_URL: database.url } : { BATON_DATA_DIR: database.dataDir }),
        ...{ BATON_ADMIN_KEY: ADMIN_KEY, BATON_MONITOR_INTERVAL_MS: '100', HOST: '127.0.0.1', PORT: String(port ?? 0) },
        ...env,
      },
    });
  }

  get url(): string {
    return this.address;
  }

  get port(): number {
    return Number(new URL(this.address).port);
  }

  async listens(): Promise<this> {
    this.address = String((await this.says('coordinator listens'))['url']);
    return this;
  }

  /** The status of a probe; 0: no answer. */
  async probe(path: '/healthz' | '/readyz'): Promise<number> {
    const answer = await fetch(this.url + path).catch(() => undefined);
    await answer?.arrayBuffer().catch(() => undefined);
    return answer?.status ?? 0;
  }
}

export interface RunnerOptions {
  name: string;
  /** Where the coordinators are. */
  urls: string[];
  ledgerFile: string;
  concurrency?: number;
  leaseMs?: number;
  graceMs?: number;
}

export class RunnerProcess extends Program {
  constructor(
    readonly options: RunnerOptions,
    log: Line[],
  ) {
    const { urls, ...rest } = options;
    super(options.name, ['--import', 'tsx', join(__dirname, 'runner-program.ts'), JSON.stringify(rest)], {
      log,
      env: { COORDINATOR_URL: urls.join(','), RUNNER_KEY: ADMIN_KEY },
    });
  }

  async claims(): Promise<this> {
    await this.says('runner started');
    return this;
  }
}
