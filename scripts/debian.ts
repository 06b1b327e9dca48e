import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * Installs a package of Debian, where apt is there and this process may use it.
 * @param skipped what is skipped without it, as in "tests in a browser"
 * @returns what became of it, in words
 */
export async function installPackage(name: string, skipped: string): Promise<string> {
  if (process.getuid?.() !== 0 || findProgram('apt-get') === null)
    return `there is none, so ${skipped} are skipped; install it, or put it into PATH`;
  const fault = await runApt(`apt-get update -qq && apt-get install -y -qq --no-install-recommends ${name}`);
  return fault === null ? 'installed' : `could not be installed, so ${skipped} are skipped: ${fault}`;
}

/** Runs commands of apt. Resolves with the last line that they complained in; null: they succeeded. */
export async function runApt(commands: string): Promise<string | null> {
  const child = spawn('sh', ['-c', commands], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return status === 0 ? null : (said.trim().split('\n').at(-1) ?? '');
}

/** The path of a program in PATH; null: it is not there. */
export function findProgram(name: string): string | null {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, name)).find(isExecutable) ?? null;
}

/**
 * Installs tmux where there is none.
 * @returns what became of it, in words; null: one was there
 */
export async function installTmux(): Promise<string | null> {
  return findProgram('tmux') === null ? installPackage('tmux', 'tests in a terminal') : null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
