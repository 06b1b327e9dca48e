import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, opendir, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import {
  type Backend,
  type Listed,
  notFound,
  type Opened,
  type ReadOptions,
  refused,
  type Stat,
  type WriteOptions,
} from './backend';
import { type FileLocation, PARTS_FOLDER } from './location';

/** Files below a folder; symbolic links that leave it are not followed. */
export class FileBackend implements Backend<FileLocation> {
  async stat(place: FileLocation): Promise<Stat | null> {
    const path = await this.inside(place);
    if (path === null) return null;
    const found = await stat(path);
    return found.isFile() ? statOf(found) : null;
  }

  async open(place: FileLocation, { start = 0 }: ReadOptions): Promise<Opened> {
    const path = await this.inside(place);
    if (path === null) throw notFound(place.url);
    const found = await stat(path);
    if (!found.isFile()) throw refused(place.url, 'it is not a file');
    return { ...statOf(found), body: createReadStream(path, { start }) };
  }

  /**
   * Writes to a file with another name, which is renamed once it is completely on disk. When two write the same file at
   * once, the one that started first fails.
   */
  async write(place: FileLocation, source: AsyncIterable<Uint8Array>, { signal }: WriteOptions): Promise<number> {
    const parts = join(place.folder, PARTS_FOLDER);
    await mkdir(parts, { recursive: true });
    await mkdir(dirname(place.path), { recursive: true });
    await this.requireFolderInside(place);
    const mark = createHash('sha256').update(place.path).digest('hex').slice(0, 24);
    // Left by a killed attempt, or by one that runs on without its lease.
    for (const name of await readdir(parts)) if (name.startsWith(mark)) await rm(join(parts, name), { force: true });
    const part = join(parts, `${mark}.${randomBytes(6).toString('hex')}`);
    try {
      const bytes = await writeDurably(part, source, signal);
      await rename(part, place.path);
      await syncFolder(dirname(place.path));
      return bytes;
    } catch (error) {
      await rm(part, { force: true });
      throw error;
    }
  }

  async *list(place: FileLocation): AsyncIterable<Listed> {
    const path = await this.inside(place);
    if (path === null) return;
    for await (const entry of await opendir(path, { recursive: true })) {
      const file = join(entry.parentPath, entry.name);
      const name = relative(path, file);
      // Links are skipped, so that none leaves the root.
      if (!entry.isFile() || name.split(sep).includes(PARTS_FOLDER)) continue;
      const found = await lstat(file).catch(() => null);
      if (found !== null) yield { ...statOf(found), bytes: found.size, name: name.split(sep).join('/') };
    }
  }

  async remove(place: FileLocation): Promise<boolean> {
    const path = await this.inside(place);
    if (path === null) return false;
    await rm(path);
    return true;
  }

  /** Its path with symbolic links resolved. */
  async pathOf(place: FileLocation): Promise<string> {
    const path = await this.inside(place);
    if (path === null) throw notFound(place.url);
    return path;
  }

  /** The path with symbolic links resolved; null when it does not exist. */
  private async inside({ url, path, folder }: FileLocation): Promise<string | null> {
    const real = await realpath(path).catch(missing);
    if (real === null) return null;
    if (!isInside(real, await realpath(folder))) throw refused(url, 'a symbolic link leads out of its root');
    return real;
  }

  private async requireFolderInside({ url, path, folder }: FileLocation): Promise<void> {
    const real = await realpath(dirname(path));
    if (!isInside(real, await realpath(folder))) throw refused(url, 'a symbolic link leads out of its root');
  }
}

async function writeDurably(path: string, source: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<number> {
  // Opened first, so that there is a file to delete if the source fails at once.
  const target = (await open(path, 'wx')).createWriteStream({ flush: true });
  await pipeline(source, target, { ...(signal && { signal }) });
  return target.bytesWritten;
}

/** Syncs the folder, so that the name is on disk too. Not every system can. */
async function syncFolder(folder: string): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(folder, 'r');
    await handle.sync();
  } catch {
    // Windows cannot.
  } finally {
    await handle?.close();
  }
}

function statOf({ size, mtimeMs, ino }: { size: number; mtimeMs: number; ino: number }): Stat & { bytes: number } {
  return { bytes: size, modifiedAt: new Date(mtimeMs), contentType: null, version: `${ino}-${size}-${mtimeMs}` };
}

function isInside(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

function missing(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
  throw error;
}
