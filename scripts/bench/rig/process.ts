import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

export interface ProcessOptions {
  /** Its name in error messages. */
  name: string;
  command: string;
  args: string[];
  env?: Record<string, string>;
  cwd?: string;
}

const started = new Set<BenchProcess>();
const END_MS = 15_000;

/** A process of the benchmark. It reports results as JSON lines on stdout, and ends when told to. */
export class BenchProcess {
  private readonly child: ChildProcess;
  private readonly messages: Record<string, unknown>[] = [];
  private readonly ended: Promise<void>;
  private wakers: (() => void)[] = [];
  private hasEnded = false;
  private words = '';

  constructor(private readonly options: ProcessOptions) {
    const { command, args, env, cwd } = options;
    const settings: SpawnOptions = {
      env: env ?? plainEnv(),
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(cwd !== undefined && { cwd }),
    };
    this.child = spawn(command, args, settings);
    started.add(this);
    this.listen();
    this.ended = new Promise((resolve) => {
      const end = (): void => {
        this.hasEnded = true;
        started.delete(this);
        this.wake();
        resolve();
      };
      this.child.once('close', end);
      this.child.once('error', (error) => {
        this.words += error.message;
        end();
      });
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** The next message with this field. @throws Error when the process ends, or the time is over, before it arrives */
  async next(field: string, timeoutMs: number): Promise<Record<string, unknown>> {
    const until = performance.now() + timeoutMs;
    for (;;) {
      const index = this.messages.findIndex((message) => field in message);
      const found = this.messages[index];
      if (found !== undefined) {
        this.messages.splice(index, 1);
        return found;
      }
      if (this.hasEnded)
        throw new Error(`${this.options.name} ended before it said "${field}":\n${this.words.slice(-3000)}`);
      const leftMs = until - performance.now();
      if (leftMs <= 0)
        throw new Error(
          `${this.options.name} did not say "${field}" within ${timeoutMs} ms:\n${this.words.slice(-3000)}`,
        );
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.wakers.push(() => (clearTimeout(timer), resolve()));
      });
    }
  }

  /**
   * Waits for something that only happens while this process runs. @throws Error with its last output when it ends
   * before
   */
  async whileAlive<T>(work: Promise<T>): Promise<T> {
    const ended = this.ended.then(() => {
      throw new Error(`${this.options.name} ended:\n${this.words.slice(-3000)}`);
    });
    return Promise.race([work, ended]);
  }

  /** Stops it and waits for its end. */
  async stop(): Promise<void> {
    if (this.hasEnded) return;
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), END_MS);
    await this.ended;
    clearTimeout(timer);
  }

  private wake(): void {
    for (const wake of this.wakers.splice(0)) wake();
  }

  private listen(): void {
    const { stdout, stderr } = this.child;
    this.child.stdin?.on('error', () => undefined);
    if (stdout !== null) {
      createInterface({ input: stdout }).on('line', (line) => {
        const message = parse(line);
        if (message === undefined) this.words += `${line}\n`;
        else this.messages.push(message);
        this.wake();
      });
    }
    stderr?.setEncoding('utf8').on('data', (text: string) => (this.words = (this.words + text).slice(-20_000)));
  }
}

/** Stops all running processes, for a run that is aborted. */
export async function stopAll(): Promise<void> {
  await Promise.all([...started].map((process) => process.stop()));
}

/** The environment without variables that affect a coordinator, a runner or PostgreSQL's clients. */
export function plainEnv(): Record<string, string> {
  const steering = /^(BATON_|PG[A-Z]|COORDINATOR_URL$|RUNNER_KEY$|DATABASE_URL$|PORT$|HOST$|LOG_LEVEL$|NODE_OPTIONS$)/;
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value === undefined || steering.test(name) ? [] : [[name, value]],
    ),
  );
}

/** Runs a command to its end. @throws Error with its output when it fails */
export async function runCommand(command: string, args: string[], cwd: string): Promise<void> {
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], env: plainEnv() });
  let words = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (words += text));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${words.slice(-3000)}`);
}

function parse(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
