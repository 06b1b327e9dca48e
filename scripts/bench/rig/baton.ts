import { randomBytes } from 'node:crypto';
import { actorFile, COORDINATOR } from './paths';
import { freePort, untilUp } from './ports';
import type { Database, Postgres } from './postgres';
import { BenchProcess, plainEnv } from './process';

export interface BatonOptions {
  coordinators?: number;
  /** Where CPU profiles go; undefined: none are made. */
  profileDir?: string | undefined;
}

const START_MS = 60_000;
const ACTOR_MS = 600_000;

/** Baton on a fresh database: coordinators in processes of their own, reached over HTTP like any. */
export class Baton {
  private types = 0;

  private constructor(
    readonly database: Database,
    readonly urls: string[],
    readonly key: string,
    private readonly coordinators: BenchProcess[],
    private readonly profileDir: string | undefined,
  ) {}

  static async start(postgres: Postgres, { coordinators = 1, profileDir }: BatonOptions = {}): Promise<Baton> {
    const database = await postgres.createDatabase();
    const key = randomBytes(24).toString('base64url');
    const ports = await Promise.all(Array.from({ length: coordinators }, freePort));
    const processes = ports.map((port) => startCoordinator(port, database.url, key, profileDir));
    const urls = ports.map((port) => `http://127.0.0.1:${port}`);
    const baton = new Baton(database, urls, key, processes, profileDir);
    try {
      await Promise.all(urls.map(untilReady));
    } catch (error) {
      await baton.stop();
      throw error;
    }
    return baton;
  }

  get coordinatorPids(): number[] {
    return this.coordinators.map((process) => process.pid);
  }

  /** A type of job that nobody has used here. */
  freshType(): string {
    this.types += 1;
    return `noop-${this.types}`;
  }

  /** Starts one of the load processes; it is told where the coordinators are. */
  act(name: string, order: object): BenchProcess {
    const target = { urls: this.urls, key: this.key, databaseUrl: this.database.url };
    return startActor(name, { ...target, ...order }, this.profileDir);
  }

  /** Runs a load process to its last word. */
  async run(name: string, order: object): Promise<Record<string, unknown>> {
    const actor = this.act(name, order);
    try {
      return await actor.next('done', ACTOR_MS);
    } finally {
      await actor.stop();
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.coordinators.map((process) => process.stop()));
    await this.database.drop();
  }
}

export function startActor(name: string, order: object, profileDir?: string): BenchProcess {
  return new BenchProcess({ name: `load ${name}`, command: process.execPath, args: [...profiling(profileDir, 'load'), actorFile(name), JSON.stringify(order)] });
}

function startCoordinator(port: number, databaseUrl: string, key: string, profileDir: string | undefined): BenchProcess {
  const env = { ...plainEnv(), PORT: String(port), HOST: '127.0.0.1', DATABASE_URL: databaseUrl, BATON_ADMIN_KEY: key, NODE_ENV: 'production' };
  return new BenchProcess({ name: 'coordinator', command: process.execPath, args: [...profiling(profileDir, 'coordinator'), COORDINATOR], env });
}

function profiling(dir: string | undefined, who: string): string[] {
  return dir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${dir}/${who}`];
}

function untilReady(url: string): Promise<void> {
  return untilUp(`the coordinator at ${url}`, () => fetch(`${url}/readyz`).then((reply) => reply.ok, () => false), START_MS);
}
