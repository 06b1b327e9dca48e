import { createGzip } from 'node:zlib';
import type { Listed, Storage } from '@baton/runner-kit';
import type { JobContext } from '@baton/runner-sdk';
import type { FilesTask } from './jobs';
import { Tally } from './tally';

type Found = Listed & { url: string };

/** Deletes the files that the task describes, one by one, so that a killed attempt loses no work. */
export async function cleanFiles(
  task: FilesTask,
  storage: Storage,
  job: JobContext,
  isDryRun: boolean,
): Promise<Tally> {
  const tally = new Tally('files');
  if (task.archiveTo !== undefined) storage.requireWritable(`${folderOf(task.archiveTo)}x`);
  const newest = await newestOf(task, storage, job);
  for await (const file of matching(task, storage, job)) {
    job.signal.throwIfAborted();
    if (newest.has(file.url) || !isDue(task, file)) continue;
    if (isDryRun) tally.add(file.name, file.bytes);
    else if (await cleanFile(task, file, storage, job)) tally.add(file.name, file.bytes);
    if (tally.total % 100 === 0) job.progress(0, `${tally.total} files`);
  }
  return tally;
}

/** False: the file changed, or was deleted, since it was listed. */
async function cleanFile(task: FilesTask, file: Found, storage: Storage, job: JobContext): Promise<boolean> {
  const now = await storage.stat(file.url, job.signal);
  if (now?.version !== file.version) return false;
  if (task.archiveTo !== undefined) {
    const { body } = await storage.open(file.url, { signal: job.signal });
    await storage.write(
      `${folderOf(task.archiveTo)}${encoded(task.archiveTo, file.name)}.gz`,
      body.pipe(createGzip()),
      {
        ...{ signal: job.signal, contentType: 'application/gzip' },
      },
    );
  }
  return storage.remove(file.url);
}

async function* matching(task: FilesTask, storage: Storage, job: JobContext): AsyncIterable<Found> {
  const pattern = patternOf(task.match);
  for await (const file of storage.list(task.below, job.signal)) if (pattern.test(file.name)) yield file;
}

function isDue({ olderThanMs, largerThanBytes }: FilesTask, { modifiedAt, bytes }: Found): boolean {
  const isOld = olderThanMs === undefined || (modifiedAt !== null && Date.now() - modifiedAt.getTime() > olderThanMs);
  return isOld && (largerThanBytes === undefined || bytes > largerThanBytes);
}

/** The newest files, which are kept. Keeps no more names in memory than that. */
async function newestOf(task: FilesTask, storage: Storage, job: JobContext): Promise<Set<string>> {
  const { keepNewest } = task;
  let newest: { url: string; at: number }[] = [];
  if (keepNewest === 0) return new Set();
  for await (const { url, modifiedAt } of matching(task, storage, job)) {
    newest.push({ url, at: modifiedAt?.getTime() ?? 0 });
    if (newest.length >= 2 * keepNewest) newest = first(newest, keepNewest);
  }
  return new Set(first(newest, keepNewest).map(({ url }) => url));
}

function first(files: { url: string; at: number }[], count: number): { url: string; at: number }[] {
  return files.sort((one, other) => other.at - one.at || (one.url < other.url ? 1 : -1)).slice(0, count);
}

function patternOf(match: string): RegExp {
  const text = match.replace(/[.+^${}()|[\]\\?]/g, '\\$&').replace(/\*\*\/|\*\*|\*/g, (stars) => {
    if (stars === '*') return '[^/]*';
    return stars === '**/' ? '(?:.*/)?' : '.*';
  });
  return new RegExp(`^${text}$`, 's');
}

function folderOf(url: string): string {
  return url.endsWith('/') || url === 'file:' ? url : `${url}/`;
}

/** Encodes a name for a URL; S3 keys are used as they are. */
function encoded(place: string, name: string): string {
  return place.startsWith('s3:') ? name : name.split('/').map(encodeURIComponent).join('/');
}
