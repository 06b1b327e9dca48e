import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';

export interface Ran {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Whether a program can be started here. */
export function isThere(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
}

/** Runs a script to its end. */
export async function runShell(script: string, env: Record<string, string>, cwd: string): Promise<Ran> {
  const child = spawn('bash', ['-c', script], { cwd, env: { ...process.env, ...env } });
  return ended(child, collect(child));
}

/** A process that goes on until it is told to end, together with those that it started. */
export class Background {
  private readonly child: ChildProcess;
  private readonly output: Ran;

  constructor(program: string, args: string[], env: Record<string, string>, cwd: string) {
    this.child = spawn(program, args, { cwd, env: { ...process.env, ...env }, detached: true });
    this.output = collect(this.child);
  }

  /** What it has written so far. */
  get written(): string {
    return this.output.stdout + this.output.stderr;
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  async stop(): Promise<Ran> {
    if (this.isRunning && this.child.pid !== undefined) {
      process.kill(-this.child.pid, 'SIGTERM');
      await once(this.child, 'close');
    }
    return { ...this.output, status: this.child.exitCode };
  }
}

function collect(child: ChildProcess): Ran {
  const output: Ran = { status: null, stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  return output;
}

async function ended(child: ChildProcess, output: Ran): Promise<Ran> {
  const [status] = (await once(child, 'close')) as [number | null];
  return { ...output, status };
}
