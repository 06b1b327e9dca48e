import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { JobContext } from '@baton/runner-sdk';
import { fault, fetchMedia, ffmpeg, input, type Tools } from './ffmpeg';
import type { ThumbnailsArguments, ThumbnailsResult } from './jobs';

const CONTENT_TYPES = new Map([
  ['jpg', 'image/jpeg'],
  ['jpeg', 'image/jpeg'],
  ['webp', 'image/webp'],
  ['png', 'image/png'],
]);

export function takeThumbnails(args: ThumbnailsArguments, tools: Tools, job: JobContext): Promise<ThumbnailsResult> {
  return tools.work.with(async (folder) => {
    tools.storage.requireWritable(args.to);
    const path = join(folder, 'source');
    const source = await fetchMedia(args.from, path, tools, job);
    if (source.width === 0) throw fault('video_bad_media', 'it has no picture');
    const times = timesOf(args, source.seconds);
    const extension = (/\.([a-z]+)(\?.*)?$/is.exec(args.to)?.[1] ?? 'jpg').toLowerCase();
    const images: ThumbnailsResult['images'] = [];
    for (const [index, at] of times.entries()) {
      const file = join(folder, `${index}.${extension}`);
      const seek = ['-ss', at.toFixed(3)];
      const scale = `scale=w='min(${args.width},iw)':h=-2`;
      await ffmpeg(
        [
          ...input(path, ...seek),
          '-map',
          '0:V:0',
          '-frames:v',
          '1',
          '-vf',
          scale,
          '-map_metadata',
          '-1',
          '-update',
          '1',
          file,
        ],
        {
          ...{ job, tools, seconds: 0, label: 'thumbnails' },
        },
      );
      // ffmpeg does not fail when there is no frame at a time.
      if (!existsSync(file)) throw fault('video_bad_media', `it has no picture at ${at} s`);
      const to = args.to.replaceAll('{n}', String(index + 1));
      const bytes = await tools.storage.upload(to, file, {
        signal: job.signal,
        contentType: CONTENT_TYPES.get(extension),
      });
      images.push({ to, at, bytes });
      job.progress((100 * (index + 1)) / times.length);
    }
    return { source, images };
  });
}

/** Evenly, in the middle of as many parts: neither the first frame, often black, nor the last. */
function timesOf({ at, count = 1 }: ThumbnailsArguments, seconds: number): number[] {
  if (at === undefined) return Array.from({ length: count }, (_none, index) => ((index + 0.5) * seconds) / count);
  const late = at.find((time) => time >= seconds && seconds > 0);
  if (late !== undefined) throw fault('video_bad_time', `it ends at ${seconds} s, before ${late} s`);
  return at;
}
