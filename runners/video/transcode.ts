import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '@baton/runner-kit';
import type { JobContext } from '@baton/runner-sdk';
import { fault, fetchMedia, ffmpeg, input, probe, type Tools } from './ffmpeg';
import type { Media, Preset, ProcessingArguments, ProcessingResult } from './jobs';

const HEIGHTS: Record<Exclude<Preset, 'audio'>, { height: number; kbps: number }> = {
  '1080p': { height: 1080, kbps: 5000 },
  '720p': { height: 720, kbps: 2800 },
  '480p': { height: 480, kbps: 1400 },
  '360p': { height: 360, kbps: 800 },
  '240p': { height: 240, kbps: 400 },
};
/** The longest that reading the segments of one rendition may take. */
const SEGMENTS_MS = 1_800_000;
const CONTENT_TYPES = new Map([
  ['mp4', 'video/mp4'],
  ['webm', 'video/webm'],
  ['m4a', 'audio/mp4'],
  ['mp3', 'audio/mpeg'],
  ['m3u8', 'application/vnd.apple.mpegurl'],
  ['ts', 'video/mp2t'],
]);

export function transcode(args: ProcessingArguments, tools: Tools, job: JobContext): Promise<ProcessingResult> {
  return tools.work.with(async (folder) => {
    for (const { to, preset } of args.outputs) {
      tools.storage.requireWritable(to);
      encoderOf(to, preset, tools.speed);
    }
    if (args.hls !== undefined) tools.storage.requireWritable(`${below(args.hls.to)}master.m3u8`);
    const path = join(folder, 'source');
    const source = await fetchMedia(args.from, path, tools, job);
    const parts = args.outputs.length + (args.hls === undefined ? 0 : 1);
    const outputs: ProcessingResult['outputs'] = [];
    for (const [index, output] of args.outputs.entries()) {
      const between = { from: (100 * index) / parts, to: (100 * (index + 1)) / parts };
      outputs.push(await writeOutput(output, { path, folder, source, tools, job, between }));
    }
    const between = { from: (100 * (parts - 1)) / parts, to: 99 };
    const hls = args.hls === undefined ? null : await writeHls(args.hls, { path, folder, source, tools, job, between });
    return { source, outputs, hls };
  });
}

interface Work {
  path: string;
  folder: string;
  source: Media;
  tools: Tools;
  job: JobContext;
  between: { from: number; to: number };
}

async function writeOutput(
  { to, preset }: ProcessingArguments['outputs'][number],
  { path, folder, source, tools, job, between }: Work,
): Promise<ProcessingResult['outputs'][number]> {
  if (preset !== 'audio' && source.width === 0) throw fault('video_bad_media', 'it has no picture');
  if (preset === 'audio' && !source.hasAudio) throw fault('video_bad_media', 'it has no sound');
  const extension = extensionOf(to);
  const file = join(folder, `output.${extension}`);
  await ffmpeg([...input(path), ...encoderOf(to, preset, tools.speed), file], {
    ...{ job, tools, seconds: source.seconds, label: preset, ...between },
  });
  const written = await probe(file, job.signal);
  const bytes = await tools.storage.upload(to, file, { signal: job.signal, contentType: CONTENT_TYPES.get(extension) });
  return { to, bytes, ...written };
}

/** @throws {NonRetryableError} `video_unknown_format` */
function encoderOf(to: string, preset: Preset, speed: string): string[] {
  const extension = extensionOf(to);
  const plain = ['-map_metadata', '-1', '-map_chapters', '-1'];
  if (preset === 'audio') {
    if (extension === 'm4a') return [...plain, '-vn', '-c:a', 'aac', '-b:a', '128k', '-movflags', '+faststart'];
    if (extension === 'mp3') return [...plain, '-vn', '-c:a', 'libmp3lame', '-b:a', '192k'];
    throw fault('video_unknown_format', `a target of sound must end with .m4a or .mp3`);
  }
  const { height, kbps } = HEIGHTS[preset];
  const scale = ['-map', '0:V:0', '-map', '0:a:0?', '-vf', scaleTo(height)];
  if (extension === 'mp4')
    return [
      ...[...plain, ...scale, ...h264(speed), '-crf', '23', '-maxrate', `${kbps}k`, '-bufsize', `${2 * kbps}k`],
      ...['-c:a', 'aac', '-b:a', '128k', '-ac', '2', '-movflags', '+faststart'],
    ];
  if (extension === 'webm')
    return [
      ...[...plain, ...scale, '-c:v', 'libvpx-vp9', '-b:v', `${kbps}k`, '-pix_fmt', 'yuv420p', '-row-mt', '1'],
      ...[
        '-deadline',
        'good',
        '-cpu-used',
        speed === 'ultrafast' ? '8' : '3',
        '-c:a',
        'libopus',
        '-b:a',
        '128k',
        '-ac',
        '2',
      ],
    ];
  throw fault('video_unknown_format', 'a target must end with .mp4 or .webm');
}

/**
 * All renditions in one run, with key frames at the same times; each segment is looked at before anything is uploaded.
 */
