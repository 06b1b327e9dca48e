import { type Ended, run, type Storage, type WorkFolders } from '@baton/runner-kit';
import { type JobContext, NonRetryableError } from '@baton/runner-sdk';
import { z } from 'zod';
import type { Media } from './jobs';

export interface Tools {
  storage: Storage;
  work: WorkFolders;
  /** A preset of x264. */
  speed: string;
  limits: { seconds: number; bytes: number; pixels: number; memoryBytes: number };
}

/**
 * Containers that are read. Playlists and lists of files are none of them, because they name other files, of this host
 * or of the network.
 */
const FORMATS = [
  ...['mov,mp4,m4a,3gp,3g2,mj2', 'matroska,webm', 'avi', 'mpegts', 'mpeg', 'flv', 'ogg', 'asf', 'mxf'],
  ...['wav', 'mp3', 'aac', 'flac', 'aiff', 'amr', 'gif', 'image2', 'png_pipe', 'jpeg_pipe', 'webp_pipe'],
].join(',');
const GUARDS = ['-protocol_whitelist', 'file', '-format_whitelist', FORMATS];

const probed = z.object({
  streams: z.array(
    z.object({
      codec_type: z.string().optional(),
      width: z.int().optional(),
      height: z.int().optional(),
      disposition: z.object({ attached_pic: z.number().optional() }).optional(),
      side_data_list: z.array(z.object({ rotation: z.number().optional() })).optional(),
    }),
  ),
  format: z.object({ duration: z.string().optional() }),
});

/** Arguments that read a file, with what guards it. */
export function input(path: string, ...options: string[]): string[] {
  return [...GUARDS, ...options, '-i', `file:${path}`];
}

/**
 * Brings a file here and looks at it.
 * @throws {NonRetryableError} `video_bad_media`, `video_too_long`, `video_too_large`, `storage_too_large`
 */
export async function fetchMedia(url: string, path: string, tools: Tools, job: JobContext): Promise<Media> {
  await tools.storage.download(url, path, { signal: job.signal, mostBytes: tools.limits.bytes });
  const media = await probe(path, job.signal);
  if (media.seconds > tools.limits.seconds)
    throw fault(
      'video_too_long',
      `it has ${media.seconds} s, and ${tools.limits.seconds} are the most (VIDEO_MOST_SECONDS)`,
    );
  if (media.width * media.height > tools.limits.pixels)
    throw fault(
      'video_too_large',
      `it has ${media.width} x ${media.height} pixels, more than VIDEO_MOST_MEGAPIXELS allows`,
    );
  return media;
}

/** What a file of this host holds; its width and height are as it is shown. */
export async function probe(path: string, signal?: AbortSignal): Promise<Media> {
  const args = ['-v', 'error', '-print_format', 'json', '-show_format', '-show_streams', ...input(path)];
  const ended = await run('ffprobe', args, { signal, timeoutMs: 120_000, keepBytes: 1024 * 1024 });
  signal?.throwIfAborted();
  const read = ended.code === 0 ? probed.safeParse(JSON.parse(ended.stdout)) : null;
  if (read?.success !== true) throw fault('video_bad_media', lastLine(ended) || 'ffprobe does not know it');
  const { streams, format } = read.data;
  // The cover of a song is a picture, and no film.
  const video = streams.find((one) => one.codec_type === 'video' && one.disposition?.attached_pic !== 1);
  const isTurned = video?.side_data_list?.some(({ rotation = 0 }) => Math.abs(rotation) % 180 === 90) === true;
  const [width, height] = [video?.width ?? 0, video?.height ?? 0];
  return {
    seconds: Number(format.duration ?? 0) || 0,
    ...(isTurned ? { width: height, height: width } : { width, height }),
    hasAudio: streams.some((one) => one.codec_type === 'audio'),
  };
}

/**
 * Runs ffmpeg, and tells how far it is between two percents, with the time that is left.
 * @param seconds how long what it writes will be
 */
export async function ffmpeg(
  args: string[],
  { job, tools, seconds, from = 0, to = 100, label }: Running,
): Promise<void> {
  const startedAtMs = performance.now();
  const onStdoutLine = (line: string): void => {
    const outSeconds = Number(/^out_time_us=(\d+)/.exec(line)?.[1] ?? NaN) / 1e6;
    if (Number.isNaN(outSeconds) || seconds <= 0) return;
    const part = Math.min(1, outSeconds / seconds);
    const leftSeconds = part > 0 ? ((performance.now() - startedAtMs) * (1 - part)) / part / 1000 : 0;
    job.progress(from + (to - from) * part, `${label}, about ${Math.ceil(leftSeconds)} s left`);
  };
  const ended = await run(
    'ffmpeg',
    ['-hide_banner', '-nostdin', '-y', '-nostats', '-loglevel', 'error', '-progress', 'pipe:1', ...args],
    {
      ...{ signal: job.signal, onStdoutLine, mostMemoryBytes: tools.limits.memoryBytes },
    },
  );
  job.signal.throwIfAborted();
  if (ended.endedBy === 'memory') throw fault('video_too_large', 'it takes more memory than VIDEO_MOST_MEMORY_MB');
  if (ended.code === 0) return;
  const line = lastLine(ended);
  if (/Invalid data found|could not find codec|Unsupported|moov atom not found/i.test(ended.stderr))
    throw fault('video_bad_media', line);
  throw new Error(`ffmpeg ended with ${ended.code ?? ended.signal}: ${line}`);
}

export interface Running {
  job: JobContext;
  tools: Tools;
  seconds: number;
  from?: number;
  to?: number;
  label: string;
}

export function fault(code: string, message: string): NonRetryableError {
  return new NonRetryableError(`the media cannot be used: ${message}`, { code });
}

function lastLine({ stderr }: Ended): string {
  return (stderr.trim().split('\n').at(-1) ?? '').slice(0, 500);
}
