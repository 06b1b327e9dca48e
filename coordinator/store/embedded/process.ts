import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

/** Whether any process has this number, be it a zombie or of another user. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** Whether the process lives, is no zombie, and was started with this argument: its number alone may be anybody's. */
export function isAliveWith(pid: number, argument: string): boolean {
  // Of a zombie it is empty.
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
