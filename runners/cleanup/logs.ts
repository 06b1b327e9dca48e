import { createReadStream } from 'node:fs';
import { truncate } from 'node:fs/promises';
import { createGunzip, createGzip } from 'node:zlib';
import type { Storage } from '@baton/runner-kit';
import type { JobContext } from '@baton/runner-sdk';
import type { LogTask } from './jobs';
import { stampOf } from './stamp';
import { Tally } from './tally';

/** By how much of its beginning a log is told from what was written after it was emptied. */
const HEAD_BYTES = 65_536;

/**
 * Copies a log, compressed, to an archive beside it and truncates it in place, so that the program that writes it need
 * not know. Lines written between the two steps are lost, as with logrotate's `copytruncate`.
 * @param stamp when the first attempt of the job began. An archive of a killed one is overwritten if the log was not
 * emptied after it, so that no line is in two archives, and else is kept, so that none is in none
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
  const archive = (await unfinished(task, path, storage, job, stamp)) ?? `${task.file}-${stampOf(new Date())}.gz`;
  tally.add(archive, bytes ?? 0);
  if (isDryRun) return tally;
  await storage.write(archive, createReadStream(path).pipe(createGzip()), { signal: job.signal });
  await truncate(path);
  await prune(task, storage, job);
  return tally;
}

/** The archive that an earlier attempt of this job made without emptying the log; null: there is none. */
async function unfinished(
  task: LogTask,
  path: string,
  storage: Storage,
  job: JobContext,
  stamp: string,
): Promise<string | null> {
  const last = (await archivesOf(task, storage, job)).at(-1);
  if (last === undefined || (TIME.exec(last)?.[1] ?? '') < stamp) return null;
  const { body } = await storage.open(last, { signal: job.signal });
  // What cannot be read is none of ours, and is kept.
  const archived = await headOf(body.compose(createGunzip()) as AsyncIterable<Buffer>).catch(() => null);
  if (archived === null) return null;
  const current = await headOf(createReadStream(path, { end: HEAD_BYTES - 1 }));
  return current.subarray(0, archived.length).equals(archived) ? last : null;
}

async function headOf(content: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of content) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= HEAD_BYTES) break;
  }
  return Buffer.concat(chunks).subarray(0, HEAD_BYTES);
}

async function prune(task: LogTask, storage: Storage, job: JobContext): Promise<void> {
  const archives = await archivesOf(task, storage, job);
  for (const url of archives.slice(0, Math.max(0, archives.length - task.keep))) await storage.remove(url);
}

const TIME = /-(\d{8}T\d{6}\d*Z)\.gz$/;

/** Names contain the time, so the last one is the newest. */
async function archivesOf({ file }: LogTask, storage: Storage, job: JobContext): Promise<string[]> {
  const slash = file.lastIndexOf('/');
  const folder = slash < 0 ? 'file:' : file.slice(0, slash + 1);
  const name = slash < 0 ? file.slice('file:'.length) : file.slice(slash + 1);
  const archives: string[] = [];
  for await (const listed of storage.list(folder, job.signal))
    if (listed.name.startsWith(`${name}-`) && TIME.test(listed.name)) archives.push(listed.url);
  return archives.sort();
}
