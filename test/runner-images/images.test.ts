import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { readSettings, Storage, storageSettings, WorkFolders } from '@baton/runner-kit';
import { imageProcessing, thumbnailGeneration } from '@baton/runner-images/jobs';
import { runHandler, type RunHandlerOptions } from '@baton/runner-sdk/testing';
import sharp from 'sharp';
import { Images } from '../../runners/images/images';

let folder: string;
let work: WorkFolders;
let images: Images;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'baton-images-'));
  mkdirSync(join(folder, 'storage'));
  work = new WorkFolders(join(folder, 'work'));
  await work.open();
  const settings = readSettings(storageSettings, { env: { STORAGE_ROOTS: `file:${join(folder, 'storage')}` } });
  images = new Images(
    { storage: new Storage(settings, folder), work },
    { mostPixels: 2_000_000, mostBytes: 1_000_000 },
  );
});
afterEach(() => {
  work.close();
  rmSync(folder, { recursive: true, force: true });
});

const at = (name: string): string => join(folder, 'storage', name);
const thumbnails = (args: object, options?: RunHandlerOptions) =>
  runHandler(thumbnailGeneration, (given, job) => images.thumbnails(given, job), args, options);
const processed = (args: object) => runHandler(imageProcessing, (given, job) => images.process(given, job), args);

/** Blue, with a red square at its right end, whose camera was held sideways. */
async function photo(name = 'photo.jpg', orientation = 1): Promise<string> {
  const red = await sharp({ create: { width: 60, height: 60, channels: 3, background: '#ff0000' } })
    .png()
    .toBuffer();
  await sharp({ create: { width: 400, height: 200, channels: 3, background: '#0000ff' } })
    .composite([{ input: red, left: 320, top: 70 }])
    .withExif({ IFD0: { Artist: 'Somebody' }, IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '51/1 30/1 0/1' } })
    .withMetadata({ orientation })
    .toFile(at(name));
  return `file:${name}`;
}

async function colorAt(name: string, left: number, top: number): Promise<number[]> {
  const { data } = await sharp(at(name))
    .removeAlpha()
    .extract({ left, top, width: 1, height: 1 })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return [...data];
}

const isRed = ([red = 0, green = 0, blue = 0]: number[]): boolean => red > 200 && green < 60 && blue < 60;

