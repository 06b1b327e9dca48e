import { join } from 'node:path';
import type { Storage, WorkFolders } from '@baton/runner-kit';
import { type JobContext, NonRetryableError } from '@baton/runner-sdk';
import sharp, { type Sharp, type SharpOptions } from 'sharp';
import type { Format, ImageArguments, ImageResult, Output, Step, ThumbnailArguments } from './jobs';

const EXTENSIONS = new Map<string, Format>([
  ['webp', 'webp'],
  ['avif', 'avif'],
  ['jpg', 'jpeg'],
  ['jpeg', 'jpeg'],
  ['png', 'png'],
]);
/** What is decoded. SVG is left out: it can name other files, and loops that never end. */
const READ = ['jpeg', 'png', 'webp', 'gif', 'heif', 'tiff', 'avif'];
/** The longest that one picture may take; a decoder cannot be stopped from outside. */
const MOST_SECONDS = 120;

export interface Limits {
  mostPixels: number;
  mostBytes: number;
}

interface Source {
  path: string;
  original: ImageResult['original'];
}

/**
 * Reads images that anybody may have made. They are turned as their camera says, get the colours of the web, and keep
 * no metadata.
 */
export class Images {
  constructor(
    private readonly kit: { storage: Storage; work: WorkFolders },
    private readonly limits: Limits,
  ) {}

  thumbnails({ from, sizes }: ThumbnailArguments, job: JobContext): Promise<ImageResult> {
    return this.kit.work.with(async (folder) => {
      this.requireOutputs(sizes);
      const source = await this.open(from, folder, job);
      const images: ImageResult['images'] = [];
      for (const [index, size] of sizes.entries()) {
        const { width, height, crop } = size;
        const isCropped = crop !== 'none' && height !== undefined;
        const image = this.read(source.path)
          .autoOrient()
          .resize({
            ...{ width, height, fit: isCropped ? 'cover' : 'inside', withoutEnlargement: true },
            ...(isCropped && { position: crop === 'attention' ? sharp.strategy.attention : 'centre' }),
          });
        images.push(await this.write(image, size, folder, job));
        job.progress((100 * (index + 1)) / sizes.length);
      }
      return { original: source.original, images };
    });
  }

  process({ from, steps, outputs }: ImageArguments, job: JobContext): Promise<ImageResult> {
    return this.kit.work.with(async (folder) => {
      this.requireOutputs(outputs);
      const source = await this.open(from, folder, job);
      // Each step sees the picture that the one before has made; libvips would put them into an order of its own.
      let path = await this.turned(source.path, folder);
      for (const [index, step] of steps.entries()) {
        job.signal.throwIfAborted();
        path = await this.step(path, step, join(folder, `step-${index}`), job);
        job.progress((80 * (index + 1)) / steps.length, step.do);
      }
      const images: ImageResult['images'] = [];
      for (const output of outputs) images.push(await this.write(this.read(path), output, folder, job));
      return { original: source.original, images };
    });
  }

  private async open(url: string, folder: string, { signal }: JobContext): Promise<Source> {
    const path = join(folder, 'source');
    const bytes = await this.kit.storage.download(url, path, { signal, mostBytes: this.limits.mostBytes });
    const { format, autoOrient } = await this.read(path).metadata().catch(told);
    if (!READ.includes(format)) throw bad(`${format} is not read; ${READ.join(', ')} are`);
    const { width, height } = autoOrient;
    // Told before anything is decoded.
    if (width * height > this.limits.mostPixels) throw tooLarge(width, height, this.limits.mostPixels);
    return { path, original: { format, width, height, bytes } };
  }

  /** Only the first frame of what moves. */
  private read(path: string): Sharp {
    const options: SharpOptions = { limitInputPixels: this.limits.mostPixels, failOn: 'error', unlimited: false };
    return sharp(path, options).timeout({ seconds: MOST_SECONDS });
  }

  private async turned(path: string, folder: string): Promise<string> {
    const turned = join(folder, 'turned');
    await this.kept(this.read(path).autoOrient(), turned);
    return turned;
  }

  private async step(path: string, step: Step, to: string, job: JobContext): Promise<string> {
    if (step.do === 'overlay') {
      const overlay = `${to}-overlay`;
      await this.kit.storage.download(step.image, overlay, { signal: job.signal, mostBytes: this.limits.mostBytes });
      const fitted = await this.fitted(overlay, path);
      await this.kept(this.read(path).composite([{ input: fitted, gravity: step.at }]), to);
      return to;
    }
    if (step.do === 'resize') await this.requireSize(path, step);
    await this.kept(changed(this.read(path), step), to);
    return to;
  }

