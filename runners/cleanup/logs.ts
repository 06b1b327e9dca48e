import { createReadStream } from 'node:fs';
import { truncate } from 'node:fs/promises';
import { createGzip } from 'node:zlib';
import type { Storage } from '@baton/runner-kit';
import type { JobContext } from '@baton/runner-sdk';
import type { LogTask } from './jobs';
import { Tally } from './tally';

/**
 * Copies a log, compressed, to an archive beside it and truncates it in place, so that the program that writes it need
 * not know. Lines written between the two steps are lost, as with logrotate's `copytruncate`.
 * @param stamp the same for all attempts of a job: the archive of a killed one is overwritten, so no line is in two
 * archives
 */
export async function rotateLog(
  task: LogTask,
  storage: Storage,
  job: JobContext,
  { isDryRun, stamp }: { isDryRun: boolean; stamp: string },
): Promise<Tally> {
  const tally = new Tally('log');
  const path = await storage.localPath(task.file);
  const { bytes } = (await storage.stat(task.file)) ?? { bytes: 0 };
  if ((bytes ?? 0) <= task.largerThanBytes) return tally;
  const archive = `${task.file}-${stamp}.gz`;
  tally.add(archive, bytes ?? 0);
  if (isDryRun) return tally;
  await storage.write(archive, createReadStream(path).pipe(createGzip()), { signal: job.signal });
  await truncate(path);
  await prune(task, storage, job);
  return tally;
}

/** Names contain the time, so the last ones are the newest. */
async function prune({ file, keep }: LogTask, storage: Storage, job: JobContext): Promise<void> {
  const slash = file.lastIndexOf('/');
  const folder = slash < 0 ? 'file:' : file.slice(0, slash + 1);
  const name = slash < 0 ? file.slice('file:'.length) : file.slice(slash + 1);
  const archives: string[] = [];
  for await (const listed of storage.list(folder, job.signal))
    if (listed.name.startsWith(`${name}-`) && /-\d{8}T\d{6}\d*Z\.gz$/.test(listed.name)) archives.push(listed.url);
  archives.sort();
  for (const url of archives.slice(0, Math.max(0, archives.length - keep))) await storage.remove(url);
}
