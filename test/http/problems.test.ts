import { randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import type { JobList, Problem } from '@baton/runner-sdk/protocol';
import { BatonError, ERRORS } from '../../coordinator/errors';
import { ENDPOINTS } from '../../coordinator/http/server';
import type { Answer, Sent } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import { RawSocket } from '../support/raw-socket';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

function expectProblem(answer: Answer<Problem>, status: number, code: keyof typeof ERRORS): void {
  const { headers, body } = answer;
  expect({ status: answer.status, code: body.code }).toEqual({ status, code });
  expect(headers['content-type']).toBe('application/problem+json');
  expect(body).toMatchObject({
    type: `urn:baton:error:${code}`,
    title: ERRORS[code].title,
    status,
    detail: expect.any(String),
    requestId: headers['x-request-id'],
  });
  expect(JSON.stringify(body)).not.toMatch(/\bat .*\.[jt]s:\d|SELECT|INSERT|node_modules|zod/i);
}

test.each<[string, string, string, Sent, number, keyof typeof ERRORS]>([
  ['no such route', 'get', '/nope', {}, 404, 'not_found'],
  ['no such method', 'put', '/jobs', {}, 405, 'method_not_allowed'],
  [
    'a body where none belongs',
    'post',
    `/jobs/${randomUUID()}/retry`,
    { json: { arguments: {} } },
    400,
    'validation_failed',
  ],
  ['a body of a read', 'get', '/jobs', { json: { limit: 5 } }, 400, 'validation_failed'],
  ['a path that cannot be decoded', 'get', '/jobs/%ff', {}, 400, 'validation_failed'],
  ['an id that is none', 'get', '/jobs/42', {}, 400, 'validation_failed'],
  ['no such job', 'get', `/jobs/${randomUUID()}`, {}, 404, 'not_found'],
  ['an unknown query field', 'get', '/jobs?limt=5', {}, 400, 'validation_failed'],
  ['not JSON', 'post', '/jobs', { raw: '{"type":' }, 400, 'validation_failed'],
  ['JSON that is no object', 'post', '/jobs', { raw: '5' }, 400, 'validation_failed'],
  ['no body', 'post', '/jobs', {}, 400, 'validation_failed'],
  [
    'a form',
    'post',
    '/jobs',
    { raw: 'type=a', type: 'application/x-www-form-urlencoded' },
    415,
    'unsupported_media_type',
  ],
  ['no content type', 'post', '/jobs', { raw: '{}', type: '' }, 415, 'unsupported_media_type'],
  [
    'another charset',
    'post',
    '/jobs',
    { raw: '{}', type: 'application/json; charset=latin1' },
    415,
    'unsupported_media_type',
  ],
  [
    'an unknown encoding',
    'post',
    '/jobs',
    { raw: '{}', headers: { 'content-encoding': 'snappy' } },
    415,
    'unsupported_media_type',
  ],
  [
    'a broken encoding',
    'post',
    '/jobs',
    { raw: '{}', headers: { 'content-encoding': 'gzip' } },
    400,
    'validation_failed',
  ],
  [
    'a body over 16 MiB',
    'post',
    '/jobs',
    { raw: `{"type":"${'a'.repeat(17 * 1024 * 1024)}"}` },
    413,
    'payload_too_large',
  ],
  [
    'a bomb',
    'post',
    '/jobs',
    { raw: gzipSync('a'.repeat(40 * 1024 * 1024)), headers: { 'content-encoding': 'gzip' } },
    413,
    'payload_too_large',
  ],
  ['a body that is no UTF-8', 'post', '/jobs', { raw: Buffer.from([0x22, 0xff, 0x22]) }, 400, 'validation_failed'],
  [
    'a compressed body that is no UTF-8',
    'post',
    '/jobs',
    { raw: gzipSync(Buffer.from([0x22, 0xff, 0x22])), headers: { 'content-encoding': 'gzip' } },
    400,
    'validation_failed',
  ],
  [
    'a body of another JSON type that is no UTF-8',
    'post',
    '/jobs',
    { raw: Buffer.from([0x22, 0xff, 0x22]), type: 'application/x+json' },
    400,
    'validation_failed',
  ],
  [
    'UTF-16',
    'post',
    '/jobs',
    { raw: Buffer.from([0xff, 0xfe, 0x22, 0x00, 0xe9, 0x00]), type: 'application/json; charset=utf-16' },
    415,
    'unsupported_media_type',
  ],
  [
    'bad idempotency key',
    'post',
    '/jobs',
    { json: { type: 'a' }, headers: { 'idempotency-key': 'a b' } },
    400,
    'validation_failed',
  ],
])('%s is a problem', async (_name, method, path, sent, status, code) => {
  expectProblem(await coordinator.api.call<Problem>(method, path, sent), status, code);
});

// An empty query sends the same call through Express's router, which those without one do not need.
test.each<[string, string, Sent]>([
  ['get', '/healthz', {}],
  ['get', '/queues', {}],
  ['get', '/metrics', {}],
  ['post', '/jobs', { json: { type: 'same' }, headers: { 'idempotency-key': 'same' } }],
  ['post', '/jobs', { json: { type: '' } }],
  ['post', '/jobs', { raw: '\ufeff{"type":"same"}', headers: { 'idempotency-key': 'same' } }],
  ['post', '/jobs/claim', { json: { runnerId: 'same', types: ['none'] } }],
  ['get', '/openapi.json', {}],
])('%s %s is answered alike with and without the router', async (method, path, sent) => {
  const plain = ({ status, headers }: Answer<unknown>) => ({
    status,
    headers: Object.fromEntries(
      Object.entries(headers).filter(([name]) => !['date', 'x-request-id', 'content-length'].includes(name)),
    ),
  });
  await coordinator.api.call(method, path, sent);
  const [straight, routed] = [
    await coordinator.api.call(method, path, sent),
    await coordinator.api.call(method, `${path}?`, sent),
  ];
  expect(plain(straight)).toEqual(plain(routed));
  expect(straight.headers['content-security-policy']).toContain("default-src 'none'");
  expect(straight.headers['x-request-id']).toBeDefined();
});

test.each([
  ['another JSON type', 'application/vnd.baton+json'],
  ['a charset', 'application/json; charset=UTF-8'],
])('%s is taken', async (_name, type) => {
  expect(
    (await coordinator.api.call('post', '/jobs', { raw: JSON.stringify({ type: uniqueType() }), type })).status,
  ).toBe(201);
});

test('a compressed body is taken', async () => {
  const raw = gzipSync(JSON.stringify({ type: uniqueType() }));
  expect((await coordinator.api.call('post', '/jobs', { raw, headers: { 'content-encoding': 'gzip' } })).status).toBe(
    201,
  );
});

test('the first fault is told in words, all of them in errors', async () => {
  const { body } = await coordinator.api.post<Problem>('/jobs', {
    type: 'a b',
    priority: 1000,
    retry: { strategy: 'fixed', jitter: 5 },
    typo: 1,
  });
  expect(body.detail).toMatch(/^The body field \S+ (is|must) .+\.$/);
  expect(body.errors?.map(({ path }) => path).sort()).toEqual(['priority', 'retry.jitter', 'type', 'typo']);
});

describe('X-Request-Id', () => {
  test.each(['my-id', 'A_b.c:1-2', 'x'.repeat(128)])('%s is echoed', async (id) => {
    expect(
      (await coordinator.api.call('get', '/healthz', { headers: { 'x-request-id': id } })).headers['x-request-id'],
    ).toBe(id);
  });

  test.each(['', 'a b', 'x'.repeat(129), '<script>', 'ä'])('%s is not', async (id) => {
    const { headers } = await coordinator.api.call('get', '/healthz', {
      headers: { 'x-request-id': Buffer.from(id).toString('latin1') },
    });
    expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('stands on every problem', async () => {
    const answer = await coordinator.api.call<Problem>('get', '/nope', { headers: { 'x-request-id': 'mine' } });
    expect([answer.headers['x-request-id'], answer.body.requestId]).toEqual(['mine', 'mine']);
  });
});

test('a fault of ours tells nothing of the inside; the log line with its request id does', async () => {
  await coordinator.sql.query('ALTER TABLE job_logs RENAME TO gone');
  const { id } = await coordinator.api.create({ type: uniqueType() });
  const answer = await coordinator.api.get<Problem>(`/jobs/${id}/logs`);
  await coordinator.sql.query('ALTER TABLE gone RENAME TO job_logs');
  expectProblem(answer, 500, 'internal');
  expect(JSON.stringify(answer.body)).not.toContain('job_logs');
  expect(
    coordinator.logged.find(
      ({ level, meta }) => level === 'error' && JSON.stringify(meta).includes(answer.body.requestId),
    )?.meta,
  ).toMatchObject({ error: expect.stringContaining('job_logs') });
});

test('answers tell neither what serves them nor may be cached with a key inside', async () => {
  expect((await coordinator.api.get('/healthz')).headers['x-powered-by']).toBeUndefined();
  expect((await coordinator.api.post('/api-keys', { name: 'n', role: 'viewer' })).headers['cache-control']).toBe(
    'no-store',
  );
});

test('every error in the table has a status of its own kind and a remedy', () => {
  for (const [code, kind] of Object.entries(ERRORS)) {
    expect(kind).toMatchObject({
      status: expect.any(Number),
      title: expect.stringMatching(/^[A-Z]/),
      remedy: expect.stringMatching(/\.$/),
    });
    expect(new BatonError(code as keyof typeof ERRORS, 'detail').status).toBe(kind.status);
  }
});

test('every route with a body refuses one that is not an object', async () => {
  for (const { method, path, body, roles } of ENDPOINTS) {
    if (body === undefined || roles === 'public') continue;
    const target = path.replace(':id', randomUUID());
    for (const json of [5, 'text', [], null]) {
      const { status } = await coordinator.api.call(method, target, { json });
      expect([method, target, json, status]).toEqual([method, target, json, 400]);
    }
  }
});

test.each<[string, (head: string, json: string) => (string | Buffer)[]]>([
  ['with its head', (head, json) => [`${head}Content-Length: ${Buffer.byteLength(json)}\r\n\r\n${json}`]],
  ['after its head', (head, json) => [`${head}Content-Length: ${Buffer.byteLength(json)}\r\n\r\n`, json]],
  [
    'in pieces, one within a letter',
    (head, json) => [`${head}Content-Length: ${Buffer.byteLength(json)}\r\n\r\n`, ...cut(json)],
  ],
  [
    'in chunks',
    (head, json) => [
      `${head}Transfer-Encoding: chunked\r\n\r\n`,
      `${Buffer.byteLength(json).toString(16)}\r\n${json}\r\n0\r\n\r\n`,
    ],
  ],
])('a body that comes %s is read, and so is what follows it on the connection', async (_name, said) => {
  const head = `POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${coordinator.adminKey}\r\nContent-Type: application/json\r\n`;
  const type = uniqueType();
  const socket = await RawSocket.open(coordinator.url);
  for (const round of [1, 2]) {
    for (const piece of said(head, JSON.stringify({ type, arguments: { name: 'Ä' } }))) {
      socket.say(piece);
      // By then what was said before has been taken in.
      await coordinator.api.get('/healthz');
    }
    await eventually(() => socket.heard.split('HTTP/1.1 201').length === round + 1);
  }
  socket.end();
  const { body } = await coordinator.api.get<JobList>(`/jobs?type=${type}`);
  expect(body.items.map((job) => job.arguments)).toEqual([{ name: 'Ä' }, { name: 'Ä' }]);
});

/** After the first byte of the letter that has two. */
function cut(json: string): Buffer[] {
  const bytes = Buffer.from(json);
  const at = bytes.indexOf(Buffer.from('Ä')) + 1;
  return [bytes.subarray(0, at), bytes.subarray(at)];
}

test('a claim that waited is answered under the name that its caller gave it', async () => {
  const type = uniqueType();
  const before = coordinator.app.services.dispatcher.size;
  const answer = coordinator.api.call('post', '/jobs/claim', {
    json: { runnerId: 'named', types: [type], waitMs: 20_000 },
    headers: { 'x-request-id': 'waited' },
  });
  await eventually(() => coordinator.app.services.dispatcher.size === before + 1);
  await coordinator.api.create({ type });
  const { status, headers } = await answer;
  expect([status, headers['x-request-id']]).toEqual([200, 'waited']);
});
