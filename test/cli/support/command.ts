import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { Cli } from '../../../cli/cli';
import { readEnvironment } from '../../../cli/config';
import { run } from '../../../cli/run';

export const PROGRAM = join(__dirname, '..', '..', '..', 'cli', 'dist', 'main.js');

export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Given {
  stdin?: string;
  env?: Record<string, string>;
}

/** A shell for the command: nothing of the machine's own settings, and a folder of its own. */
export class Shell {
  readonly folder = mkdtempSync(join(tmpdir(), 'baton-cli-'));
  readonly configDir = join(this.folder, 'config');

  constructor(private readonly env: Record<string, string> = {}) {}

  /** What every command is given. */
  get environment(): Record<string, string> {
    return { PATH: process.env['PATH'] ?? '', BATON_CONFIG_DIR: this.configDir, HOME: this.folder, ...this.env };
  }

  /** Runs `baton …` to its end in this process, which is much cheaper than in one of its own. */
  async run(args: readonly string[], { stdin = '', env = {} }: Given = {}): Promise<Ran> {
    const output = { stdout: '', stderr: '' };
    const sink = (name: 'stdout' | 'stderr') =>
      new Writable({
        write: (chunk: Buffer | string, _encoding, done) => {
          output[name] += String(chunk);
          done();
        },
      });
    const streams = { stdin: Readable.from([Buffer.from(stdin)]), stdout: sink('stdout'), stderr: sink('stderr') };
    const code = await run(new Cli(readEnvironment({ ...this.environment, ...env }), streams), args);
    return { code, ...output };
  }

  /** The JSON that a command prints with `--json`; an error when it ends with another code than 0. */
  async json<Value>(args: readonly string[], given: Given = {}): Promise<Value> {
    const { code, stdout, stderr } = await this.run([...args, '--json'], given);
    if (code !== 0) throw new Error(`baton ${args.join(' ')} ended with ${code}: ${stderr}`);
    return JSON.parse(stdout) as Value;
  }

  /** Runs `baton …` to its end as a process of its own. */
  async spawn(args: readonly string[], { stdin = '', env = {} }: Given = {}): Promise<Ran> {
    const running = this.start(args, env);
    running.child.stdin.end(stdin);
    return running.ended;
  }

  /** Starts `baton …` as a process of its own, which goes on by itself. */
  start(args: readonly string[], env: Record<string, string> = {}) {
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      cwd: this.folder,
      env: { ...this.environment, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text));
    // A command that does not read its input may have ended before it came.
    child.stdin.on('error', () => undefined);
    const ended = once(child, 'close').then(([code]): Ran => ({ code: code as number | null, ...output }));
    return { child, output, ended };
  }
}
