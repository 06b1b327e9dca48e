import { spawn } from 'node:child_process';
import { accessSync, chmodSync, constants, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A program of Debian, as it is installed, or from a package that was unpacked beside the system. */
export interface DebianProgram {
  path: string;
  /** What `usr`, `etc` … of its package are in: `/` where it is installed. */
  root: string;
  /** With what it needs to find its own libraries. */
  env: NodeJS.ProcessEnv;
}

/** Packages are unpacked here, each into a folder of its name, because some would start a server when installed. */
const UNPACKED = '/var/cache/baton';
const FOLDERS = ['usr/sbin', 'usr/bin', 'sbin', 'bin'];

/**
 * Installs a package of Debian, where apt is there and this process may use it.
 * @param skipped what is skipped without it, as in "tests in a browser"
 * @returns what became of it, in words
 */
export async function installPackage(name: string, skipped: string): Promise<string> {
  if (!mayUseApt()) return `there is none, so ${skipped} are skipped; install it, or put it into PATH`;
  const fault = await runApt(`apt-get update -qq && apt-get install -y -qq --no-install-recommends ${name}`);
  return fault === null ? 'installed' : `could not be installed, so ${skipped} are skipped: ${fault}`;
}

/**
 * Unpacks a package of Debian, and those that it needs and this machine has not, without installing them. Nothing of
 * them is started, and no script of them runs.
 * @returns what became of it, in words
 */
export async function unpackPackage(name: string, skipped: string): Promise<string> {
  if (!mayUseApt()) return `there is none, so ${skipped} are skipped; install the package ${name}`;
  const root = rootOf(name);
  const fault = await runApt(`
    rm -rf ${root} && mkdir -p ${root}/archives/partial && apt-get update -qq &&
    apt-get install -y -qq --no-install-recommends --download-only -o Dir::Cache::archives=${root}/archives ${name} &&
    for file in ${root}/archives/*.deb; do dpkg-deb -x "$file" ${root} || exit 1; done && rm -rf ${root}/archives`);
  return fault === null ? `unpacked in ${root}` : `could not be fetched, so ${skipped} are skipped: ${fault}`;
}

/** A program of a package, installed or unpacked; null: it is not there. */
export function findDebian(name: string, program = name): DebianProgram | null {
  const installed = findProgram(program);
  if (installed !== null) return { path: installed, root: '/', env: process.env };
  const root = rootOf(name);
  const path = FOLDERS.map((folder) => join(root, folder, program)).find(isExecutable);
  return path === undefined ? null : { path, root, env: environmentOf(root) };
}

/** Where `unpackPackage` puts a package. */
export function rootOf(name: string): string {
  return join(UNPACKED, name);
}

/** What programs that were unpacked need in order to find each other, their libraries and their Python modules. */
export function environmentOf(root: string): NodeJS.ProcessEnv {
  const libraries = ['lib', 'usr/lib'].flatMap((folder) => {
    const at = join(root, folder);
    return existsSync(at)
      ? readdirSync(at)
          .filter((name) => name.endsWith('-linux-gnu'))
          .map((name) => join(at, name))
      : [];
  });
  return {
    ...process.env,
    PATH: [process.env.PATH, ...FOLDERS.map((folder) => join(root, folder))].join(delimiter),
    LD_LIBRARY_PATH: libraries.join(delimiter),
    PYTHONPATH: join(root, 'usr/lib/python3/dist-packages'),
    DEBOOTSTRAP_DIR: join(root, 'usr/share/debootstrap'),
  };
}

/** Runs commands of apt. Resolves with the last line that they complained in; null: they succeeded. */
export async function runApt(commands: string): Promise<string | null> {
  // apt checks signatures as a user of its own, who must be able to write there.
  const temporary = join(UNPACKED, 'tmp');
  mkdirSync(temporary, { recursive: true });
  chmodSync(temporary, 0o1777);
  const child = spawn('sh', ['-c', commands], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', TMPDIR: temporary },
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

function mayUseApt(): boolean {
  return process.getuid?.() === 0 && findProgram('apt-get') !== null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
