import { readFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { readSettings, Storage, storageSettings } from '@baton/runner-kit';
import { contentGeneration, httpRequest, socialPost, transcription } from '@baton/runner-http/jobs';
import { runHandler } from '@baton/runner-sdk/testing';
import { readAllowed } from '@baton/url-policy';
import { HttpCaller } from '../../runners/http/request';
import { Secrets } from '../../runners/http/secrets';
import { httpSettings, isSecret, readSecrets } from '../../runners/http/settings';
import { readTemplates, requestOf } from '../../runners/http/templates';

interface Call {
  method: string;
  url: string;
  headers: IncomingMessage['headers'];
  body: string;
}

const TOKEN = 'sk-"very"/secret';
let folder: string;
let base: string;
let calls: Call[] = [];
let answer: (call: Call, response: ServerResponse) => void;
const server = createServer((request, response) => void serve(request, response));
const KEY = TOKEN;

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = '';
  for await (const chunk of request as AsyncIterable<Buffer>) body += chunk.toString();
  const call = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body };
  calls.push(call);
  answer(call, response);
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'baton-http-'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  calls = [];
  answer = (_call, response) => response.writeHead(200, { 'content-type': 'text/plain' }).end('fine');
});

function callerOf(allow: string[] = ['127.0.0.1']): HttpCaller {
  return new HttpCaller({
    policy: { ...readAllowed(allow), isHttpAllowed: false, ports: [443] },
    secrets: new Secrets(new Map([['API', { value: KEY, hosts: ['127.0.0.1'] }]])),
    storage: new Storage(readSettings(storageSettings, { env: { STORAGE_ROOTS: `file:${folder}` } }), folder),
    ...{ mostBodyBytes: 1000, mostBytes: 5_000_000 },
  });
}

const call = (args: object, options = {}) =>
  runHandler(httpRequest, (given, job) => callerOf().call(given, job), args, options);
const failed = async (args: object) => {
  const { error } = await call(args);
  return [error?.code, error?.retryable ?? true, error?.retryAfterMs] as const;
};

describe('a request', () => {
  it('sends what the job says, and brings the answer into the result', async () => {
    answer = (_sent, response) =>
      response
        .writeHead(201, { 'content-type': 'application/json', 'x-id': '7', 'set-cookie': 'session=1' })
        .end('{"data":{"items":[{"id":"a/b"}]},"nul":"\\u0000"}');
    const { result, error } = await call(
      {
        ...{ method: 'POST', url: `${base}/things?x=1`, query: { y: 'a b', z: 2 }, json: { name: 'Ada' } },
        ...{ headers: { 'X-Own': 'yes' }, pick: { id: '/data/items/0/id', none: '/no/such', nul: '/nul' } },
      },
      { id: 'job-1' },
    );
    expect(error).toBeNull();
    expect(calls[0]).toMatchObject({ method: 'POST', url: '/things?x=1&y=a+b&z=2', body: '{"name":"Ada"}' });
    expect(calls[0]?.headers).toMatchObject({
      ...{ 'content-type': 'application/json', 'x-own': 'yes', 'idempotency-key': 'job-1' },
    });
    expect(result).toMatchObject({
      ...{ status: 201, url: `${base}/things`, picked: { id: 'a/b', none: null, nul: '\ufffd' }, redirects: 0 },
      ...{ encoding: 'utf8', truncated: false, savedTo: null, bytes: 48 },
    });
    expect(result?.headers).toMatchObject({ 'x-id': '7' });
    expect(result?.headers).not.toHaveProperty('set-cookie');
  });

  it('keeps the beginning of a long answer, bytes in base64, and decompresses', async () => {
    answer = ({ url }, response) => {
      if (url === '/long') response.end('ä'.repeat(2000));
      else if (url === '/gzip') response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('unzipped'));
      else response.end(Buffer.from([0xff, 0xfe, 0]));
    };
    const long = await call({ url: `${base}/long` });
    expect(long.result).toMatchObject({ body: 'ä'.repeat(500), truncated: true, bytes: 4000 });
    expect((await call({ url: `${base}/gzip` })).result).toMatchObject({ body: 'unzipped', bytes: 8 });
    expect((await call({ url: `${base}/bytes` })).result).toMatchObject({ body: '//4A', encoding: 'base64' });
  });

  it('takes its body from the storage and saves the answer there, in full', async () => {
    writeFileSync(join(folder, 'in.bin'), 'from the storage');
    answer = (_sent, response) => response.end('x'.repeat(100_000));
    const { result } = await call({ method: 'PUT', url: base, bodyFrom: 'file:in.bin', saveTo: 'file:out/a.txt' });
    expect(calls[0]).toMatchObject({ body: 'from the storage', headers: { 'content-length': '16' } });
    expect(result).toMatchObject({ savedTo: 'file:out/a.txt', body: null, bytes: 100_000 });
    expect(readFileSync(join(folder, 'out', 'a.txt'), 'utf8')).toHaveLength(100_000);
  });

  it('gives up an answer that has no end, and one that is a bomb', async () => {
    answer = (_sent, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(50_000_000)));
    expect(await failed({ url: base, saveTo: 'file:bomb' })).toEqual(['http_answer_too_large', false, undefined]);
    answer = (_sent, response) => void response.writeHead(200).write('never ends');
    expect(await failed({ url: base, timeoutMs: 100 })).toEqual(['http_timeout', true, undefined]);
  });
});