  /** Known before the pixels are made. */
  private async requireSize(
    path: string,
    { width, height }: { width?: number | undefined; height?: number | undefined },
  ): Promise<void> {
    const now = await this.read(path).metadata();
    const across = width ?? ((height ?? now.height) * now.width) / now.height;
    const down = height ?? (across * now.height) / now.width;
    if (across * down > this.limits.mostPixels && across * down > now.width * now.height)
      throw tooLarge(Math.round(across), Math.round(down), this.limits.mostPixels);
  }

  /** What is laid over a picture must not be larger. */
  private async fitted(overlay: string, picture: string): Promise<Buffer> {
    const { width, height } = await this.read(picture).metadata();
    const { format } = await this.read(overlay).metadata().catch(told);
    if (!READ.includes(format)) throw bad(`an overlay of ${format} is not read`);
    return this.read(overlay)
      .autoOrient()
      .resize({ width, height, fit: 'inside', withoutEnlargement: true })
      .png()
      .toBuffer()
      .catch(told);
  }

  /** Between two steps: nothing is lost, and little time is spent on size. */
  private async kept(image: Sharp, path: string): Promise<void> {
    const { width, height } = await image.png({ compressionLevel: 1 }).toFile(path).catch(told);
    if (width * height > this.limits.mostPixels) throw tooLarge(width, height, this.limits.mostPixels);
  }

  private async write(
    image: Sharp,
    output: Output,
    folder: string,
    { signal }: JobContext,
  ): Promise<ImageResult['images'][number]> {
    signal.throwIfAborted();
    const { to, quality } = output;
    const format = formatOf(output);
    const path = join(folder, `output.${format}`);
    // Other colours than those of the web would look wrong once their profile is gone.
    const { width, height } = await encoded(image.toColourspace('srgb'), format, quality).toFile(path).catch(told);
    const bytes = await this.kit.storage.upload(to, path, { signal, contentType: `image/${format}` });
    return { to, format, width, height, bytes };
  }

  private requireOutputs(outputs: readonly Output[]): void {
    for (const output of outputs) {
      this.kit.storage.requireWritable(output.to);
      formatOf(output);
    }
  }
}

function changed(image: Sharp, step: Exclude<Step, { do: 'overlay' }>): Sharp {
  switch (step.do) {
    case 'resize':
      return image.resize({
        ...{ width: step.width, height: step.height, fit: step.fit, background: step.background },
        ...{ withoutEnlargement: !step.enlarge },
        ...(step.fit === 'cover' && { position: step.crop === 'attention' ? sharp.strategy.attention : 'centre' }),
      });
    case 'cut':
      return image.extract({ left: step.left, top: step.top, width: step.width, height: step.height });
    case 'rotate':
      return image.rotate(step.degrees);
    case 'flip':
      return step.axis === 'vertical' ? image.flip() : image.flop();
    case 'grayscale':
      return image.grayscale();
    case 'blur':
      return image.blur(step.sigma);
    case 'sharpen':
      return image.sharpen();
    case 'flatten':
      return image.flatten({ background: step.background });
  }
}

function encoded(image: Sharp, format: Format, quality: number | undefined): Sharp {
  const options = quality === undefined ? {} : { quality };
  switch (format) {
    case 'webp':
      return image.webp(options);
    case 'avif':
      return image.avif(options);
    case 'jpeg':
      // JPEG has no transparency; black would be where there was none.
      return image.flatten({ background: '#ffffff' }).jpeg({ ...options, mozjpeg: true });
    case 'png':
      return image.png();
  }
}

/** @throws {NonRetryableError} `images_unknown_format` */
function formatOf({ to, format }: Output): Format {
  const name = /^https?:/i.test(to) ? to.replace(/[?#].*$/s, '') : to;
  const found = format ?? EXTENSIONS.get((/\.([a-z]+)$/i.exec(name)?.[1] ?? '').toLowerCase());
  if (found !== undefined) return found;
  throw new NonRetryableError(
    `the format is not told by the name: give format, or a name that ends with ${[...EXTENSIONS.keys()].join(', ')}`,
    { code: 'images_unknown_format' },
  );
}

/** What libvips says of a picture stays true; what the system says, such as a full disk, may not. */
function told(error: unknown): never {
  const { code, message } = error as { code?: unknown; message: string };
  if (typeof code === 'string' || /ENOSPC|no space|out of memory/i.test(message)) throw error;
  throw /pixel limit/i.test(message) ? new NonRetryableError(message, { code: 'images_too_large' }) : bad(message);
}

function tooLarge(width: number, height: number, most: number): NonRetryableError {
  return new NonRetryableError(
    `the image has ${width} x ${height} pixels, and ${most / 1_000_000} million are the most (IMAGES_MOST_MEGAPIXELS)`,
    { code: 'images_too_large' },
  );
}

function bad(fault: string): NonRetryableError {
  return new NonRetryableError(`the image cannot be used: ${fault}`, { code: 'images_bad_image' });
}
