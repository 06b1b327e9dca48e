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
 * Starts a group that is certain to be killed. The shell runs before the group's leader, so that only a write to a pipe
 * lies between the start and the watch.
 */
export function startGroup(start: () => ChildProcess, cgroup?: string): ChildProcess {
  const input = watchInput();
  if (cgroup !== undefined) input?.write(`+ ${cgroup}\n`);
  const leader = start();
  if (leader.pid !== undefined) input?.write(`+ ${leader.pid}\n`);
  return leader;
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