async function writeHls(
  { to, renditions, segmentSeconds }: NonNullable<ProcessingArguments['hls']>,
  { path, folder, source, tools, job, between }: Work,
): Promise<NonNullable<ProcessingResult['hls']>> {
  if (source.width === 0) throw fault('video_bad_media', 'it has no picture');
  const names = [...new Set(renditions)];
  const place = join(folder, 'hls');
  for (const name of names) await mkdir(join(place, name), { recursive: true });
  const split = `[0:V:0]split=${names.length}${names.map((_name, index) => `[s${index}]`).join('')}`;
  const scaled = names.map((name, index) => `[s${index}]${scaleTo(HEIGHTS[name].height)}[o${index}]`);
  const maps = names.flatMap((_name, index) => ['-map', `[o${index}]`, ...(source.hasAudio ? ['-map', '0:a:0'] : [])]);
  const rates = names.flatMap((name, index) => {
    const { kbps } = HEIGHTS[name];
    return [`-b:v:${index}`, `${kbps}k`, `-maxrate:v:${index}`, `${kbps}k`, `-bufsize:v:${index}`, `${2 * kbps}k`];
  });
  const streams = names
    .map((name, index) => `v:${index},${source.hasAudio ? `a:${index},` : ''}name:${name}`)
    .join(' ');
  const args = [
    ...[
      ...input(path),
      '-map_metadata',
      '-1',
      '-filter_complex',
      [split, ...scaled].join(';'),
      ...maps,
      ...h264(tools.speed),
      ...rates,
    ],
    ...[
      '-force_key_frames',
      `expr:gte(t,n_forced*${segmentSeconds})`,
      '-sc_threshold',
      '0',
      '-c:a',
      'aac',
      '-b:a',
      '128k',
      '-ac',
      '2',
    ],
    ...[
      '-f',
      'hls',
      '-hls_time',
      String(segmentSeconds),
      '-hls_playlist_type',
      'vod',
      '-hls_flags',
      'independent_segments',
    ],
    ...[
      '-hls_segment_filename',
      join(place, '%v', '%05d.ts'),
      '-master_pl_name',
      'master.m3u8',
      '-var_stream_map',
      streams,
    ],
    join(place, '%v', 'index.m3u8'),
  ];
  await ffmpeg(args, { job, tools, seconds: source.seconds, label: 'hls', ...between });
  const segments = await segmentsOf(place, names);
  for (const name of names) {
    const own = segments.filter((segment) => segment.startsWith(`${join(place, name)}/`));
    await requireKeyFrames(own, folder, job.signal);
  }
  let bytes = 0;
  const upload = async (file: string): Promise<void> => {
    const contentType = CONTENT_TYPES.get(extensionOf(file));
    bytes += await tools.storage.upload(below(to) + file.slice(place.length + 1), file, {
      signal: job.signal,
      contentType,
    });
  };
  // What players open comes last, so that it never names what is not there.
  for (const segment of segments) await upload(segment);
  for (const name of names) await upload(join(place, name, 'index.m3u8'));
  await upload(join(place, 'master.m3u8'));
  return { master: `${below(to)}master.m3u8`, segments: segments.length, bytes };
}

async function segmentsOf(place: string, names: string[]): Promise<string[]> {
  const found = await Promise.all(
    names.map(async (name) =>
      (await readdir(join(place, name))).filter((file) => file.endsWith('.ts')).map((file) => join(place, name, file)),
    ),
  );
  if (found.some((segments) => segments.length !== found[0]?.length || segments.length === 0))
    throw new Error('the renditions have different numbers of segments');
  return found.flat().sort();
}

/**
 * A player may begin, or change the bitrate, at each segment. Those of a rendition are read as one, by a list, because
 * a film has thousands: where the position in the file goes back, another begins.
 */
async function requireKeyFrames(segments: string[], place: string, signal: AbortSignal): Promise<void> {
  const list = join(place, 'segments.ffconcat');
  await writeFile(
    list,
    ['ffconcat version 1.0', ...segments.map((path) => `file '${path.replaceAll("'", String.raw`'\''`)}'`)].join('\n'),
  );
  let last = Infinity;
  let begun = 0;
  let good = 0;
  const onStdoutLine = (line: string): void => {
    const [, position, flags = ''] = /^(\d+),(\w*)/.exec(line) ?? [];
    if (position === undefined) return;
    if (Number(position) <= last) {
      begun += 1;
      if (flags.startsWith('K')) good += 1;
    }
    last = Number(position);
  };
  const entries = ['-select_streams', 'v:0', '-show_entries', 'packet=pos,flags', '-of', 'csv=p=0'];
  const { code } = await run('ffprobe', ['-v', 'error', '-f', 'concat', '-safe', '0', ...entries, `file:${list}`], {
    ...{ signal, onStdoutLine, timeoutMs: SEGMENTS_MS },
  });
  signal.throwIfAborted();
  if (code !== 0 || begun !== segments.length || good !== begun)
    throw new Error(`of ${segments.length} segments, ${begun} can be read and ${good} begin with a key frame`);
}

function h264(speed: string): string[] {
  return ['-c:v', 'libx264', '-preset', speed, '-profile:v', 'high', '-pix_fmt', 'yuv420p'];
}

/** Nothing is enlarged, and both sides are even, as H.264 wants them. */
function scaleTo(height: number): string {
  return `scale=w=-2:h='trunc(min(${height},ih)/2)*2'`;
}

function extensionOf(url: string): string {
  return (/\.([a-z0-9]+)$/i.exec(url.replace(/[?#].*$/s, ''))?.[1] ?? '').toLowerCase();
}

function below(folder: string): string {
  return folder.endsWith('/') ? folder : `${folder}/`;
}
