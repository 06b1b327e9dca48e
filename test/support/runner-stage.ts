import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CreateJob, Job } from '@baton/runner-sdk/protocol';
import { type Line, Program } from '../e2e/support/processes';
import { startCoordinator, type TestCoordinator } from './coordinator';
import { eventually } from './eventually';

/** A ready-made runner as people start it, a coordinator whose leases end soon, and a folder for its files. */
export class RunnerStage {
  readonly log: Line[] = [];
  private readonly running: Program[] = [];

  private constructor(
    private readonly name: string,
    readonly coordinator: TestCoordinator,
    private readonly key: string,
    readonly folder: string,
    private readonly env: Record<string, string>,
  ) {}

  /** @param env settings of each that is started */
  static async open(name: string, env: Record<string, string> = {}): Promise<RunnerStage> {
    const coordinator = await startCoordinator({ monitorIntervalMs: 200 });
    const key = await coordinator.api.makeKey({ name: 'runner', role: 'runner' });
    return new RunnerStage(name, coordinator, key, mkdtempSync(join(tmpdir(), `baton-${name}-`)), env);
  }

  start(more: Record<string, string> = {}): Program {
    const env = {
      ...{ COORDINATOR_URL: this.coordinator.url, RUNNER_KEY: this.key, RUNNER_WORK_DIR: join(this.folder, 'work') },
      ...{ STORAGE_ROOTS: `file:${this.folder}`, RUNNER_LEASE_MS: '2000' },
      ...this.env,
      ...more,
    };
    const program = new Program(this.name, [`runners/${this.name}/dist/index.js`], { env, log: this.log });
    this.running.push(program);
    return program;
  }

  /** Ends those that were started, as a crash would. */
  async killAll(): Promise<void> {
    await Promise.all(
      this.running
        .splice(0)
        .filter((one) => !one.hasEnded)
        .map((one) => one.kill()),
    );
  }

  /** A job that is tried again at once. Returns its id. */
  async create(type: string, args: CreateJob['arguments']): Promise<string> {
    const job = { type, arguments: args, retry: { strategy: 'fixed' as const, baseMs: 0 } };
    return (await this.coordinator.api.create(job)).id;
  }

  /** The job when it has ended. */
  ended(id: string, timeoutMs = 60_000): Promise<Job> {
    return eventually(
      () => this.coordinator.api.job(id),
      ({ status }) => status === 'completed' || status === 'failed',
      timeoutMs,
    );
  }

  /** The folders of runners in the working folder. */
  owners(): string[] {
    const work = join(this.folder, 'work');
    return existsSync(work) ? readdirSync(work) : [];
  }

  /** What lies in these folders: `<owner>/<name>`. */
  leftovers(): string[] {
    return this.owners().flatMap((own) =>
      readdirSync(join(this.folder, 'work', own), { recursive: true }).map((name) => `${own}/${String(name)}`),
    );
  }

  /** Running processes with such arguments. */
  processes(isOne: (args: string[]) => boolean): string[] {
    return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && isOne(argumentsOf(pid)));
  }

  async close(): Promise<void> {
    await this.killAll();
    await this.coordinator.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function argumentsOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}
