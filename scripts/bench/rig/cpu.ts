import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';

/**
 * CPU time of a process, in milliseconds. Precise to a hundredth of a second on Linux, and to a second elsewhere
 * (`ps`).
 */
export function cpuMs(pid: number): number {
  const stat = readStat(pid);
  return stat === undefined ? Number(ps(pid, 'cputimes')) * 1000 : stat.ownMs;
}

/** CPU time of a process and its running and ended children. Null if the system does not report it. */
export function familyCpuMs(pid: number): number | null {
  const own = readStat(pid);
  if (own === undefined) return null;
  const living = readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? (readStat(Number(name)) ?? []) : []));
  return living.reduce((sum, { parent, ownMs }) => sum + (parent === pid ? ownMs : 0), own.ownMs + own.endedChildrenMs);
}

export function residentMb(pid: number): number {
  return (Number(ps(pid, 'rss')) * 1024) / 1e6;
}

const TICK_MS = 10;

/** proc_pid_stat(5): after the name in brackets, the 2nd field is the parent, the 12th to 15th are times in ticks. */
function readStat(pid: number): { parent: number; ownMs: number; endedChildrenMs: number } | undefined {
  const file = `/proc/${pid}/stat`;
  if (!existsSync(file)) return undefined;
  try {
    const text = readFileSync(file, 'utf8');
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const [user = 0, system = 0, endedUser = 0, endedSystem = 0] = fields.slice(11, 15);
    return {
      parent: fields[1] ?? 0,
      ownMs: (user + system) * TICK_MS,
      endedChildrenMs: (endedUser + endedSystem) * TICK_MS,
    };
  } catch {
    // It ended in the meantime.
    return undefined;
  }
}

function ps(pid: number, field: string): string {
  return execFileSync('ps', ['-o', `${field}=`, '-p', String(pid)], { encoding: 'utf8' }).trim();
}
