import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { Readable } from 'node:stream';
import { readSettings, Storage, storageSettings } from '@baton/runner-kit';
import { ACCESS_KEY, S3Server, SECRET_KEY } from './s3-server';

// The real SDK of AWS against a server that checks its signatures.

const server = new S3Server();
let storage: Storage;
const before = { ...process.env };

beforeAll(async () => {
  const env = { STORAGE_ROOTS: 's3://bucket/in', STORAGE_S3_ENDPOINT: await server.listen() };
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: ACCESS_KEY, AWS_SECRET_ACCESS_KEY: SECRET_KEY });
  storage = new Storage(readSettings(storageSettings, { env }), tmpdir());
});
beforeEach(() => {
  server.objects.clear();
  server.uploads.clear();
});
afterAll(() => {
  server.close();
  process.env = before;
});

async function collected(url: string): Promise<string[]> {
  const urls: string[] = [];
  for await (const listed of storage.list(url)) urls.push(listed.url);
  return urls;
}

it('writes, reads from anywhere, lists in pages, and deletes', async () => {
  const name = 's3://bucket/in/a b/50% & (more)+ü.txt';
  expect(await storage.write(name, 'hello')).toBe(5);
  expect((await storage.read(name, 100)).toString()).toBe('hello');
  const { body, bytes, version } = await storage.open(name, { start: 2 });
  expect([Buffer.concat(await body.toArray()).toString(), bytes]).toEqual(['llo', 5]);
  expect((await storage.stat(name))?.version).toBe(version);
  for (let index = 0; index < 5; index += 1) await storage.write(`s3://bucket/in/list/${index}`, 'x');
  server.pageSize = 2;
  expect(await collected('s3://bucket/in/list')).toEqual(
    [0, 1, 2, 3, 4].map((index) => `s3://bucket/in/list/${index}`),
  );
  expect(await storage.remove(name)).toBe(true);
  expect(await storage.remove(name)).toBe(false);
  expect(await storage.stat(name)).toBeNull();
});

it('writes a stream in parts, and leaves nothing of one that breaks', async () => {
  const content = randomBytes(20 * 1024 * 1024);
  const pieces = Array.from({ length: 20 }, (_, index) =>
    content.subarray(index * 1024 * 1024, (index + 1) * 1024 * 1024),
  );
  expect(await storage.write('s3://bucket/in/large', Readable.from(pieces))).toBe(content.length);
  expect(server.objects.get('bucket/in/large')?.content.equals(content)).toBe(true);
  async function* broken() {
    yield* pieces.slice(0, 12);
    throw new Error('cut');
  }
  await expect(storage.write('s3://bucket/in/broken', broken())).rejects.toThrow('cut');
  expect(server.objects.has('bucket/in/broken')).toBe(false);
  expect(server.uploads.size).toBe(0);
});

it('tells what is final from what is worth another try', async () => {
  await expect(storage.open('s3://bucket/in/none')).rejects.toMatchObject({ code: 'storage_not_found' });
  await expect(storage.open('s3://bucket/out/x')).rejects.toMatchObject({ code: 'storage_outside_roots' });
  await expect(storage.open('s3://other/in/x')).rejects.toMatchObject({ code: 'storage_outside_roots' });
  await expect(storage.open('s3://bucket/in/../x')).rejects.toMatchObject({ code: 'storage_bad_url' });
  server.faults.push({ method: 'GET', status: 403 });
  await expect(storage.open('s3://bucket/in/x')).rejects.toMatchObject({ code: 'storage_refused' });
  // The SDK itself tries three times.
  for (let tries = 0; tries < 3; tries += 1) server.faults.push({ method: 'GET', status: 503 });
  await expect(storage.open('s3://bucket/in/x')).rejects.not.toHaveProperty('code', 'storage_refused');
});
