import { type JobContext, NonRetryableError } from '@baton/runner-sdk';
import { z } from 'zod';
import type { UploadArguments, UploadResult } from './jobs';
import type { Tools } from './tools';

const MOST_FILES = 100_000;
const KEPT_EACH_MS = 2000;

interface Copy {
  from: string;
  to: string;
  contentType?: string | undefined;
}

const stored = z.object({
  next: z.int(),
  after: z.string().nullable(),
  files: z.int(),
  skipped: z.int(),
  bytes: z.int(),
});

/**
 * Copies files one after the other; each is complete or absent, and a killed job continues after those that are done.
 */
export async function uploadFiles(args: UploadArguments, tools: Tools, job: JobContext): Promise<UploadResult> {
  const copies = args.files ?? (await listed(args.below ?? '', args.to ?? '', tools, job));
  for (const { to } of copies) tools.storage.requireWritable(to);
  const read = stored.safeParse(job.lastCheckpoint);
  const state = read.success ? read.data : { next: 0, after: null, files: 0, skipped: 0, bytes: 0 };
  let keptAtMs = performance.now();
  for (const [index, copy] of copies.entries()) {
    // The listing may have changed meanwhile, so names are compared there.
    if (args.files !== undefined ? index < state.next : state.after !== null && copy.from <= state.after) continue;
    job.signal.throwIfAborted();
    job.progress((100 * index) / copies.length, copy.from);
    const bytes = await copyOne(copy, args.skipSameSize, tools, job);
    if (bytes === null) state.skipped += 1;
    else {
      state.files += 1;
      state.bytes += bytes;
    }
    tools.count(job.type, bytes === null ? 'skipped' : 'written', 1);
    Object.assign(state, { next: index + 1, after: copy.from });
    if (performance.now() - keptAtMs < KEPT_EACH_MS) continue;
    await job.checkpoint(state);
    keptAtMs = performance.now();
  }
  return { files: state.files, skipped: state.skipped, bytes: state.bytes };
}

/** Null: the target already has the same size. */
async function copyOne(
  { from, to, contentType }: Copy,
  skipSameSize: boolean,
  { storage }: Tools,
  { signal }: JobContext,
): Promise<number | null> {
  const source = await storage.open(from, { signal });
  try {
    if (skipSameSize && source.bytes !== null && (await storage.stat(to, signal))?.bytes === source.bytes) return null;
    return await storage.write(to, source.body, {
      ...{ signal, contentType: contentType ?? source.contentType ?? undefined },
      ...(source.bytes !== null && { bytes: source.bytes }),
    });
  } finally {
    source.body.destroy();
  }
}

/** Sorted by name, so that another attempt knows which are done. */
async function listed(below: string, to: string, { storage }: Tools, { signal }: JobContext): Promise<Copy[]> {
  const base = to.endsWith('/') || to === 'file:' ? to : `${to}/`;
  const copies: Copy[] = [];
  for await (const { url, name } of storage.list(below, signal)) {
    copies.push({
      from: url,
      to: base + (to.startsWith('s3:') ? name : name.split('/').map(encodeURIComponent).join('/')),
    });
    if (copies.length > MOST_FILES)
      throw new NonRetryableError(`there are more than ${MOST_FILES} files below; give a folder with fewer`, {
        code: 'data_too_many_files',
      });
  }
  return copies.sort((a, b) => (a.from < b.from ? -1 : 1));
}
