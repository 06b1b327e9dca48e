import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSettings, Storage, storageSettings, WorkFolders } from '@baton/runner-kit';
import { compositionRender, videoProcessing, videoThumbnails } from '@baton/runner-video/jobs';
import { runHandler, startHandler } from '@baton/runner-sdk/testing';
import { renderComposition } from '../../runners/video/composition';
import type { Tools } from '../../runners/video/ffmpeg';
import { takeThumbnails } from '../../runners/video/thumbnails';
import { transcode } from '../../runners/video/transcode';
import { eventually } from '../support/eventually';

const hasFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0;
// Counted as skipped, and the name says why.
const withFfmpeg = hasFfmpeg ? describe : describe.skip;
const W = 64;
const H = 36;

let folder: string;
let work: WorkFolders;
let tools: Tools;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'baton-video-'));
  mkdirSync(join(folder, 'storage'));
  if (!hasFfmpeg) return;
  clip('red.mp4', 'red', 3, 440);
  clip('blue.mp4', 'blue', 3, null);
  make(['-f', 'lavfi', '-i', 'sine=frequency=300:duration=6', 'music.wav']);
  make(['-f', 'lavfi', '-i', 'sine=frequency=1000:duration=2', 'voice.wav']);
  make(['-f', 'lavfi', '-i', `color=lime:s=${W}x${H}`, '-frames:v', '1', 'green.png']);
});
beforeEach(async () => {
  work = new WorkFolders(join(folder, 'work'));
  await work.open();
  const settings = readSettings(storageSettings, { env: { STORAGE_ROOTS: `file:${join(folder, 'storage')}` } });
  const limits = { seconds: 7300, bytes: 10_000_000, pixels: 1_000_000, memoryBytes: 2e9 };
  tools = { storage: new Storage(settings, folder), work, speed: 'ultrafast', limits };
});
afterEach(() => work.close());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string): string => join(folder, 'storage', name);

function make(args: string[]): void {
  const { status, stderr } = spawnSync('ffmpeg', ['-v', 'error', '-y', ...args.slice(0, -1), at(args.at(-1) ?? '')]);
  if (status !== 0) throw new Error(String(stderr));
}

function clip(name: string, color: string, seconds: number, frequency: number | null, more: string[] = []): void {
  const sound = frequency === null ? [] : ['-f', 'lavfi', '-i', `sine=frequency=${frequency}:duration=${seconds}`];
  const picture = ['-f', 'lavfi', '-i', `color=${color}:s=${W}x${H}:r=10:d=${seconds}`];
  make([...picture, ...sound, '-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', ...more, name]);
}

/** The colour at a place of a frame. */
function pixel(name: string, seconds: number, x = W / 2, y = H / 2): number[] {
  const filter = ['-frames:v', '1', '-vf', `crop=2:2:${x}:${y}`, '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'];
  const { stdout } = spawnSync('ffmpeg', ['-v', 'error', '-ss', String(seconds), '-i', at(name), ...filter]);
  return [...stdout.subarray(0, 3)];
}

function near(found: number[], wanted: number[], by = 30): boolean {
  return found.length === 3 && found.every((value, index) => Math.abs(value - (wanted[index] ?? 0)) <= by);
}

/** Decibels of a part of the sound, of one frequency where it is said. */
function loudness(name: string, start: number, seconds: number, band?: number): number {
  const filter = `${band === undefined ? '' : `bandpass=f=${band}:width_type=h:w=50,`}volumedetect`;
  const { stderr } = spawnSync('ffmpeg', [
    '-ss',
    String(start),
    '-t',
    String(seconds),
    '-i',
    at(name),
    '-vn',
    '-af',
    filter,
    '-f',
    'null',
    '-',
  ]);
  return Number(/mean_volume: (-?[\d.]+) dB/.exec(String(stderr))?.[1]);
}

const processed = (args: object) => runHandler(videoProcessing, (given, job) => transcode(given, tools, job), args);
const pictures = (args: object) => runHandler(videoThumbnails, (given, job) => takeThumbnails(given, tools, job), args);
const rendered = (args: object) =>
  runHandler(compositionRender, (given, job) => renderComposition(given, tools, job), args);
const left = (): string[] => readdirSync(join(folder, 'work')).flatMap((own) => readdirSync(join(folder, 'work', own)));

it('says when ffmpeg is missing', () => {
  if (!hasFfmpeg)
    process.stderr.write('ffmpeg is missing, so the tests of the video runner are skipped; apt-get install ffmpeg\n');
  const path = mkdtempSync(join(folder, 'no-tools-'));
  const env = {
    PATH: path,
    RUNNER_KEY: 'x',
    COORDINATOR_URL: 'http://127.0.0.1:9',
    RUNNER_WORK_DIR: join(folder, 'w'),
  };
  const { status, stderr } = spawnSync(process.execPath, ['runners/video/dist/index.js'], { env, encoding: 'utf8' });
  expect([status, stderr]).toEqual([1, 'ffmpeg is not there; install it, such as by apt-get install ffmpeg\n']);
});

