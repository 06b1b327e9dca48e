import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const INSTALL = 'apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium';

/** A Chromium of this machine, in PATH; null: there is none. */
export function findChromium(): string | null {
  return NAMES.map(findProgram).find((path) => path !== null) ?? null;
}

/**
 * Installs Debian's Chromium where there is none, apt is there, and this process may use it.
 * @returns what became of it, in words; null: one was there
 */
export async function installChromium(): Promise<string | null> {
  if (findChromium() !== null) return null;
  if (process.getuid?.() !== 0 || findProgram('apt-get') === null)
    return 'there is none, so tests in a browser are skipped; install it, or put it into PATH';
  const child = spawn('sh', ['-c', INSTALL], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
  if (status === 0) return 'installed';
  return `could not be installed, so tests in a browser are skipped: ${said.trim().split('\n').at(-1) ?? ''}`;
}

function findProgram(name: string): string | null {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, name)).find(isExecutable) ?? null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
