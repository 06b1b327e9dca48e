import type { EventConnections } from '../../coordinator/http/streams/event-connections';
import { type Cluster, startCluster, startCoordinator, type TestCoordinator } from '../support/coordinator';
import { TestEventSource } from '../support/event-source';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import { RawSocket } from '../support/raw-socket';
import { type Opening, TestWebSocket } from '../support/web-socket';

const OTHER_PAGE = 'https://app.example.com';
const EVIL_PAGE = 'https://evil.example.com';

let cluster: Cluster;
let one: TestCoordinator;
let two: TestCoordinator;
const opened: TestWebSocket[] = [];

beforeAll(async () => {
  cluster = await startCluster(2, {
    access: { eventStreamsPerKey: 3, corsOrigins: [OTHER_PAGE], allowedHosts: ['127.0.0.1'] },
  });
  [one, two] = cluster.coordinators as [TestCoordinator, TestCoordinator];
});
afterEach(async () => {
  for (const { socket } of opened.splice(0)) socket.terminate();
  for (const { app } of cluster.coordinators) await eventually(() => placesTaken(app.services.eventConnections) === 0);
});
afterAll(() => cluster.stop());

function placesTaken(connections: EventConnections): number {
  return (connections as unknown as { shares: { total: number } }).shares.total;
}

async function listen(path: string, opening: Opening = {}, at = one): Promise<TestWebSocket> {
  const socket = await TestWebSocket.open(`${at.url}${path}`, { key: cluster.adminKey, ...opening });
  opened.push(socket);
  return socket;
}

const withKey = (key: string): Opening => ({
  key: undefined,
  subprotocols: ['baton.v1', `baton.key.${Buffer.from(key).toString('base64url')}`],
});

async function signIn(): Promise<string> {
  const answer = await one.api.as(null).post('/session', { apiKey: cluster.adminKey });
  return String(answer.headers['set-cookie']).split(';')[0] ?? '';
}

it('tells what a stream of server-sent events tells, in order, on any coordinator', async () => {
  const type = uniqueType();
  const [socket, source] = await Promise.all([
    listen(`/events?type=${type}`, {}, two),
    TestEventSource.open(`${two.url}/events?type=${type}`, cluster.adminKey),
  ]);
  const other = await one.api.create({ type: uniqueType() });
  await one.api.create({ type });
  await one.api.complete(await one.api.claimOne({ runnerId: 'r', types: [type] }));
  await eventually(() => socket.heard.length === 3 && source.events.length === 3);
  expect(socket.heard.map(([name]) => name)).toEqual(['job.created', 'job.claimed', 'job.completed']);
  expect(socket.frames.slice(1)).toEqual(source.frames.slice(1));
  expect(socket.frames[0]).toEqual({ id: expect.stringMatching(/^\d+$/) as string, event: 'ready', data: {} });
  expect(socket.socket.extensions).toBe('');
  source.close();
  const ofJob = await listen(`/jobs/${other.id}/events`);
  await one.api.post(`/jobs/${other.id}/cancel`, {});
  await eventually(() => ofJob.heard.length > 0);
  expect(ofJob.heard).toEqual([['job.cancelled', other.id]]);
});

it.each(['header', 'query'])('resumes by %s, and misses and repeats nothing', async (way) => {
  const type = uniqueType();
  const first = await listen(`/events?type=${type}`);
  const before = await one.api.create({ type });
  await eventually(() => first.heard.length === 1);
  first.socket.terminate();
  const between = [await one.api.create({ type }), await two.api.create({ type })];
  const last = first.frames.at(-1)?.id ?? '';
  const resumed =
    way === 'header'
      ? await listen(`/events?type=${type}`, { headers: { 'last-event-id': last } }, two)
      : await listen(`/events?type=${type}&lastEventId=${last}`, {}, two);
  const after = await one.api.create({ type });
  await eventually(() => resumed.heard.length >= 3);
  expect([...first.heard, ...resumed.heard].map(([, id]) => id)).toEqual(
    [before, ...between, after].map(({ id }) => id),
  );
});

it('keeps to what a key may hear', async () => {
  const ann = await one.api.makeKey({ name: 'ann', role: 'user', userId: 'ann' });
  const type = uniqueType();
  const socket = await listen(`/events?type=${type}`, { key: ann });
  const theirs = await one.api.create({ type, userId: 'bob' });
  const mine = await one.api.create({ type, userId: 'ann' });
  await eventually(() => socket.heard.length > 0);
  expect(socket.heard).toEqual([['job.created', mine.id]]);
  const runner = await one.api.makeKey({ name: 'runner', role: 'runner' });
  const refusal = async (path: string, opening: Opening) => {
    const { status, code } = await TestWebSocket.refused(`${one.url}${path}`, opening);
    return [status, code];
  };
  expect(await refusal(`/jobs/${theirs.id}/events`, { key: ann })).toEqual([404, 'not_found']);
  expect(await refusal('/events?userId=bob', { key: ann })).toEqual([403, 'forbidden']);
  expect(await refusal('/events', { key: runner })).toEqual([403, 'forbidden']);
  expect(await refusal('/events', {})).toEqual([401, 'unauthenticated']);
  expect(await refusal('/events', { key: 'wrong' })).toEqual([401, 'unauthenticated']);
  expect(await refusal('/events', withKey('wrong'))).toEqual([401, 'unauthenticated']);
  expect(await refusal('/events?nonsense=1', { key: ann })).toEqual([400, 'validation_failed']);
  expect(await refusal('/jobs', { key: ann })).toEqual([404, 'not_found']);
  expect(await refusal('/events', { key: ann, headers: { host: 'rebound.example.com' } })).toEqual([
    403,
    'host_not_allowed',
  ]);
});