describe('what an answer means for the job', () => {
  it.each([
    [200, 'completed', true],
    [404, 'http_refused', false],
    [418, 'http_refused', false],
    [429, 'http_status', true],
    [500, 'http_status', true],
    [503, 'http_status', true],
  ])('%i', async (status, outcome, retryable) => {
    answer = (_sent, response) => response.writeHead(status).end('because');
    const { result, error } = await call({ url: base });
    expect([result === null ? error?.code : 'completed', error?.retryable ?? true]).toEqual([outcome, retryable]);
    if (result === null) expect(error?.message).toBe(`GET ${base}/ answered ${status}: because`);
  });

  it('is what the job says instead', async () => {
    answer = (_sent, response) => response.writeHead(404).end();
    expect((await call({ url: base, success: [404] })).result).toMatchObject({ status: 404 });
    expect(await failed({ url: base, retryOn: [404] })).toEqual(['http_status', true, undefined]);
  });

  it('waits as Retry-After says, in seconds or as a date of the server', async () => {
    answer = (_sent, response) => response.writeHead(429, { 'retry-after': '120' }).end();
    expect(await failed({ url: base })).toEqual(['http_status', true, 120_000]);
    const headers = { date: 'Tue, 01 Dec 2026 10:00:00 GMT', 'retry-after': 'Tue, 01 Dec 2026 10:01:30 GMT' };
    answer = (_sent, response) => response.writeHead(503, headers).end();
    expect(await failed({ url: base })).toEqual(['http_status', true, 90_000]);
  });

  it('is another try when the connection breaks', async () => {
    answer = (_sent, response) => response.destroy();
    expect(await failed({ url: base })).toEqual(['UND_ERR_SOCKET', true, undefined]);
  });
});

