import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';

const ALIVE_MS = 60_000;
/** A runner on another host is considered gone when it has not touched its folder for this long. */
const GONE_MS = 24 * 3_600_000;
const OWNER = 'owner.json';

interface Owner {
  host: string;
  pid: number;
  /** Distinguishes a process from an earlier one with the same id. */
  startedAt: string;
}

/**
 * Temporary folders of jobs, each deleted when its job has ended. Folders left by a killed runner are deleted by the
 * next one that starts; several runners, also on several hosts, may share the parent folder.
 */
export class WorkFolders {
  private readonly own: string;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly place: string) {
    this.own = join(resolve(place), randomUUID());
  }

  /** Creates the parent folder and deletes folders of runners that are gone. Call it once, before the first job. */
  async open(): Promise<void> {
    await mkdir(this.own, { recursive: true, mode: 0o700 });
    const owner: Owner = { host: hostname(), pid: process.pid, startedAt: await startOf(process.pid) };
    await writeFile(join(this.own, OWNER), JSON.stringify(owner));
    this.timer = setInterval(() => void this.touch(), ALIVE_MS).unref();
    await this.sweep();
  }

  /** Calls `work` with a folder, and deletes it when that has ended, whatever the outcome. */
  async with<Result>(work: (folder: string) => Promise<Result>): Promise<Result> {
    const folder = join(this.own, randomUUID());
    await mkdir(folder, { recursive: true, mode: 0o700 });
    try {
      return await work(folder);
    } finally {
      // On some file systems a file that an ending process still has open keeps its folder for a moment.
      await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    }
  }

  /** Synchronous, so that it can run just before the process ends. */
  close(): void {
    clearInterval(this.timer);
    rmSync(this.own, { recursive: true, force: true });
  }

  private async sweep(): Promise<void> {
    for (const name of await readdir(resolve(this.place))) {
      const folder = join(resolve(this.place), name);
      if (folder !== this.own && (await isLeft(folder))) await rm(folder, { recursive: true, force: true });
    }
  }

  private async touch(): Promise<void> {
    const now = new Date();
    await utimes(join(this.own, OWNER), now, now).catch(() => undefined);
  }
}

/** Only folders that name their owner are considered, so that nothing else is deleted. */
async function isLeft(folder: string): Promise<boolean> {
  try {
    const file = join(folder, OWNER);
    const owner = JSON.parse(await readFile(file, 'utf8')) as Partial<Owner>;
    if (owner.host !== hostname()) return Date.now() - (await stat(file)).mtimeMs > GONE_MS;
    return owner.pid === undefined || !isAlive(owner.pid) || (await startOf(owner.pid)) !== owner.startedAt;
  } catch {
    return false;
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** When a process started, in ticks since the host booted; empty if there is no `/proc`. */
async function startOf(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}
