import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import type { Duplex, Readable, Writable } from 'node:stream';
import type { Cgroup, Cgroups } from './cgroup';
import { endGroup, forget, signalGroup, startGroup, startInCgroup } from './groups';
import { LineSplitter, Tail } from './lines';
import { memoryOf } from './memory';

export interface RunOptions {
  cwd?: string;
  /** The whole environment of the program. Default: that of this process. */
  env?: Record<string, string>;
  /** Its standard input, which is closed afterwards. */
  stdin?: string | Buffer;
  /** When it is aborted, the group gets SIGTERM, and SIGKILL after `graceMs`. */
  signal?: AbortSignal;
  /** Default 5 s. */
  graceMs?: number;
  timeoutMs?: number;
  /** Most bytes kept of the end of stdout and of stderr, each. Default 16 KiB. */
  keepBytes?: number;
  /** Called for each line of stdout, without its line break. Lines are cut at 64 KiB. */
  onStdoutLine?: (line: string) => void;
  onStderrLine?: (line: string) => void;
  /**
   * Called for each line that the program writes to file descriptor 3, which exists only then. Lines are cut at
   * `mostMessageBytes`.
   */
  onMessage?: (line: string) => void;
  /** Default 2 MiB. */
  mostMessageBytes?: number;
  /** Called with file descriptors 3 and 4, which exist only then, and then instead of that of `onMessage`. */
  onPipes?: (pipes: [Duplex, Duplex]) => void;
  /** Most bytes of stdout, stderr and messages together; more ends the group. */
  mostOutputBytes?: number;
  /** Most memory of the group; more ends it. Checked twice a second, on Linux, unless a cgroup limits it. */
  mostMemoryBytes?: number;
  /** Cgroups in which the program gets a group that nothing of it can leave. */
  cgroups?: Cgroups | undefined;
}

/** Why the process was ended by this module; `null`: it ended itself. */
export type EndedBy = 'signal' | 'timeout' | 'output' | 'memory' | null;

export interface Ended {
  /** Null when a signal ended it. */
  code: number | null;
  signal: NodeJS.Signals | null;
  endedBy: EndedBy;
  /** The end of its output. */
  stdout: string;
  stderr: string;
  /** Highest observed memory of the group; 0 when it was not measured. */
  memoryPeakBytes: number;
}

const GRACE_MS = 5000;
const KEEP_BYTES = 16 * 1024;
const LINE_LENGTH = 64 * 1024;
const MESSAGE_BYTES = 2 * 1024 * 1024;
const WATCH_MS = 500;
/** How long pipes may stay open after the end, kept open by processes that left the group. */
const PIPES_MS = 1000;

/**
 * Runs a program, without a shell, as the leader of its own process group. Everything that the leader leaves running
 * ends with it, and all of it ends with this process, even if that is killed.
 * @throws {Error} with the system's `code` when it cannot be started, such as `ENOENT`
 */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  options.signal?.throwIfAborted();
  const cgroup = await options.cgroups?.create(options.mostMemoryBytes);
  try {
    return await runIn(cgroup, program, args, options);
  } finally {
    await cgroup?.end();
    if (cgroup !== undefined) forget(cgroup.path);
  }
}

async function runIn(
  cgroup: Cgroup | undefined,
  program: string,
  args: readonly string[],
  options: RunOptions,
): Promise<Ended> {
  const start = (file: string, given: readonly string[], watch: Writable | null): ChildProcess =>
    spawn(file, given, {
      ...(options.cwd !== undefined && { cwd: options.cwd }),
      ...(options.env !== undefined && { env: options.env }),
      ...{ stdio: stdioOf(options, watch), detached: true },
    });
  await requireProgram(program, options);
  const child =
    cgroup === undefined
      ? startGroup(program, args, 3 + ownPipes(options), start)
      : startInCgroup(cgroup.path, () => start(...cgroup.entered(program, args), null));
  const { pid } = child;
  if (pid === undefined) throw await new Promise<Error>((resolve) => child.once('error', resolve));
  return new RunningProcess(child, pid, cgroup, options).ended();
}

function stdioOf(options: RunOptions, watch: Writable | null): StdioOptions {
  const input = options.stdin === undefined ? 'ignore' : 'pipe';
  const own = Array<'pipe'>(ownPipes(options)).fill('pipe');
  return [input, 'pipe', 'pipe', ...own, ...(watch === null ? [] : [watch])];
}

/** How many file descriptors the program has beside the usual three. */
function ownPipes({ onMessage, onPipes }: RunOptions): number {
  if (onPipes !== undefined) return 2;
  return onMessage === undefined ? 0 : 1;
}

/**
 * The shell between would only end with a code of its own. Asked of such a shell, which looks where that one will.
 * @throws {Error} `ENOENT`, as starting it directly would
 */
async function requireProgram(program: string, { cwd, env }: RunOptions): Promise<void> {
  if (process.platform === 'win32') return;
  const shell = spawn('/bin/sh', ['-c', 'command -v "$1"', 'sh', program], {
    ...(cwd !== undefined && { cwd }),
    ...(env !== undefined && { env }),
    stdio: 'ignore',
  });
  const code = await new Promise<number | null>((resolve, reject) => shell.on('error', reject).on('close', resolve));
  if (code !== 0) throw Object.assign(new Error(`spawn ${program} ENOENT`), { code: 'ENOENT', path: program });
}