describe('secrets', () => {
  it('go where the request names them, and come back in nothing that is told', async () => {
    answer = ({ headers }, response) =>
      response.writeHead(200, { echo: headers.authorization }).end(JSON.stringify({ said: headers.authorization }));
    const { result } = await call({
      ...{ method: 'POST', url: base, headers: { authorization: 'Bearer {{secret.API}}' } },
      ...{ query: { key: '{{ secret.API }}' }, json: { deep: ['{{secret.API}}'] }, pick: { said: '/said' } },
    });
    expect(calls[0]).toMatchObject({
      ...{ body: JSON.stringify({ deep: [TOKEN] }), url: `/?${new URLSearchParams({ key: TOKEN }).toString()}` },
      headers: { authorization: `Bearer ${TOKEN}` },
    });
    expect(JSON.stringify(result)).not.toMatch(/very/);
    expect(result).toMatchObject({ picked: { said: 'Bearer [API]' }, headers: { echo: 'Bearer [API]' } });
    answer = ({ headers }, response) => response.writeHead(400).end(`bad ${headers.authorization}`);
    const refused = await call({ url: base, headers: { authorization: '{{secret.API}}' } });
    expect(refused.error?.message).toBe(`GET ${base}/ answered 400: bad [API]`);
  });

  it('go to no other host, whether the job names it or a redirect does', async () => {
    const other = base.replace('127.0.0.1', 'localhost');
    const caller = callerOf(['127.0.0.1', 'localhost']);
    const go = (args: object) => runHandler(httpRequest, (given, job) => caller.call(given, job), args);
    const secret = { headers: { authorization: 'Bearer {{secret.API}}', 'x-key': '{{secret.API}}', cookie: 'a=b' } };
    expect((await go({ url: other, ...secret })).error).toMatchObject({
      code: 'http_secret_not_for_host',
      retryable: false,
    });
    expect(calls).toEqual([]);
    answer = ({ url }, response) =>
      url === '/a' ? response.writeHead(302, { location: `${other}/b` }).end() : response.end('there');
    const { result } = await go({ url: `${base}/a`, redirects: 1, ...secret });
    expect(result).toMatchObject({ body: 'there', url: `${other}/b`, redirects: 1 });
    expect(calls[1]?.headers).not.toMatchObject({ authorization: expect.anything() });
    expect(Object.keys(calls[1]?.headers ?? {})).not.toEqual(expect.arrayContaining(['x-key']));
    expect(calls[1]?.headers.cookie).toBeUndefined();
  });

  it('that the runner has not are named', async () => {
    expect((await call({ url: base, headers: { a: '{{secret.NONE}}' } })).error?.message).toBe(
      'this runner has no secret NONE: set HTTP_REQUEST_SECRET_NONE',
    );
  });

  it('are read from the environment with their hosts', () => {
    const env = { HTTP_REQUEST_SECRET_A: 'x', HTTP_REQUEST_SECRET_HOSTS: 'A=a.example,A=b.example', HTTP_PROXY: 'x' };
    const settings = readSettings(httpSettings, { env, prefix: 'HTTP_REQUEST_', isOther: isSecret });
    expect(readSecrets(settings.HTTP_REQUEST_SECRET_HOSTS, env).get('A')).toEqual({
      value: 'x',
      hosts: ['a.example', 'b.example'],
    });
    expect(() => readSecrets([], env)).toThrow('HTTP_REQUEST_SECRET_A may be sent nowhere: name its hosts');
    expect(() => readSecrets(['B=b.example'], env)).toThrow('HTTP_REQUEST_SECRET_HOSTS names B, but');
    expect(() => readSecrets(['b.example'], env)).toThrow('must be NAME=host');
  });
});

describe('turning inward', () => {
  it.each([
    'http://169.254.169.254/latest/meta-data',
    'https://127.0.0.1/',
    'https://[::1]/',
    'https://metadata.internal/',
  ])('%s is refused before anything is sent', async (url) => {
    const run = await runHandler(httpRequest, (given, job) => callerOf([]).call(given, job), { url });
    expect(run.error).toMatchObject({ code: 'http_bad_url', retryable: false });
  });

  it('a redirect is judged as the first address is', async () => {
    answer = (_sent, response) => response.writeHead(302, { location: 'http://169.254.169.254/' }).end();
    expect(await failed({ url: base, redirects: 3 })).toEqual(['http_bad_url', false, undefined]);
    expect((await call({ url: base, success: [302] })).result).toMatchObject({ status: 302 });
  });

  it('a name that leads inward is refused when it is resolved', async () => {
    const caller = new HttpCaller({
      policy: { ...readAllowed([]), isHttpAllowed: true, ports: [80, 443] },
      ...{ secrets: new Secrets(new Map()), mostBodyBytes: 10, mostBytes: 10 },
      storage: new Storage(readSettings(storageSettings, { env: {} }), folder),
      resolve: () => Promise.resolve([{ address: '10.0.0.7', family: 4 }]),
    });
    const run = await runHandler(httpRequest, (given, job) => caller.call(given, job), { url: 'https://a.example/' });
    expect(run.error).toMatchObject({ code: 'http_bad_url', retryable: false });
  });
});