withFfmpeg('a video (needs ffmpeg)', () => {
  it('is transcoded to presets, without metadata, and with progress', async () => {
    clip('tagged.mp4', 'red', 2, 440, ['-metadata', 'title=Secret']);
    const run = await processed({
      from: 'file:tagged.mp4',
      outputs: [
        { to: 'file:out/a.mp4', preset: '240p' },
        { to: 'file:out/a.webm', preset: '360p' },
        { to: 'file:out/a.mp3', preset: 'audio' },
      ],
    });
    expect(run.error).toBeNull();
    expect(run.result).toMatchObject({
      source: { width: W, height: H, hasAudio: true },
      outputs: [
        { width: W, height: H, hasAudio: true },
        { width: W, height: H, hasAudio: true },
        { width: 0, hasAudio: true },
      ],
      hls: null,
    });
    for (const { seconds } of run.result?.outputs ?? []) expect(Math.abs(seconds - 2)).toBeLessThan(0.3);
    expect(near(pixel('out/a.mp4', 1), [254, 0, 0])).toBe(true);
    expect(readFileSync(at('out/a.mp4')).includes('Secret')).toBe(false);
    expect(run.progress.at(-1)?.message).toMatch(/^audio, about \d+ s left$/);
    expect(left()).toEqual(['owner.json']);
  });

  it('becomes HLS whose renditions have key frames at the same times, the master last', async () => {
    clip('long.mp4', 'blue', 9, 440);
    const run = await processed({
      from: 'file:long.mp4',
      hls: { to: 'file:hls', renditions: ['360p', '240p'], segmentSeconds: 2 },
    });
    expect(run.error).toBeNull();
    expect(run.result?.hls).toMatchObject({ master: 'file:hls/master.m3u8', segments: 10 });
    const master = readFileSync(at('hls/master.m3u8'), 'utf8');
    expect(master.match(/^\d+p\/index\.m3u8$/gm)).toEqual(['360p/index.m3u8', '240p/index.m3u8']);
    const durations = ['360p', '240p'].map((name) =>
      readFileSync(at(`hls/${name}/index.m3u8`), 'utf8').match(/#EXTINF:[\d.]+/g),
    );
    expect(durations[0]).toEqual(durations[1]);
    expect(durations[0]).toHaveLength(5);
  });

  it.each([
    ['none.mp4', 'no video', 'video_bad_media'],
    ['list.m3u8', '#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n', 'video_bad_media'],
    ['list.txt', "ffconcat version 1.0\nfile 'red.mp4'\n", 'video_bad_media'],
  ])('%s is refused', async (name, content, code) => {
    writeFileSync(at(name), content);
    const run = await processed({ from: `file:${name}`, outputs: [{ to: 'file:out.mp4', preset: '240p' }] });
    expect(run.error).toMatchObject({ code, retryable: false });
    expect(existsSync(at('out.mp4'))).toBe(false);
  });

  it('is refused when it is too long, or its target cannot be', async () => {
    tools.limits.seconds = 2;
    const outputs = [{ to: 'file:out.mp4', preset: '240p' }];
    expect((await processed({ from: 'file:red.mp4', outputs })).error).toMatchObject({ code: 'video_too_long' });
    tools.limits.seconds = 100;
    tools.limits.pixels = 100;
    expect((await processed({ from: 'file:red.mp4', outputs })).error).toMatchObject({ code: 'video_too_large' });
    const bad = [{ to: 'file:out.avi', preset: '240p' }];
    expect((await processed({ from: 'file:red.mp4', outputs: bad })).error).toMatchObject({
      code: 'video_unknown_format',
    });
    expect((await processed({ from: 'file:red.mp4' })).error).toMatchObject({ code: 'invalid_arguments' });
  });

  it('that is cancelled ends ffmpeg, and leaves nothing', async () => {
    clip('hours.mp4', 'red', 7200, null, ['-r', '1', '-g', '600']);
    const job = startHandler(
      videoProcessing,
      (given, context) => transcode(given, tools, context),
      {
        ...{ from: 'file:hours.mp4', outputs: [{ to: 'file:never.webm', preset: '360p' }] },
      },
      { onEvent: ({ kind }, control) => kind === 'progress' && control.cancel() },
    );
    expect((await job.ended).outcome).toBe('cancelled');
    await eventually(left, (names) => names.length === 1);
    expect(existsSync(at('never.webm'))).toBe(false);
  });

  it('gives pictures at given times, or evenly', async () => {
    const run = await pictures({ from: 'file:red.mp4', to: 'file:thumbs/{n}.png', at: [0, 1.5], width: 32 });
    expect(run.result?.images.map(({ to, at: time }) => [to, time])).toEqual([
      ['file:thumbs/1.png', 0],
      ['file:thumbs/2.png', 1.5],
    ]);
    expect(near(pixel('thumbs/2.png', 0, 10, 8), [254, 0, 0])).toBe(true);
    expect(
      (await pictures({ from: 'file:red.mp4', to: 'file:t-{n}.jpg', count: 3 })).result?.images.map((one) => one.at),
    ).toEqual([0.5, 1.5, 2.5]);
    expect((await pictures({ from: 'file:red.mp4', to: 'file:t-{n}.jpg', at: [9] })).error).toMatchObject({
      code: 'video_bad_time',
    });
    expect((await pictures({ from: 'file:red.mp4', to: 'file:t.jpg' })).error).toMatchObject({
      code: 'invalid_arguments',
    });
  });
});

withFfmpeg('a composition (needs ffmpeg)', () => {
  const size = { width: W, height: H, fps: 10 };

  it('has the layers, cross-fades and titles that it should at each time', async () => {
    const run = await rendered({
      ...{ to: 'file:story.mp4', ...size, seconds: 6, background: '#ffffff' },
      layers: [
        { kind: 'clip', from: 'file:red.mp4', volume: 0 },
        { kind: 'clip', from: 'file:blue.mp4', start: 2, fadeIn: 1 },
        {
          kind: 'image',
          from: 'file:green.png',
          start: 1,
          seconds: 3,
          x: 0,
          y: 0,
          width: 16,
          height: 16,
          fit: 'cover',
        },
        {
          kind: 'title',
          text: "%{x}:'\\\\",
          start: 5,
          seconds: 1,
          size: 10,
          color: '#000000',
          background: '#000000',
        },
      ],
    });
    expect(run.error).toBeNull();
    expect(run.result).toMatchObject({ width: W, height: H, hasAudio: false });
    expect(Math.abs((run.result?.seconds ?? 0) - 6)).toBeLessThan(0.2);
    const seen = [0.5, 2.5, 4, 5.5].map((time) => pixel('story.mp4', time));
    expect(near(seen[0] ?? [], [254, 0, 0])).toBe(true);
    // Half of each, in the middle of the fade.
    expect(near(seen[1] ?? [], [127, 0, 127], 45)).toBe(true);
    expect(near(seen[2] ?? [], [0, 0, 254])).toBe(true);
    expect(near(seen[3] ?? [], [0, 0, 0])).toBe(true);
    const corner = [0.5, 1.5, 4.5].map((time) => near(pixel('story.mp4', time, 6, 6), [0, 255, 0], 40));
    expect(corner).toEqual([false, true, false]);
    expect(near(pixel('story.mp4', 5.1, 0, 0), [255, 255, 255])).toBe(true);
  });

  it('has music that gives way to a voice, and fades out', async () => {
    const run = await rendered({
      ...{ to: 'file:sound.mp4', ...size, seconds: 6 },
      audio: [
        { from: 'file:voice.wav', start: 2 },
        { from: 'file:music.wav', ducked: true, fadeOut: 1 },
      ],
    });
    expect(run.error).toBeNull();
    const [before, under, after] = [0.5, 2.7, 4.6].map((start) => loudness('sound.mp4', start, 0.4, 300));
    expect((before ?? 0) - (under ?? 0)).toBeGreaterThan(6);
    expect(Math.abs((before ?? 0) - (after ?? 0))).toBeLessThan(3);
    expect(loudness('sound.mp4', 2.5, 1, 1000) - loudness('sound.mp4', 0.5, 1, 1000)).toBeGreaterThan(20);
    expect((after ?? 0) - loudness('sound.mp4', 5.9, 0.1, 300)).toBeGreaterThan(6);
  });

  it('hears its clips as loud as it is told', async () => {
    const args = { ...size, seconds: 2 };
    for (const volume of [1, 0.1])
      expect(
        (
          await rendered({
            ...args,
            to: `file:v${volume}.mp4`,
            layers: [{ kind: 'clip', from: 'file:red.mp4', volume }],
          })
        ).error,
      ).toBeNull();
    const difference = loudness('v1.mp4', 0.5, 1) - loudness('v0.1.mp4', 0.5, 1);
    expect(Math.abs(difference - 20)).toBeLessThan(1.5);
  });

  it.each([
    [{ layers: [{ kind: 'clip', from: 'file:red.mp4', start: 9 }] }, 'video_bad_time'],
    [{ audio: [{ from: 'file:blue.mp4' }] }, 'video_bad_media'],
    [{ layers: [{ kind: 'image', from: 'file:music.wav' }] }, 'video_bad_media'],
    [{ layers: [{ kind: 'image', from: 'file:none.png' }] }, 'storage_not_found'],
    [{ layers: [{ kind: 'film', from: 'file:red.mp4' }] }, 'invalid_arguments'],
    [{ width: 33 }, 'invalid_arguments'],
  ])('%j fails with %s', async (more, code) => {
    const run = await rendered({ to: 'file:x.mp4', ...size, seconds: 2, ...more });
    expect(run.error).toMatchObject({ code, retryable: false });
    expect(existsSync(at('x.mp4'))).toBe(false);
  });
});
