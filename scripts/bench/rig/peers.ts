import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PEERS } from './paths';
import { BenchProcess, runCommand } from './process';

const OLDEST_NODE = [22, 18] as const;

/** Installs the other job systems, once; they are not part of Baton. */
export async function installPeers(): Promise<void> {
  const wanted = readPackages(join(PEERS, 'package-lock.json'));
  const installed = readPackages(join(PEERS, 'node_modules', '.package-lock.json'));
  const isDone = PEER_PACKAGES.every((name) => installed.has(name) && installed.get(name) === wanted.get(name));
  // Not `npm ci`, which requires the optional packages of every platform in the lock file, while npm locks only those
  // of its own platform.
  if (!isDone)
    await runCommand(
      'npm',
      ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
      PEERS,
    );
}

const PEER_PACKAGES = ['bullmq', 'graphile-worker', 'pg-boss', 'ioredis', 'pg'];

export function peerVersions(): Record<string, string> {
  const installed = readPackages(join(PEERS, 'node_modules', '.package-lock.json'));
  return Object.fromEntries(PEER_PACKAGES.map((name) => [name, installed.get(name) ?? '']));
}

/** Starts a peer's script; it reports `done` like Baton's load processes. */
export function startPeer(script: string, order: object): BenchProcess {
  return new BenchProcess({
    name: `peer ${script}`,
    command: peerNode(),
    args: [join(PEERS, `${script}.mjs`), JSON.stringify(order)],
    cwd: PEERS,
  });
}

/** The peers need a newer Node than Baton, which is installed as a package. */
export function peerNode(): string {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return process.execPath;
  const packaged = join(PEERS, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node');
  if (!existsSync(packaged))
    throw new Error(
      `The peers need Node ${OLDEST_NODE.join('.')} or later, and none was installed for ${process.platform} ${process.arch}.`,
    );
  return packaged;
}

function readPackages(file: string): Map<string, string> {
  if (!existsSync(file)) return new Map();
  const { packages } = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, { version?: string }> };
  return new Map(
    Object.entries(packages).map(([path, { version }]) => [path.replace('node_modules/', ''), version ?? '']),
  );
}
