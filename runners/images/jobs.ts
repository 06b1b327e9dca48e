import { defineJob } from '@baton/runner-sdk';
import { z } from 'zod';

const pixels = z.int().min(1).max(16_384);
const format = z.enum(['webp', 'avif', 'jpeg', 'png']);
/** Of the formats that lose something; ignored by PNG. */
const quality = z.int().min(1).max(100);

const output = {
  /** A URL of the storage. */
  to: z.string().min(1),
  /** Default: as the name ends. */
  format: format.optional(),
  quality: quality.optional(),
};

const written = z.object({
  to: z.string(),
  format: z.string(),
  width: z.int(),
  height: z.int(),
  bytes: z.int(),
});

const original = z.object({ format: z.string(), width: z.int(), height: z.int(), bytes: z.int() });

/** Makes small pictures of one image. */
export const thumbnailGeneration = defineJob({
  type: 'thumbnail-generation',
  arguments: z.strictObject({
    /** A URL of the storage. */
    from: z.string().min(1),
    sizes: z
      .array(
        z.strictObject({
          ...output,
          width: pixels,
          height: pixels.optional(),
          /** What is kept where the shape is another: what draws the eye, the middle, or all of it. */
          crop: z.enum(['attention', 'center', 'none']).default('attention'),
        }),
      )
      .min(1)
      .max(20),
  }),
  result: z.object({ original, images: z.array(written) }),
  timeoutMs: 300_000,
});

const color = z.string().regex(/^#[0-9a-fA-F]{6}([0-9a-fA-F]{2})?$/, 'must be a colour such as #ff8800');

const step = z.discriminatedUnion('do', [
  z.strictObject({
    do: z.literal('resize'),
    width: pixels.optional(),
    height: pixels.optional(),
    /** `cover` fills both and cuts; `contain` fits and fills up; `inside` fits; `fill` distorts. */
    fit: z.enum(['cover', 'contain', 'inside', 'fill']).default('inside'),
    crop: z.enum(['attention', 'center']).default('attention'),
    background: color.default('#00000000'),
    /** Whether a small image may become larger. */
    enlarge: z.boolean().default(false),
  }),
  z.strictObject({ do: z.literal('cut'), left: z.int().min(0), top: z.int().min(0), width: pixels, height: pixels }),
  z.strictObject({ do: z.literal('rotate'), degrees: z.union([z.literal(90), z.literal(180), z.literal(270)]) }),
  z.strictObject({ do: z.literal('flip'), axis: z.enum(['horizontal', 'vertical']) }),
  z.strictObject({ do: z.literal('grayscale') }),
  z.strictObject({ do: z.literal('blur'), sigma: z.number().min(0.3).max(100) }),
  z.strictObject({ do: z.literal('sharpen') }),
  z.strictObject({ do: z.literal('flatten'), background: color.default('#ffffff') }),
  z.strictObject({
    do: z.literal('overlay'),
    /** An image of the storage, such as a watermark. */
    image: z.string().min(1),
    at: z.enum(['center', 'northwest', 'northeast', 'southwest', 'southeast']).default('southeast'),
  }),
]);

/** Changes an image, a step after the other, and writes it in one or more formats. */
export const imageProcessing = defineJob({
  type: 'image-processing',
  arguments: z.strictObject({
    from: z.string().min(1),
    steps: z.array(step).max(20).default([]),
    outputs: z.array(z.strictObject(output)).min(1).max(10),
  }),
  result: z.object({ original, images: z.array(written) }),
  timeoutMs: 300_000,
});

export type ThumbnailArguments = z.output<NonNullable<(typeof thumbnailGeneration)['arguments']>>;
export type ImageArguments = z.output<NonNullable<(typeof imageProcessing)['arguments']>>;
export type ImageResult = z.output<NonNullable<(typeof imageProcessing)['result']>>;
export type Step = z.output<typeof step>;
export type Format = z.output<typeof format>;
export type Output = ImageArguments['outputs'][number];