/** A PNG that says how large it is, and holds almost nothing. */
function hugePng(width: number, height: number): Buffer {
  const chunk = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.writeUInt32BE(crc(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([1, 0, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(Buffer.alloc(1000))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function crc(data: Buffer): number {
  let value = 0xffffffff;
  for (const byte of data) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return (value ^ 0xffffffff) >>> 0;
}

describe('thumbnails', () => {
  it('have their sizes and formats, are cut around what draws the eye, and hold no metadata', async () => {
    const sizes = [
      { to: 'file:a.webp', width: 80, height: 80 },
      { to: 'file:b.avif', width: 80, height: 80, crop: 'center' },
      { to: 'file:c.png', width: 100 },
      { to: 'file:d', width: 100, height: 100, crop: 'none', format: 'jpeg', quality: 50 },
      { to: 'file:e.jpg', width: 5000 },
    ];
    const run = await thumbnails({ from: await photo(), sizes });
    expect(run.error).toBeNull();
    expect(run.result?.original).toMatchObject({ format: 'jpeg', width: 400, height: 200 });
    expect(run.result?.images.map(({ format, width, height }) => `${format} ${width} ${height}`)).toEqual([
      ...['webp 80 80', 'avif 80 80', 'png 100 50', 'jpeg 100 50', 'jpeg 400 200'],
    ]);
    // The red square stands at the right end of the picture: in the one it is there, in the other it is cut off.
    const hasRed = async (name: string): Promise<boolean> => {
      const { data } = await sharp(at(name)).removeAlpha().raw().toBuffer({ resolveWithObject: true });
      for (let index = 0; index < data.length; index += 3) if (isRed([...data.subarray(index, index + 3)])) return true;
      return false;
    };
    expect([await hasRed('a.webp'), await hasRed('b.avif')]).toEqual([true, false]);
    expect((await sharp(at('photo.jpg')).metadata()).exif?.includes('Somebody')).toBe(true);
    for (const name of ['a.webp', 'b.avif', 'c.png', 'd', 'e.jpg']) {
      const { exif, xmp, iptc } = await sharp(at(name)).metadata();
      expect([exif, xmp, iptc]).toEqual([undefined, undefined, undefined]);
      expect(readFileSync(at(name)).includes('Somebody')).toBe(false);
    }
    expect(run.progress.at(-1)?.percent).toBe(100);
    expect(readdirSync(join(folder, 'work')).flatMap((own) => readdirSync(join(folder, 'work', own)))).toEqual([
      'owner.json',
    ]);
  });

  it('stand as the camera was held', async () => {
    const run = await thumbnails({ from: await photo('turned.jpg', 6), sizes: [{ to: 'file:a.png', width: 200 }] });
    expect(run.result).toMatchObject({ original: { width: 200, height: 400 }, images: [{ width: 200, height: 400 }] });
    // A quarter to the right: what was at the right end is at the bottom.
    expect(isRed(await colorAt('a.png', 100, 350))).toBe(true);
  });
});

describe('an image', () => {
  it('is changed in the order of the steps', async () => {
    writeFileSync(
      at('mark.png'),
      await sharp({ create: { width: 900, height: 20, channels: 4, background: '#00ff00' } })
        .png()
        .toBuffer(),
    );
    const run = await processed({
      from: await photo(),
      steps: [
        { do: 'cut', left: 300, top: 50, width: 100, height: 100 },
        { do: 'flip', axis: 'horizontal' },
        { do: 'rotate', degrees: 90 },
        { do: 'resize', width: 200, height: 100, fit: 'contain', background: '#ffffff', enlarge: true },
        { do: 'overlay', image: 'file:mark.png', at: 'northwest' },
      ],
      outputs: [{ to: 'file:out.png' }, { to: 'file:out.webp', quality: 100 }],
    });
    expect(run.error).toBeNull();
    expect(run.result?.images).toMatchObject([
      { format: 'png', width: 200, height: 100 },
      { format: 'webp', width: 200, height: 100 },
    ]);
    expect(await colorAt('out.png', 5, 50)).toEqual([255, 255, 255]);
    expect(await colorAt('out.png', 100, 1)).toEqual([0, 255, 0]);
    expect(isRed(await colorAt('out.png', 100, 50))).toBe(true);
    const other = await processed({
      ...{ from: 'file:photo.jpg', outputs: [{ to: 'file:gray.png' }] },
      steps: [{ do: 'grayscale' }, { do: 'blur', sigma: 1 }, { do: 'sharpen' }, { do: 'flatten' }],
    });
    expect(other.error).toBeNull();
    const [red, green, blue] = await colorAt('gray.png', 10, 10);
    expect([red, green]).toEqual([green, blue]);
  });

  it.each([
    ['huge.png', () => hugePng(14_200, 14_200), 'images_too_large'],
    ['text.jpg', () => Buffer.from('no image'), 'images_bad_image'],
    ['a.svg', () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), 'images_bad_image'],
    ['cut.jpg', () => readFileSync(at('photo.jpg')).subarray(0, 900), 'images_bad_image'],
    ['big.png', () => Buffer.alloc(1_000_001), 'storage_too_large'],
  ])('%s fails, and leaves nothing', async (name, content, code) => {
    await photo();
    writeFileSync(at(name), content());
    const run = await thumbnails({ from: `file:${name}`, sizes: [{ to: 'file:out.webp', width: 10 }] });
    expect(run.error).toMatchObject({ code, retryable: false });
    expect(existsSync(at('out.webp'))).toBe(false);
  });

  it('that steps would make too large fails too', async () => {
    const steps = [{ do: 'resize', width: 16_000, height: 16_000, fit: 'fill', enlarge: true }];
    const run = await processed({ from: await photo(), steps, outputs: [{ to: 'file:out.png' }] });
    expect(run.error).toMatchObject({ code: 'images_too_large' });
  });

  it.each([
    [{ to: 'file:out.txt', width: 10 }, 'images_unknown_format'],
    [{ to: 'file:../out.png', width: 10 }, 'storage_outside_roots'],
    [{ to: 'file:out.png' }, 'invalid_arguments'],
    [{ to: 'file:out.png', width: 20_000 }, 'invalid_arguments'],
  ])('to %j fails with %s', async (size, code) => {
    expect((await thumbnails({ from: await photo(), sizes: [size] })).error).toMatchObject({ code, retryable: false });
  });
});
