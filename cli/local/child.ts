import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface ChildOptions {
  /** Arguments of node: its own, then the program. */
  args: readonly string[];
  cwd?: string;
  env: NodeJS.ProcessEnv;
  /** Called for each line of its output; undefined: it has the terminal's. */
  onLine?: (line: string) => void;
}

/** After this time a process that drains is ended. */
const GRACE_MS = 20_000;

/** A process that the terminal's Ctrl-C does not reach, so that processes can be ended in their order. */
export class Child {
  /** Its exit code; null when a signal ended it. */
  readonly ended: Promise<number | null>;
  private readonly process: ChildProcess;

  constructor({ args, cwd, env, onLine }: ChildOptions) {
    const output = onLine === undefined ? 'inherit' : 'pipe';
    this.process = spawn(process.execPath, ['--require', join(__dirname, 'parent-watch.js'), ...args], {
      ...(cwd !== undefined && { cwd }),
      env,
      detached: true,
      stdio: ['ignore', output, output, 'ipc'],
    });
    this.ended = once(this.process, 'close').then(([code]) => code as number | null);
    for (const stream of [this.process.stdout, this.process.stderr])
      if (stream !== null && onLine !== undefined) createInterface({ input: stream }).on('line', onLine);
  }

  get isRunning(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  signal(name: NodeJS.Signals): void {
    if (this.isRunning) this.process.kill(name);
  }

  /** Lets it drain, and waits for its end. */
  async stop(): Promise<void> {
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), GRACE_MS);
    await this.ended.finally(() => clearTimeout(timer));
  }
}
