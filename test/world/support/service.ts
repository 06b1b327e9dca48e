import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { DebianProgram } from '../../../scripts/debian';
import { eventually } from '../../support/eventually';

/** A program of this machine that runs beside a test, and what it said. */
export class Service {
  private readonly child: ChildProcess;
  private said = '';

  constructor(program: DebianProgram, args: string[], env: NodeJS.ProcessEnv = {}) {
    this.child = spawn(program.path, args, { env: { ...program.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.said += text));
  }

  /** Resolves once something listens on this port. */
  async listens(port: number): Promise<this> {
    await eventually(
      () => {
        if (this.hasEnded) throw new Error(`it ended with ${this.child.exitCode}: ${this.said}`);
        return accepts(port);
      },
      Boolean,
      30_000,
    );
    return this;
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Ends it, by SIGTERM and at last by SIGKILL, and resolves with what it said. */
  async stop(): Promise<string> {
    if (!this.hasEnded) {
      const ended = once(this.child, 'exit');
      this.signal('SIGTERM');
      const last = setTimeout(() => this.signal('SIGKILL'), 10_000);
      await ended;
      clearTimeout(last);
    }
    return this.said;
  }

  private get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
