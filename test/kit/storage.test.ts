import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { readSettings, Storage, storageSettings } from '@baton/runner-kit';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'baton-storage-'));
  for (const name of ['in', 'out']) mkdirSync(join(folder, name));
});
afterEach(() => rmSync(folder, { recursive: true }));

const storageOf = (env: Record<string, string>) =>
  new Storage(readSettings(storageSettings, { env }), join(folder, 'work'));
const both = () =>
  storageOf({ STORAGE_ROOTS: `file:${join(folder, 'out')}`, STORAGE_READ_ROOTS: `file://${join(folder, 'in')}` });
const text = async (storage: Storage, url: string) => (await storage.read(url, 1000)).toString();

describe('file:', () => {
  it('reads below every root, writes below the first, and lists with URLs that lead back', async () => {
    const storage = both();
    writeFileSync(join(folder, 'in', 'a.txt'), 'in');
    expect(await text(storage, 'file:a.txt')).toBe('in');
    expect(await storage.write('file:a.txt', 'out')).toBe(3);
    expect(await text(storage, 'file:a.txt')).toBe('out');
    expect(await text(storage, `file:${join(folder, 'in', 'a.txt')}`)).toBe('in');
    await storage.write('file:deep/er/50%25 & more#1.txt', Readable.from(['o', 'k']));
    const listed = [];
    for await (const { url, bytes } of storage.list('file:deep')) listed.push([url, bytes]);
    expect(listed).toEqual([['file:deep/er/50%25%20%26%20more%231.txt', 2]]);
    expect(await text(storage, String(listed[0]?.[0]))).toBe('ok');
    expect(await storage.remove('file:a.txt')).toBe(true);
    expect(await storage.remove('file:a.txt')).toBe(false);
  });

  it.each([
    'file:../in/a.txt',
    'file:%2e%2e/secret',
    'file:/etc/passwd',
    'file:///etc/passwd',
    'file:deep/../../secret',
    'file:.baton-parts/x',
    's3://bucket/key',
    'https://example.com/',
  ])('never leaves its roots: %s', async (url) => {
    const fault = { code: 'storage_outside_roots' };
    await expect(both().open(url)).rejects.toMatchObject(fault);
    await expect(both().write(url, 'x')).rejects.toMatchObject(fault);
  });

  it.each(['file:', 'file:a%00b', 'file:100%', 'file://host/x'])('says what is wrong with %s', async (url) => {
    await expect(both().open(url)).rejects.toMatchObject({ code: 'storage_bad_url' });
  });

  it('follows no symbolic link out of its root, neither of a file nor of a folder', async () => {
    const storage = both();
    writeFileSync(join(folder, 'secret'), 'x');
    symlinkSync(join(folder, 'secret'), join(folder, 'out', 'link'));
    symlinkSync(folder, join(folder, 'out', 'up'));
    for (const url of ['file:link', 'file:up/secret'])
      await expect(storage.open(url)).rejects.toMatchObject({ code: 'storage_refused' });
    await expect(storage.write('file:up/secret', 'y')).rejects.toMatchObject({ code: 'storage_refused' });
    expect(readFileSync(join(folder, 'secret'), 'utf8')).toBe('x');
    // A link in the place of the file is replaced, not followed.
    await storage.write('file:link', 'mine');
    expect(readFileSync(join(folder, 'secret'), 'utf8')).toBe('x');
    for await (const { name } of storage.list('file:.')) expect(name).not.toContain('up/');
  });

  it('has a file in full or not at all, and of two writers lets the later one win', async () => {
    const storage = both();
    await storage.write('file:a', 'old');
    async function* broken() {
      yield Buffer.from('half');
      throw new Error('cut');
    }
    await expect(storage.write('file:a', broken())).rejects.toThrow('cut');
    expect(await text(storage, 'file:a')).toBe('old');
    expect(readdirSync(join(folder, 'out', '.baton-parts'))).toEqual([]);
    let release = () => undefined as void;
    const released = new Promise<void>((resolve) => (release = resolve));
    async function* slow() {
      yield Buffer.from('late');
      await released;
    }
    const late = storage.write('file:a', slow()).then(
      () => 'written',
      (error: NodeJS.ErrnoException) => error.code,
    );
    while (readdirSync(join(folder, 'out', '.baton-parts')).length === 0) await new Promise(setImmediate);
    await storage.write('file:a', 'second');
    release();
    expect(await late).toBe('ENOENT');
    expect(await text(storage, 'file:a')).toBe('second');
  });

  it('says that there is nothing, and that a folder is no file', async () => {
    await expect(both().open('file:none')).rejects.toMatchObject({ code: 'storage_not_found' });
    mkdirSync(join(folder, 'out', 'dir'));
    await expect(storageOf({ STORAGE_ROOTS: `file:${join(folder, 'out')}` }).open('file:dir')).rejects.toMatchObject({
      code: 'storage_refused',
    });
  });
});

