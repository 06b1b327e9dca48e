import { randomBytes } from 'node:crypto';
import { access, constants, mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const PREFIX = 'baton-';
const REMOVE_TRIES = 50;
const REMOVE_PAUSE_MS = 20;

/**
 * A cgroup v2 folder delegated to this process, in which each program gets its own group. Nothing that the program
 * starts can leave it, and the kernel limits its memory if the memory controller is delegated too.
 */
export class Cgroups {
  private constructor(
    private readonly folder: string,
    /** Whether the kernel limits memory; otherwise memory is polled. */
    readonly limitsMemory: boolean,
  ) {}

  /**
   * Takes over the folder, and ends processes that killed runners left in it.
   * @throws {Error} that says why the folder cannot be used
   */
  static async open(folder: string): Promise<Cgroups> {
    try {
      await access(join(folder, 'cgroup.procs'), constants.W_OK);
      await access(folder, constants.W_OK);
    } catch {
      throw new Error('is no folder of cgroup v2 that this process may write');
    }
    // Refused if the folder itself contains processes, or lacks the controller.
    await writeFile(join(folder, 'cgroup.subtree_control'), '+memory').catch(() => undefined);
    const controllers = await readFile(join(folder, 'cgroup.subtree_control'), 'utf8').catch(() => '');
    const cgroups = new Cgroups(folder, /\bmemory\b/.test(controllers));
    await cgroups.sweep();
    return cgroups;
  }

  async create(mostMemoryBytes: number | undefined): Promise<Cgroup> {
    const group = new Cgroup(join(this.folder, `${PREFIX}${process.pid}-${randomBytes(6).toString('hex')}`));
    await mkdir(group.path);
    if (mostMemoryBytes !== undefined && this.limitsMemory) await group.limitMemory(mostMemoryBytes);
    return group;
  }

  private async sweep(): Promise<void> {
    const names = await readdir(this.folder);
    for (const name of names.filter((one) => one.startsWith(PREFIX))) {
      const pid = Number(name.split('-')[1]);
      if (pid !== process.pid && !isAlive(pid)) await new Cgroup(join(this.folder, name)).end();
    }
  }
}

/** The group of one program. */
export class Cgroup {
  constructor(readonly path: string) {}

  /** A command that enters the group before it runs the program, so that nothing of it runs outside. */
  entered(program: string, args: readonly string[]): [string, string[]] {
    return ['/bin/sh', ['-c', 'echo 0 > "$0/cgroup.procs" && exec "$@"', this.path, program, ...args]];
  }

  async limitMemory(bytes: number): Promise<void> {
    await writeFile(join(this.path, 'memory.max'), String(bytes));
    // Otherwise swapped memory would not count.
    await writeFile(join(this.path, 'memory.swap.max'), '0').catch(() => undefined);
    await writeFile(join(this.path, 'memory.oom.group'), '1').catch(() => undefined);
  }

  /** Whether the kernel killed it for its memory. */
  async wasOutOfMemory(): Promise<boolean> {
    const events = await readFile(join(this.path, 'memory.events'), 'utf8').catch(() => '');
    return Number(/^oom_kill (\d+)$/m.exec(events)?.[1] ?? 0) > 0;
  }

  /** All processes in it. */
  async processes(): Promise<number[]> {
    const text = await readFile(join(this.path, 'cgroup.procs'), 'utf8').catch(() => '');
    return text.split('\n').filter(Boolean).map(Number);
  }

  /** Kills the remaining processes, and removes the group. */
  async end(): Promise<void> {
    for (let tries = 0; tries < REMOVE_TRIES; tries += 1) {
      // Linux before 5.14 has no cgroup.kill.
      await writeFile(join(this.path, 'cgroup.kill'), '1', { flag: 'r+' }).catch(() => this.killEach());
      const isGone = await rmdir(this.path).then(
        () => true,
        (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
      );
      if (isGone) return;
      await sleep(REMOVE_PAUSE_MS);
    }
  }

  private async killEach(): Promise<void> {
    for (const pid of await this.processes()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It is gone.
      }
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
