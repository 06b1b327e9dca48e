import { type ChildProcess, spawn } from 'node:child_process';
import type { Writable } from 'node:stream';

/**
 * Ends the process groups of this process when it is gone, however it went: `kill -9` lets it say nothing, but closes the
 * pipe that a small shell reads from. The shell keeps the list of groups that are alive.
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
 * Starts a group whose end is sure. The shell is there before its leader, so that no more than a write to a pipe lies between the
 * start and the watch.
 */
export function startGroup(start: () => ChildProcess, cgroup?: string): ChildProcess {
  const input = watchInput();
  if (cgroup !== undefined) input?.write(`+ ${cgroup}\n`);
  const leader = start();
  if (leader.pid !== undefined) input?.write(`+ ${leader.pid}\n`);
  return leader;
}

/** Sends a signal to all of a group. False: none of it is alive. */
export function signalGroup(leader: number, signal: NodeJS.Signals): boolean {
  try {
    // Windows has no groups; there the leader alone is ended.
    return process.kill(process.platform === 'win32' ? leader : -leader, signal);
  } catch {
    return false;
  }
}

/** Ends what is left of a group whose leader has ended. */
export function endGroup(leader: number): void {
  signalGroup(leader, 'SIGKILL');
  forget(String(leader));
}

/** Says that a group, or the cgroup of this path, has ended. */
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
  // Without a shell, groups outlive a runner that is killed; whatever ends them otherwise still works.
  child.on('error', () => undefined);
  child.stdin.on('error', () => undefined);
  child.unref();
  (child.stdin as unknown as { unref?: () => void }).unref?.();
  return child;
}
