import { defineJob } from '@baton/runner-sdk';
import { z } from 'zod';

const url = z.string().min(1).max(2000);
const seconds = z.number().min(0).max(86_400);
const preset = z.enum(['1080p', '720p', '480p', '360p', '240p', 'audio']);
const rendition = z.enum(['1080p', '720p', '480p', '360p', '240p']);

const media = z.object({
  seconds: z.number(),
  /** 0 when there is no picture. */
  width: z.int(),
  height: z.int(),
  hasAudio: z.boolean(),
});

/** Transcodes a video into files by presets, and into HLS in several bitrates. */
export const videoProcessing = defineJob({
  type: 'video-processing',
  arguments: z
    .strictObject({
      from: url,
      /** `.mp4` (H.264, AAC), `.webm` (VP9, Opus); of `audio` also `.m4a` and `.mp3`. Nothing is enlarged. */
      outputs: z
        .array(z.strictObject({ to: url, preset }))
        .max(10)
        .default([]),
      hls: z
        .strictObject({
          /** A folder; `master.m3u8` in it is written last. */
          to: url,
          renditions: z.array(rendition).min(1).max(5).default(['720p', '480p', '360p']),
          segmentSeconds: z.int().min(1).max(20).default(6),
        })
        .optional(),
    })
    .refine(({ outputs, hls }) => outputs.length > 0 || hls !== undefined, {
      path: ['outputs'],
      message: 'must have an output, or hls be given',
    }),
  result: z.object({
    source: media,
    outputs: z.array(media.extend({ to: z.string(), bytes: z.int() })),
    hls: z.object({ master: z.string(), segments: z.int(), bytes: z.int() }).nullable(),
  }),
  timeoutMs: 6 * 3_600_000,
});

/** Takes pictures out of a video. */
export const videoThumbnails = defineJob({
  type: 'video-thumbnails',
  arguments: z
    .strictObject({
      from: url,
      /** Holds `{n}`, which is 1, 2, …, and ends with `.jpg`, `.webp` or `.png`. */
      to: url.refine((text) => /\{n\}/.test(text) && /\.(jpe?g|webp|png)$/i.test(text.replace(/\?.*$/s, '')), {
        message: 'must hold {n} and end with .jpg, .webp or .png',
      }),
      width: z.int().min(16).max(7680).default(320),
      /** At these times; or so many, evenly. */
      at: z.array(seconds).min(1).max(200).optional(),
      count: z.int().min(1).max(200).optional(),
    })
    .refine(({ at, count }) => at === undefined || count === undefined, {
      path: ['at'],
      message: 'must not be given beside count',
    }),
  result: z.object({ source: media, images: z.array(z.object({ to: z.string(), at: z.number(), bytes: z.int() })) }),
  timeoutMs: 1_800_000,
});

const color = z.string().regex(/^#[0-9a-fA-F]{6}$/, 'must be a colour such as #ff8800');
const even = (most: number) => z.int().min(16).max(most).multipleOf(2);

const placed = {
  /** When it appears, in seconds of the composition. */
  start: seconds.default(0),
  /** Default: until its end, or that of the composition. */
  seconds: z.number().positive().max(86_400).optional(),
  fadeIn: seconds.default(0),
  fadeOut: seconds.default(0),
};

const box = {
  x: z.int().min(-8192).max(8192).default(0),
  y: z.int().min(-8192).max(8192).default(0),
  /** Default: all of the composition. */
  width: even(8192).optional(),
  height: even(8192).optional(),
  /** `cover` fills the box and cuts; `contain` fits into it. */
  fit: z.enum(['cover', 'contain']).default('cover'),
  opacity: z.number().min(0).max(1).default(1),
};

const layer = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('clip'),
    from: url,
    ...placed,
    ...box,
    /** Where in the clip to begin. */
    trimStart: seconds.default(0),
    /** 0 is silent. */
    volume: z.number().min(0).max(4).default(1),
  }),
  z.strictObject({ kind: z.literal('image'), from: url, ...placed, ...box }),
  z.strictObject({
    kind: z.literal('title'),
    text: z.string().min(1).max(500),
    ...placed,
    size: z.int().min(4).max(1000).default(48),
    color: color.default('#ffffff'),
    /** Behind the text. */
    background: color.optional(),
    place: z.enum(['center', 'top', 'bottom']).default('center'),
  }),
]);

/** Renders clips, images and titles on a timeline, later layers over earlier ones, with their sound. */
export const compositionRender = defineJob({
  type: 'composition-render',
  arguments: z.strictObject({
    to: url.regex(/\.mp4(\?.*)?$/is, 'must end with .mp4'),
    width: even(3840),
    height: even(3840),
    fps: z.int().min(1).max(60).default(30),
    seconds: z.number().positive().max(14_400),
    background: color.default('#000000'),
    layers: z.array(layer).max(50).default([]),
    audio: z
      .array(
        z.strictObject({
          from: url,
          ...placed,
          trimStart: seconds.default(0),
          volume: z.number().min(0).max(4).default(1),
          /** Becomes quiet while others are heard: music under a voice. */
          ducked: z.boolean().default(false),
        }),
      )
      .max(20)
      .default([]),
  }),
  result: media.extend({ to: z.string(), bytes: z.int() }),
  timeoutMs: 6 * 3_600_000,
});

export type ProcessingArguments = z.output<NonNullable<(typeof videoProcessing)['arguments']>>;
export type ProcessingResult = z.output<NonNullable<(typeof videoProcessing)['result']>>;
export type ThumbnailsArguments = z.output<NonNullable<(typeof videoThumbnails)['arguments']>>;
export type ThumbnailsResult = z.output<NonNullable<(typeof videoThumbnails)['result']>>;
export type Composition = z.output<NonNullable<(typeof compositionRender)['arguments']>>;
export type CompositionResult = z.output<NonNullable<(typeof compositionRender)['result']>>;
export type Layer = Composition['layers'][number];
export type Preset = z.output<typeof preset>;
export type Media = z.output<typeof media>;
