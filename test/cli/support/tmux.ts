import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findProgram } from '../../../scripts/debian';
import { eventually } from '../../support/eventually';

const run = promisify(execFile);

/**
 * Tests in a real terminal, or the same skipped, with the reason in their name. `npm test` installs tmux where it may.
 */
export function describeInTmux(name: string, tests: () => void): void {
  if (findProgram('tmux') === null) describe.skip(`${name} (skipped: no tmux in PATH)`, tests);
  else describe(name, tests);
}

/** A terminal with a shell in it, on a tmux server of its own. */
export class Tmux {
  private constructor(private readonly socket: string) {}

  static async start(folder: string, env: Record<string, string>, columns: number, rows: number): Promise<Tmux> {
    const tmux = new Tmux(join(folder, 'tmux'));
    const variables = Object.entries({ ...env, PS1: '$ ', TERM: 'screen-256color', LANG: 'C.UTF-8' });
    await tmux.call(
      ...['-f', '/dev/null', '-u', 'new-session', '-d', '-x', String(columns), '-y', String(rows), '-c', folder],
      ...['env', '-i', ...variables.map(([name, value]) => `${name}=${value}`), 'sh'],
    );
    return tmux;
  }

  /** Named keys of tmux, such as `Enter`, `Down` and `C-c`, or text. */
  async press(...keys: string[]): Promise<void> {
    await this.call('send-keys', ...keys);
  }

  async type(line: string): Promise<void> {
    await this.call('send-keys', '-l', line);
    await this.press('Enter');
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.call('resize-window', '-x', String(columns), '-y', String(rows));
  }

  /** What is on the screen, line by line. */
  async screen(): Promise<string[]> {
    return (await this.call('capture-pane', '-p')).split('\n').slice(0, -1);
  }

  /** Waits until the screen shows this, and returns it. */
  async shows(pattern: RegExp): Promise<string[]> {
    const lines = await eventually(
      () => this.screen(),
      (screen) => pattern.test(screen.join('\n')),
      30_000,
    );
    return lines;
  }

  /** A variable of the pane, such as `cursor_flag` or `alternate_on`. */
  async ask(name: string): Promise<string> {
    return (await this.call('display-message', '-p', `#{${name}}`)).trim();
  }

  async stop(): Promise<void> {
    await this.call('kill-server').catch(() => undefined);
    rmSync(this.socket, { force: true });
  }

  private async call(...args: string[]): Promise<string> {
    return (await run('tmux', ['-S', this.socket, ...args])).stdout;
  }
}
