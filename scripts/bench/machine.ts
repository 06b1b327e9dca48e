import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem, type } from 'node:os';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Results } from './result';
import { ROOT } from './rig/paths';
import { peerNode, peerVersions } from './rig/peers';

export function describeMachine(): Results['machine'] {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
  };
}

export function describeVersions(postgres: string, hasPeers: boolean): Record<string, string> {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const own = { baton: version, node: process.versions.node, postgresql: postgres };
  return hasPeers
    ? {
        ...own,
        ...peerVersions(),
        'node of the peers': words(peerNode(), ['--version']).replace(/^v/, ''),
        redis: words('redis-server', ['--version']),
      }
    : own;
}

/** The load average of the last minute; at the start it is that of other programs. */
export function loadOfMachine(): number {
  return Math.round((loadavg()[0] ?? 0) * 100) / 100;
}

function words(command: string, args: string[]): string {
  try {
    const text = execFileSync(command, args, { encoding: 'utf8' }).trim();
    return /v=([\d.]+)/.exec(text)?.[1] ?? text;
  } catch {
    return 'not found';
  }
}