it('takes the cookie from its own pages alone', async () => {
  const cookie = await signIn();
  const from = (origin: string) => ({ key: undefined, headers: { cookie, origin } });
  await listen('/events', from(one.url));
  for (const opening of [from(EVIL_PAGE), from(OTHER_PAGE), { headers: { cookie } }]) {
    expect(await TestWebSocket.refused(`${one.url}/events`, opening)).toMatchObject({
      status: 403,
      code: 'origin_not_allowed',
    });
  }
});

it('takes a key as a subprotocol, from pages that may call, and does not send it back', async () => {
  const socket = await listen('/events', withKey(cluster.adminKey));
  expect(socket.socket.protocol).toBe('baton.v1');
  await listen('/events', { ...withKey(cluster.adminKey), headers: { origin: OTHER_PAGE } });
  const evil = { ...withKey(cluster.adminKey), headers: { origin: EVIL_PAGE } };
  expect((await TestWebSocket.refused(`${one.url}/events`, evil)).code).toBe('origin_not_allowed');
});

it('counts both kinds of streams against the share of a key, and gives places back', async () => {
  const source = await TestEventSource.open(`${one.url}/events`, cluster.adminKey);
  const [first] = [await listen('/events'), await listen('/events')];
  expect(await TestWebSocket.refused(`${one.url}/events`, { key: cluster.adminKey })).toMatchObject({ status: 429 });
  expect(await one.api.refusal('get', '/events')).toEqual([429, 'rate_limited']);
  source.close();
  first.socket.close();
  await eventually(() => placesTaken(one.app.services.eventConnections) === 1);
});

it('is cut when its key is revoked, while others are kept alive', async () => {
  const { body } = await one.api.post<{ id: string; key: string }>('/api-keys', { name: 'short', role: 'viewer' });
  const socket = await listen('/events', { key: body.key });
  const kept = await listen('/events');
  await one.api.delete(`/api-keys/${body.id}`);
  await eventually(() => socket.closed !== null);
  expect(socket.closed?.[0]).toBe(1008);
  (one.app.services.eventConnections as unknown as { beat(): void }).beat();
  await eventually(() => kept.pings === 1);
});

it('closes on clients that talk, by how much they say', async () => {
  const [brief, talkative, flooding] = [await listen('/events'), await listen('/events'), await listen('/events')];
  brief.socket.send('ping');
  talkative.socket.send('x'.repeat(17));
  flooding.socket.send('x'.repeat(5000));
  await eventually(() => talkative.closed !== null && flooding.closed !== null);
  expect([talkative.closed?.[0], flooding.closed?.[0], brief.closed]).toEqual([1008, 1009, null]);
});

it('lets go of one that does not read', async () => {
  const type = uniqueType();
  const lazy = await listen(`/events?type=${type}`);
  lazy.socket.pause();
  const { id } = await one.api.create({ type });
  const { leaseToken } = await one.api.claimOne({ runnerId: 'r', types: [type], leaseMs: 600_000 });
  const logs = Array.from({ length: 200 }, () => ({ level: 'info', message: 'x'.repeat(8000) }));
  await eventually(
    async () => {
      await one.api.post(`/jobs/${id}/heartbeat`, { leaseToken, logs });
      return placesTaken(one.app.services.eventConnections) === 0;
    },
    Boolean,
    20_000,
  );
});

it('refuses what is no handshake, and answers other upgrades as if they were none', async () => {
  const ask = async (head: string[], until: RegExp) => {
    const raw = await RawSocket.open(one.url);
    raw.say(
      [...head, 'Host: 127.0.0.1', `Authorization: Bearer ${cluster.adminKey}`, '', '{"type":"h2c"}'].join('\r\n'),
    );
    await eventually(() => until.test(raw.heard));
    raw.end();
    return raw.heard;
  };
  const webSocket = ['Connection: Upgrade', 'Upgrade: websocket'];
  const handshake = [...webSocket, 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='];
  const noVersion = await ask(['GET /events HTTP/1.1', ...handshake], /"code"/);
  expect(noVersion).toMatch(/^HTTP\/1\.1 400 [^]*Sec-WebSocket-Version: 13\r\n[^]*"validation_failed"/);
  expect(await ask(['POST /events HTTP/1.1', ...handshake], /"code"/)).toMatch(/^HTTP\/1\.1 405 [^]*Allow: GET\r\n/);
  const body = ['Content-Type: application/json', 'Content-Length: 14'];
  expect(await ask(['GET /events HTTP/1.1', ...handshake, ...body], /"code"/)).toMatch(/^HTTP\/1\.1 400 /);
  const other = [
    'POST /jobs HTTP/1.1',
    'Connection: Upgrade, HTTP2-Settings',
    'Upgrade: h2c',
    'HTTP2-Settings: AA',
    ...body,
  ];
  expect(await ask(other, /"type":"h2c"/)).toMatch(/^HTTP\/1\.1 201 /);
});

it('is told to go elsewhere when the coordinator shuts down, and cut off when it does not go', async () => {
  const going = await startCoordinator();
  const opening = { key: going.adminKey };
  const [polite, deaf] = [
    await TestWebSocket.open(`${going.url}/events`, opening),
    await TestWebSocket.open(`${going.url}/events`, opening),
  ];
  deaf.socket.pause();
  await going.stop();
  await eventually(() => polite.closed !== null);
  expect(polite.closed).toEqual([1001, expect.stringContaining('lastEventId')]);
  deaf.socket.terminate();
});