describe('configured types', () => {
  /** The configuration as it is shipped, sent to this server instead. */
  function configured(name: string, host: string) {
    const text = readFileSync(join(__dirname, '..', '..', 'runners', 'http', 'configurations', `${name}.json`), 'utf8');
    const path = join(folder, `${name}.json`);
    writeFileSync(path, text.replace(`https://${host}`, base).replace(/secret\.[A-Z]+/g, 'secret.API'));
    const [template] = readTemplates(path);
    if (template === undefined) throw new Error('no type');
    return template;
  }

  it('content-generation', async () => {
    answer = (_sent, response) =>
      response.end(
        JSON.stringify({ choices: [{ message: { content: 'Once {{upon}}' } }], usage: { total_tokens: 9 } }),
      );
    const template = configured('content-generation', 'api.openai.com');
    const { result, error } = await runHandler(
      contentGeneration,
      (args, job) => callerOf().call(requestOf(template, args), job),
      { model: 'gpt', prompt: 'Say "{{hello}}"\n' },
      { id: 'job-7' },
    );
    expect(error).toBeNull();
    expect(JSON.parse(calls[0]?.body ?? '')).toEqual({
      model: 'gpt',
      messages: [{ role: 'user', content: 'Say "{{hello}}"\n' }],
    });
    expect(calls[0]?.headers).toMatchObject({ authorization: `Bearer ${TOKEN}`, 'idempotency-key': 'job-7' });
    expect(result).toMatchObject({ picked: { text: 'Once {{upon}}', tokens: 9, finish: null }, body: null });
  });

  it('social-post', async () => {
    answer = (_sent, response) => response.end('{"id":"1","url":"https://mastodon.social/@ada/1"}');
    const template = configured('social-post', 'mastodon.social');
    const run = await runHandler(socialPost, (args, job) => callerOf().call(requestOf(template, args), job), {
      text: 'Hi',
    });
    expect(calls[0]?.url).toBe('/api/v1/statuses');
    expect(JSON.parse(calls[0]?.body ?? '')).toEqual({ status: 'Hi', visibility: 'public' });
    expect(run.result?.picked).toEqual({ id: '1', url: 'https://mastodon.social/@ada/1' });
  });

  it('transcription', async () => {
    writeFileSync(join(folder, 'talk.wav'), 'RIFF');
    answer = (_sent, response) =>
      response.end('{"metadata":{"duration":3.5},"results":{"channels":[{"alternatives":[{"transcript":"hello"}]}]}}');
    const template = configured('transcription', 'api.deepgram.com');
    const args = { source: 'file:talk.wav', saveTo: 'file:talk.json' };
    const run = await runHandler(transcription, (given, job) => callerOf().call(requestOf(template, given), job), args);
    expect(calls[0]).toMatchObject({ body: 'RIFF', url: '/v1/listen?language=en&smart_format=true' });
    expect(run.result).toMatchObject({ picked: { text: 'hello', seconds: 3.5 }, savedTo: 'file:talk.json' });
  });

  it('give a job no way to the secrets of the runner, nor out of its URL', async () => {
    const path = join(folder, 'own.json');
    const request = { url: `${base}/users/{{arguments.id}}`, headers: { 'x-name': 'user {{arguments.id}}' } };
    writeFileSync(path, JSON.stringify({ types: { own: { arguments: ['id'], request } } }));
    const [template] = readTemplates(path);
    if (template === undefined) throw new Error('no type');
    expect(requestOf(template, { id: '../admin?x' }).url).toBe(`${base}/users/..%2Fadmin%3Fx`);
    expect(() => requestOf(template, { id: '{{ secret.API}}' })).toThrow('must not name a secret');
    expect(() => requestOf(template, { id: 'a\nb' })).toThrow('headers.x-name');
    expect(() => requestOf(template, {})).toThrow('own needs the arguments id');
  });

  it.each([
    ['{', 'is not JSON'],
    ['{"types":{"a":{"arguments":[],"request":{"uri":"x"}}}}', 'types.a.request.uri is none of method, url'],
    [
      '{"types":{"a":{"arguments":[],"request":{"url":"{{arguments.b}}"}}}}',
      'uses {{arguments.b}}, which it does not list',
    ],
    ['{"type":{}}', 'types'],
  ])('that cannot be are refused at the start: %s', (text, fault) => {
    const path = join(folder, 'bad.json');
    writeFileSync(path, text);
    expect(() => readTemplates(path)).toThrow(fault);
  });
});
