import { type ChildProcess, spawn } from 'node:child_process';
import type { Writable } from 'node:stream';

/**
 * Kills the process groups of this process when it ends, however that happens: after `kill -9` it cannot do so itself,
 * but the pipe that a small shell reads from is closed. The shell keeps the list of running groups.
 */
const WATCH = `
trap '' INT TERM HUP
groups=' '
while read -r verb id; do
  case $verb in
    +) groups="$groups$id " ;;
    -) case "$groups" in *" $id "*) groups="\${groups%% $id *} \${groups#* $id }" ;; esac ;;
  esac
done
for id in $groups; do
  case $id in
    /*) echo 1 > "$id/cgroup.kill" ;;
    *) kill -s KILL -- "-$id" ;;
  esac
done 2>/dev/null
`;

let watch: ChildProcess | null = null;

/**
 * Enters the leader's group into the list before the program begins: whatever the program has done, its group is known.
 * In a shell of its own, because the watching shell may be gone, and whoever writes to it then ends.
 * @param fd of the leader, by which it reaches the watching shell
 */
const announce = (fd: number): string => `(echo "+ $$" >&${fd}) 2>/dev/null; exec ${fd}>&-; exec "$@"`;

/**
 * Starts a group that is certain to be killed.
 * @param fd a file descriptor that the program does not use
 * @param start gets the command to run, and the stream that must be its `fd`; null: there is none
 */
export function startGroup(
  program: string,
  args: readonly string[],
  fd: number,
  start: (file: string, args: readonly string[], watch: Writable | null) => ChildProcess,
): ChildProcess {
  const input = watchInput();
  if (input === null) return start(program, args, null);
  return start('/bin/sh', ['-c', announce(fd), 'sh', program, ...args], input);
}

/** The same in a cgroup, which the shell knows before anything is started in it. */
export function startInCgroup(path: string, start: () => ChildProcess): ChildProcess {
  watchInput()?.write(`+ ${path}\n`);
  return start();
}

/** Sends a signal to a whole group. False: nothing of it is running. */
export function signalGroup(leader: number, signal: NodeJS.Signals): boolean {
  try {
    // Windows has no groups; there only the leader is ended.
    return process.kill(process.platform === 'win32' ? leader : -leader, signal);
  } catch {
    return false;
  }
}

/** Kills the rest of a group whose leader has ended. */
export function endGroup(leader: number): void {
  signalGroup(leader, 'SIGKILL');
  forget(String(leader));
}

/** Tells the shell that a group, or the cgroup of this path, has ended. */
export function forget(name: string): void {
  watchInput()?.write(`- ${name}\n`);
}

function watchInput(): Writable | null {
  if (process.platform === 'win32') return null;
  watch ??= startWatch();
  return watch.stdin;
}

function startWatch(): ChildProcess {
  const child = spawn('/bin/sh', ['-c', WATCH], { detached: true, stdio: ['pipe', 'ignore', 'ignore'], env: {} });
  // Without a shell, groups outlive a killed runner; all other ways of ending them still work.
  child.on('error', () => undefined);
  child.stdin.on('error', () => undefined);
  child.unref();
  (child.stdin as unknown as { unref?: () => void }).unref?.();
  return child;
}
