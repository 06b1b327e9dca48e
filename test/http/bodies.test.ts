import { brotliCompressSync, gzipSync } from 'node:zlib';
import { BodyBudget } from '../../coordinator/http/body/body-budget';
import { Disconnect } from '../../coordinator/http/core/disconnect';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import { RawSocket } from '../support/raw-socket';

const MIB = 1024 * 1024;

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

const sent = (path: string, raw: string | Buffer, encoding?: string) =>
  coordinator.api.call<{ code?: string }>('post', path, {
    raw,
    ...(encoding === undefined ? {} : { headers: { 'content-encoding': encoding } }),
  });
const refusal = async (...args: Parameters<typeof sent>) => {
  const { status, body } = await sent(...args);
  return [status, body.code];
};
/** The head of a call whose body does not come. */
const head = (path: string, { key = '', length = 16 * MIB, more = '' }) =>
  `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${key === '' ? '' : `Authorization: Bearer ${key}\r\n`}` +
  `Content-Type: application/json\r\nContent-Length: ${length}\r\n${more}\r\n`;
const answerTo = async (text: string): Promise<string> => {
  const socket = await RawSocket.open(coordinator.url);
  socket.say(text);
  await eventually(() => /^HTTP[^]*\r\n\r\n/.test(socket.heard));
  socket.end();
  return socket.heard.slice(0, 12);
};

test('a call that anybody may make takes little, and nothing compressed', async () => {
  const login = JSON.stringify({ apiKey: 'x'.repeat(5000) });
  expect(await refusal('/session', login)).toEqual([413, 'payload_too_large']);
  expect(await refusal('/session', gzipSync('{}'), 'gzip')).toEqual([415, 'unsupported_media_type']);
  // Sent in pieces, without a length.
  const socket = await RawSocket.open(coordinator.url);
  const piece = 'x'.repeat(5000);
  socket.say(
    'POST /session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n' +
      `${piece.length.toString(16)}\r\n${piece}\r\n`,
  );
  await eventually(() => socket.heard.startsWith('HTTP/1.1 413'));
  socket.end();
});

test('who may not call is refused before the body was sent', async () => {
  expect(await answerTo(head('/jobs/bulk', {}))).toBe('HTTP/1.1 401');
  const viewer = await coordinator.api.makeKey({ name: 'v', role: 'viewer' });
  expect(await answerTo(head('/jobs/bulk', { key: viewer }))).toBe('HTTP/1.1 403');
  expect(await answerTo(head('/jobs/bulk', { more: 'Expect: 100-continue\r\n' }))).toBe('HTTP/1.1 401');
  expect(await answerTo(head('/jobs/bulk', { key: coordinator.adminKey, more: 'Expect: 100-continue\r\n' }))).toBe(
    'HTTP/1.1 100',
  );
  expect(await answerTo(head('/jobs/cancel', { key: coordinator.adminKey }))).toBe('HTTP/1.1 413');
});

test('each route has a limit of its own, which counts what a body inflates to', async () => {
  const filler = (bytes: number) => JSON.stringify({ type: uniqueType(), filler: 'a'.repeat(bytes) });
  for (const [path, bytes] of [
    ['/jobs', 2 * MIB],
    ['/jobs/cancel', MIB],
    ['/jobs/bulk', 17 * MIB],
  ] as const) {
    expect(await refusal(path, filler(bytes))).toEqual([413, 'payload_too_large']);
    expect(await refusal(path, gzipSync(filler(bytes)), 'gzip')).toEqual([413, 'payload_too_large']);
    expect(await refusal(path, brotliCompressSync(filler(bytes)), 'br')).toEqual([413, 'payload_too_large']);
  }
  // Members that inflate to nothing.
  const empty = gzipSync('');
  const members = Buffer.concat(Array.from({ length: Math.ceil(MIB / empty.length) }, () => empty));
  expect(await refusal('/jobs/cancel', members, 'gzip')).toEqual([413, 'payload_too_large']);
});

test('the largest arguments that may be are taken, written with escapes, and compressed or not', async () => {
  const escaped = `{"type":"${uniqueType()}","arguments":{"a":"${'\\u00e9'.repeat(131_000)}"},"metadata":{"b":"${'\\u00e9'.repeat(131_000)}"}}`;
  expect((await sent('/jobs', escaped)).status).toBe(201);
  expect((await sent('/jobs', gzipSync(escaped), 'gzip')).status).toBe(201);
});

test('bodies of one key that are under way take so much, the next waits unread, and others do not', async () => {
  const { bodies } = coordinator.app.services;
  const key = await coordinator.api.makeKey({ name: 'large', role: 'producer' });
  const sockets = await Promise.all(Array.from({ length: 3 }, () => RawSocket.open(coordinator.url)));
  for (const socket of sockets) socket.say(head('/jobs/bulk', { key }));
  await eventually(() => bodies.bytes === 32 * MIB && bodies.waiters === 1);
  const other = coordinator.api.as(await coordinator.api.makeKey({ name: 'other', role: 'producer' }));
  const job = { type: uniqueType(), arguments: { a: 'x'.repeat(100_000) } };
  expect((await other.post('/jobs', job)).status).toBe(201);
  sockets[0]?.end();
  await eventually(() => bodies.bytes === 32 * MIB && bodies.waiters === 0);
  for (const socket of sockets) socket.end();
  await eventually(() => bodies.bytes === 0);
});

test('the room for bodies is given to whom it fits, and a client that left does not wait for it', async () => {
  const budget = new BodyBudget({ inAll: 100_000, perKey: 60_000 });
  const first = await budget.take('a', 60_000, new Disconnect());
  const gone = new Disconnect();
  const left = budget.take('a', 30_000, gone);
  const same = budget.take('a', 50_000, new Disconnect());
  const other = await budget.take('b', 40_000, new Disconnect());
  expect([budget.bytes, budget.waiters]).toEqual([100_000, 2]);
  gone.abort();
  await expect(left).rejects.toMatchObject({ code: 'rate_limited' });
  first();
  first();
  (await same)();
  other();
  expect([budget.bytes, budget.waiters]).toEqual([0, 0]);
});

test('a call that waits keeps no more room than its body took, though it did not say how much that is', async () => {
  const { bodies, credentialWatch } = coordinator.app.services;
  const leaving = new AbortController();
  const waiting = coordinator.api
    .call('post', '/jobs/heartbeat', {
      raw: gzipSync(JSON.stringify({ runnerId: 'r', jobs: [], waitMs: 30_000 })),
      headers: { 'content-encoding': 'gzip' },
      signal: leaving.signal,
    })
    .catch(() => undefined);
  await eventually(() => credentialWatch.size > 0);
  expect(bodies.bytes).toBe(0);
  leaving.abort();
  await waiting;
});