describe('http: and https:', () => {
  const files = new Map<string, Buffer>();
  let base: string;
  let hits: string[] = [];
  const server = createServer((request, response) => void answer(request, response));
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/files/`;
  });
  beforeEach(() => {
    files.clear();
    hits = [];
  });
  afterAll(() => server.close());

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { url = '', method, headers } = request;
    hits.push(`${method} ${url}`);
    if (url.startsWith('/files/to?')) {
      response.writeHead(302, { location: decodeURIComponent(url.slice('/files/to?'.length)) }).end();
    } else if (url === '/files/busy') response.writeHead(503, { 'retry-after': '7' }).end();
    else if (method === 'PUT') {
      const chunks: Buffer[] = [];
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
      files.set(url, Buffer.concat(chunks));
      response.writeHead(headers['content-length'] === undefined ? 411 : 201).end();
    } else {
      const file = files.get(url);
      const start = Number(/bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? 0);
      if (file === undefined) response.writeHead(404).end();
      else if (start > 0 && !url.endsWith('norange'))
        response.writeHead(206, { etag: '"1"' }).end(file.subarray(start));
      else response.writeHead(200, { etag: '"1"', 'content-length': file.length }).end(file);
    }
  }
  const storage = () => storageOf({ STORAGE_ROOTS: base });

  it('reads, from the middle too, and writes with a length that was not known before', async () => {
    const content = randomBytes(300_000);
    expect(await storage().write(`${base}a`, Readable.from([content.subarray(0, 5), content.subarray(5)]))).toBe(
      300_000,
    );
    expect(
      createHash('sha256')
        .update(files.get('/files/a') ?? '')
        .digest('hex'),
    ).toBe(createHash('sha256').update(content).digest('hex'));
    expect(existsSync(join(folder, 'work', 'uploads'))).toBe(true);
    expect(readdirSync(join(folder, 'work', 'uploads'))).toEqual([]);
    files.set('/files/norange', content);
    for (const name of ['a', 'norange']) {
      const { body, bytes, version } = await storage().open(`${base}${name}`, { start: 299_990 });
      expect([bytes === null || bytes === 300_000, version]).toEqual([true, '"1"']);
      expect(Buffer.concat(await body.toArray())).toEqual(content.subarray(299_990));
    }
    await expect(storage().read(`${base}a`, 1000)).rejects.toMatchObject({ code: 'storage_too_large' });
  });

  it('follows redirects below its roots and no others', async () => {
    files.set('/files/a', Buffer.from('x'));
    expect(await text(storage(), `${base}to?a`)).toBe('x');
    const elsewhere = base.replace('/files/', '/secret');
    await expect(storage().open(`${base}to?${elsewhere}`)).rejects.toMatchObject({ code: 'storage_outside_roots' });
    await expect(storage().open(`${base}to?to%3Fa`)).resolves.toMatchObject({ bytes: 1 });
    await expect(
      storage().open(`${base}to?${encodeURIComponent('/files/to?' + encodeURIComponent('x'))}`),
    ).rejects.toThrow();
    expect(hits).not.toContain('GET /secret');
  });

  it('tells final answers from those that are worth another try', async () => {
    await expect(storage().open(`${base}none`)).rejects.toMatchObject({ code: 'storage_not_found' });
    await expect(storage().open(`${base}busy`)).rejects.toMatchObject({ retryAfterMs: 7000 });
  });

  it.each([
    'https://127.0.0.1/x',
    'https://169.254.169.254/latest',
    'http://example.com/',
    'https://example.com:8443/',
  ])('with the root https: reads nothing inward: %s', async (url) => {
    const open = storageOf({ STORAGE_READ_ROOTS: 'https:' }).open(url);
    await expect(open).rejects.toMatchObject({ code: 'storage_bad_url' });
  });

  it('never shows the query of a URL, in which signatures stand', async () => {
    const open = storage().open('https://elsewhere.example/x?signature=secret');
    await expect(open).rejects.toThrow(/^"https:\/\/elsewhere\.example\/x" is below none/);
  });
});

it.each([
  ['ftp://x', 'begins with none of these'],
  ['s3:bucket', 'names no bucket'],
  ['https://u:p@x/', 'must have no user'],
  ['file:', 'names no folder'],
])('refuses the root %s', (root, fault) => {
  expect(() => readSettings(storageSettings, { env: { STORAGE_ROOTS: root } })).toThrow(fault);
});
