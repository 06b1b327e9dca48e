import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

/** Whether any process has this id, even a zombie or a process of another user. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** Whether the process runs, is not a zombie, and was started with this argument: ids are reused by other programs. */
export function isAliveWith(pid: number, argument: string): boolean {
  // It is empty for a zombie.
  if (existsSync('/proc/self/cmdline')) return readOrEmpty(`/proc/${pid}/cmdline`).split('\0').includes(argument);
  const { stdout } = spawnSync('ps', ['-ww', '-o', 'command=', '-p', String(pid)], { cwd: '/', encoding: 'utf8' });
  return (stdout ?? '').includes(argument);
}

/** The text of a file that may vanish at any moment. */
export function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