class RunningProcess {
  private readonly stdout: Tail;
  private readonly stderr: Tail;
  private readonly splitters: LineSplitter[] = [];
  private outputBytes = 0;
  private memoryPeakBytes = 0;
  private endedBy: EndedBy = null;
  private killTimer: NodeJS.Timeout | undefined;
  private readonly timers: NodeJS.Timeout[] = [];
  private isWatching = false;

  constructor(
    private readonly child: ChildProcess,
    private readonly leader: number,
    private readonly cgroup: Cgroup | undefined,
    private readonly options: RunOptions,
  ) {
    this.stdout = new Tail(options.keepBytes ?? KEEP_BYTES);
    this.stderr = new Tail(options.keepBytes ?? KEEP_BYTES);
  }

  async ended(): Promise<Ended> {
    const { signal, timeoutMs, mostMemoryBytes, stdin } = this.options;
    const onAbort = (): void => this.end('signal');
    signal?.addEventListener('abort', onAbort, { once: true });
    if (timeoutMs !== undefined) this.timers.push(setTimeout(() => this.end('timeout'), timeoutMs));
    if (mostMemoryBytes !== undefined) this.timers.push(setInterval(() => void this.watch(mostMemoryBytes), WATCH_MS));
    this.listen();
    if (stdin !== undefined) this.write(stdin);
    try {
      const [code, endSignal] = await this.exit();
      for (const splitter of this.splitters) splitter.end();
      if (await this.cgroup?.wasOutOfMemory()) this.endedBy ??= 'memory';
      return {
        ...{ code, signal: endSignal, endedBy: this.endedBy, memoryPeakBytes: this.memoryPeakBytes },
        ...{ stdout: this.stdout.toString(), stderr: this.stderr.toString() },
      };
    } finally {
      signal?.removeEventListener('abort', onAbort);
      for (const timer of this.timers) clearTimeout(timer);
      clearTimeout(this.killTimer);
    }
  }

  /** When the leader has ended, the rest of its group is killed, and then the pipes are read to their end. */
  private exit(): Promise<[number | null, NodeJS.Signals | null]> {
    return new Promise((resolve) => {
      this.child.once('exit', (code, signal) => {
        endGroup(this.leader);
        const timer = setTimeout(() => this.child.stdio.forEach((stream) => stream?.destroy()), PIPES_MS);
        this.child.once('close', () => {
          clearTimeout(timer);
          resolve([code, signal]);
        });
      });
    });
  }

  private listen(): void {
    const { onStdoutLine, onStderrLine, onMessage, onPipes, mostMessageBytes = MESSAGE_BYTES } = this.options;
    this.read(this.child.stdout, this.stdout, onStdoutLine, LINE_LENGTH);
    this.read(this.child.stderr, this.stderr, onStderrLine, LINE_LENGTH);
    const [, , , first, second] = this.child.stdio;
    if (onPipes !== undefined) onPipes([first as Duplex, second as Duplex]);
    else if (onMessage !== undefined) this.read(first as Readable, null, onMessage, mostMessageBytes);
  }

  private read(
    stream: Readable | null,
    tail: Tail | null,
    onLine: ((line: string) => void) | undefined,
    mostLength: number,
  ): void {
    const splitter = onLine && new LineSplitter(onLine, mostLength);
    if (splitter !== undefined) this.splitters.push(splitter);
    stream?.on('error', () => undefined);
    stream?.on('data', (chunk: Buffer) => {
      this.outputBytes += chunk.length;
      if (this.outputBytes > (this.options.mostOutputBytes ?? Infinity)) return this.end('output');
      tail?.push(chunk);
      splitter?.push(chunk);
    });
  }

  /** A program that does not read its input, or closes it, has not failed because of that. */
  private write(text: string | Buffer): void {
    const stream = this.child.stdin as Writable;
    stream.on('error', () => undefined);
    stream.end(text);
  }

  private async watch(mostBytes: number): Promise<void> {
    if (this.isWatching) return;
    this.isWatching = true;
    const inside = new Set(await this.cgroup?.processes());
    const bytes = await memoryOf((pid, group, session) =>
      this.cgroup === undefined ? group === this.leader || session === this.leader : inside.has(pid),
    );
    this.isWatching = false;
    this.memoryPeakBytes = Math.max(this.memoryPeakBytes, bytes);
    if (bytes > mostBytes) this.end('memory');
  }

  /** A group over a limit is killed at once; one that only takes too long may clean up. */
  private end(by: EndedBy): void {
    if (this.endedBy !== null) return;
    this.endedBy = by;
    if (by === 'memory' || by === 'output') signalGroup(this.leader, 'SIGKILL');
    else {
      signalGroup(this.leader, 'SIGTERM');
      this.killTimer = setTimeout(() => signalGroup(this.leader, 'SIGKILL'), this.options.graceMs ?? GRACE_MS);
    }
  }
}
