import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { cpuMs, familyCpuMs } from './cpu';
import { actorFile, COORDINATOR } from './paths';
import { freePort, untilUp } from './ports';
import type { Database, Postgres } from './postgres';
import { BenchProcess, plainEnv } from './process';

export interface BatonOptions {
  coordinators?: number;
  /** Folder for CPU profiles; undefined: none. */
  profileDir?: string | undefined;
}

/** Milliseconds of CPU time. */
export interface Spent {
  coordinator: number;
  postgres: number;
  load: number;
}

const START_MS = 60_000;
const ACTOR_MS = 600_000;

/** Baton on a fresh database: coordinators in separate processes, called over HTTP. */
export class Baton {
  private types = 0;
  private loadMs = 0;
  private spentBefore: Spent = { coordinator: 0, postgres: 0, load: 0 };

  private constructor(
    private readonly postgres: Postgres,
    readonly database: Database,
    readonly urls: string[],
    readonly key: string,
    private coordinators: BenchProcess[],
    private readonly profileDir: string | undefined,
  ) {}

  static async start(postgres: Postgres, { coordinators = 1, profileDir }: BatonOptions = {}): Promise<Baton> {
    const database = await postgres.createDatabase();
    const key = randomBytes(24).toString('base64url');
    const ports = await Promise.all(Array.from({ length: coordinators }, freePort));
    const urls = ports.map((port) => `http://127.0.0.1:${port}`);
    const baton = new Baton(postgres, database, urls, key, [], profileDir);
    try {
      await baton.startCoordinators();
      baton.spentBefore = baton.spentSoFar();
    } catch (error) {
      await baton.stop();
      throw error;
    }
    return baton;
  }

  get coordinatorPids(): number[] {
    return this.coordinators.map((process) => process.pid);
  }

  /** An unused job type. */
  freshType(): string {
    this.types += 1;
    return `noop-${this.types}`;
  }

  /** Starts a load process with the URLs of the coordinators. */
  act(name: string, order: object): BenchProcess {
    const target = { urls: this.urls, key: this.key, databaseUrl: this.database.url };
    return startActor(name, { ...target, ...order }, this.profileDir);
  }

  /** Runs a load process to its end, and returns its results. */
  async run(name: string, order: object): Promise<Record<string, unknown>> {
    const actor = this.act(name, order);
    try {
      const found = await actor.next('done', ACTOR_MS);
      this.loadMs += Number(found['cpuMs']);
      return found;
    } finally {
      await actor.stop();
    }
  }

  /** Excludes what was done so far, as preparation, from profiles and statement counts. */
  async forgetPreparation(): Promise<void> {
    if (this.profileDir !== undefined) {
      await Promise.all(this.coordinators.map((process) => process.stop()));
      rmSync(this.profileDir, { recursive: true, force: true });
      await this.startCoordinators();
    }
    this.spentBefore = this.spentSoFar();
    await this.database.forgetStatements();
  }

  /** CPU time since the preparation, which shows the effect of a change even on a busy machine. */
  spent(): Spent {
    const [now, before] = [this.spentSoFar(), this.spentBefore];
    return {
      coordinator: now.coordinator - before.coordinator,
      postgres: now.postgres - before.postgres,
      load: now.load - before.load,
    };
  }

  async stop(): Promise<void> {
    await Promise.all(this.coordinators.map((process) => process.stop()));
    await this.database.drop();
  }

  private spentSoFar(): Spent {
    const coordinator = this.coordinatorPids.reduce((sum, pid) => sum + cpuMs(pid), 0);
    return { coordinator, postgres: familyCpuMs(this.postgres.pid) ?? 0, load: this.loadMs };
  }

  private async startCoordinators(): Promise<void> {
    this.coordinators = this.urls.map((url) =>
      startCoordinator(new URL(url).port, this.database.url, this.key, this.profileDir),
    );
    await Promise.all(
      this.coordinators.map((process, index) => process.whileAlive(untilReady(this.urls[index] ?? ''))),
    );
  }
}

export function startActor(name: string, order: object, profileDir?: string): BenchProcess {
  return new BenchProcess({
    name: `load ${name}`,
    command: process.execPath,
    args: [...profiling(profileDir, 'load'), actorFile(name), JSON.stringify(order)],
  });
}

function startCoordinator(
  port: string,
  databaseUrl: string,
  key: string,
  profileDir: string | undefined,
): BenchProcess {
  const env = {
    ...plainEnv(),
    PORT: port,
    HOST: '127.0.0.1',
    DATABASE_URL: databaseUrl,
    BATON_ADMIN_KEY: key,
    NODE_ENV: 'production',
    BATON_MAX_PARKED_POLLS: '10000',
    BATON_MAX_SOCKETS_PER_ADDRESS: '20000',
  };
  return new BenchProcess({
    name: 'coordinator',
    command: process.execPath,
    args: [...profiling(profileDir, 'coordinator'), COORDINATOR],
    env,
  });
}

function profiling(dir: string | undefined, who: string): string[] {
  return dir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${dir}/${who}`];
}

function untilReady(url: string): Promise<void> {
  return untilUp(
    `the coordinator at ${url}`,
    () =>
      fetch(`${url}/readyz`).then(
        (reply) => reply.ok,
        () => false,
      ),
    START_MS,
  );
}
