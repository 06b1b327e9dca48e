import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LogFile } from './log-file';

export interface SupervisedProcessOptions {
  /** As in "the coordinator". */
  name: string;
  /** The compiled program. */
  program: string;
  cwd: string;
  env: Record<string, string | undefined>;
  /** Receives all output of the process. */
  logFile: string;
  /** Called with the process's warnings, its end and its restart, in plain words. */
  notice: (line: string) => void;
}

const RESTART_PAUSE_MS = 1000;
const LAST_WORDS = 3;

/** A process that does not receive the terminal's Ctrl-C, and that, once supervised, is restarted when it ends. */
export class SupervisedProcess {
  private child: ChildProcess;
  private isWanted = true;
  private isSupervised = false;
  private lastWords: string[] = [];
  private readonly messages = new Set<string>();
  private readonly log: LogFile;

  constructor(private readonly options: SupervisedProcessOptions) {
    this.log = new LogFile(options.logFile, (line) => this.hear(line));
    this.child = this.launch();
  }

  /** Why it is not running, from its last output; undefined while it runs. */
  fault(): string | undefined {
    if (isRunning(this.child)) return undefined;
    this.log.read();
    return (
      this.lastWords.join('\n') ||
      `The ${this.options.name} ended without a word. ${this.options.logFile} may say more.`
    );
  }

  /** From now on it is restarted when it ends. */
  supervise(): void {
    this.isSupervised = true;
  }

  /** Whether it has logged this message since it was started. */
  hasLogged(message: string): boolean {
    this.log.read();
    return this.messages.has(message);
  }

  /** Restarts it, for example after a change of its sources. */
  async restart(): Promise<void> {
    await this.end();
    if (this.isWanted) this.child = this.launch();
  }

  /** Tells it to drain, and waits for its end. */
  async stop(): Promise<void> {
    this.isWanted = false;
    await this.end();
    this.log.close();
  }

  /** Signals it again, which ends a draining process at once. */
  endNow(): void {
    if (isRunning(this.child)) this.child.kill('SIGTERM');
  }

  private launch(): ChildProcess {
    const { program, cwd, env } = this.options;
    const log = this.log.open();
    const args = ['--enable-source-maps', '--require', join(__dirname, 'parent-watch.js'), program];
    const child = spawn(process.execPath, args, { cwd, env, detached: true, stdio: ['ignore', log, log, 'ipc'] });
    closeSync(log);
    this.lastWords = [];
    this.messages.clear();
    child.once('error', (error) => this.lastWords.push(error.message));
    child.once('exit', (code, signal) => void this.revive(child, signal ?? `code ${String(code)}`));
    return child;
  }

  private async end(): Promise<void> {
    if (!isRunning(this.child)) return;
    this.child.removeAllListeners('exit');
    const ended = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await ended;
  }

  private async revive(child: ChildProcess, how: string): Promise<void> {
    if (!this.isWanted || !this.isSupervised) return;
    this.options.notice(`the ${this.options.name} ended (${how}) and is started again`);
    await sleep(RESTART_PAUSE_MS);
    if (this.isWanted && this.child === child) this.child = this.launch();
  }

  /** The processes log JSON lines; other output is kept as their last output. */
  private hear(line: string): void {
    const entry = parse(line);
    if (entry === undefined) {
      this.lastWords = [...this.lastWords, line.replace(/^baton: /, '')].slice(-LAST_WORDS);
      return;
    }
    this.messages.add(String(entry.message));
    if (entry.level === 'warn' || entry.level === 'error')
      this.options.notice(`${this.options.name}: ${String(entry.message)}`);
  }
}

function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

function parse(line: string): { level?: unknown; message?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
