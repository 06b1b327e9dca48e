import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { KeyLimits } from '../../coordinator/http/core/key-limits';
import { Shares } from '../../coordinator/shares';
import { DEFAULT_ACCESS } from '../../coordinator/http/core/access';
import { UnsentAnswers } from '../../coordinator/http/core/unsent-answers';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { RawSocket } from '../support/raw-socket';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator({ access: { requestsPerKey: 10 } })));
afterAll(() => coordinator.stop());

const takeAll = (shares: Shares, key: string): number => {
  let taken = 0;
  for (; shares.whyNot(key, 1) === null; taken += 1) shares.add(key, 1);
  return taken;
};

describe('a total that keys share', () => {
  test('is never taken by those who came first: whoever has nothing finds something', () => {
    const shares = new Shares({ inAll: 2000, perKey: 200 });
    const taken = Array.from({ length: 20 }, (_none, index) => takeAll(shares, `key ${index}`));
    expect(taken.slice(0, 9)).toEqual(Array.from({ length: 9 }, () => 200));
    // Of what is left each takes half, so that there are places for seven more.
    expect(taken.slice(9, 17)).toEqual([100, 50, 25, 13, 6, 3, 2, 1]);
    expect(shares.total).toBe(2000);
    expect([shares.whyNot('key 0', 1), shares.whyNot('late', 1)]).toEqual(['key', 'all']);
    shares.add('key 0', -200);
    expect(takeAll(shares, 'late')).toBe(100);
    expect([shares.of('key 0'), shares.whyNot('late', 1)]).toEqual([0, 'key']);
  });

  test('is one for calls under way, one for those that wait and one for heartbeats that wait', () => {
    const limits = new KeyLimits({ ...DEFAULT_ACCESS, requestsPerKey: 2, parkedPollsPerKey: 2 });
    const park = (key: string, isHeartbeat = false) => limits.enter(key).park(isHeartbeat ? 'heartbeats' : 'parked');
    const codeOf = (work: () => void): unknown => {
      try {
        work();
        return null;
      } catch (error) {
        return (error as { code?: string }).code;
      }
    };
    // Ten keys have all of their shares but the last, which leaves one.
    const parked = Array.from({ length: 10 }, (_none, index) => [0, 1].map(() => codeOf(() => park(`key ${index}`))));
    expect(parked.flat().filter((code) => code === null)).toHaveLength(19);
    expect(codeOf(() => park('late'))).toBeNull();
    expect(codeOf(() => park('later'))).toBe('unavailable');
    expect(codeOf(() => park('key 0'))).toBe('rate_limited');
    expect(codeOf(() => park('later', true))).toBeNull();
  });
});

test('short answers are given to whoever left much unread; long ones are not', () => {
  const unsent = new UnsentAnswers({ inAll: 150_000, perKey: 50_000 });
  const unread = { writableLength: 1 } as ServerResponse;
  for (const key of ['one', 'two']) unsent.written(unread, key, 50_000, () => undefined);
  expect(() => unsent.requireRoom('one', 20_000)).toThrow(expect.objectContaining({ code: 'rate_limited' }) as Error);
  expect(() => unsent.requireShare('one')).toThrow(expect.objectContaining({ code: 'rate_limited' }) as Error);
  expect(() => unsent.requireRoom('one', 1000)).not.toThrow();
  expect(() => unsent.requireShare('three')).not.toThrow();
  expect(() => unsent.requireRoom('three', 40_000)).not.toThrow();
  unsent.written(unread, 'three', 40_000, () => undefined);
  expect(() => unsent.requireRoom('four', 20_000)).toThrow(expect.objectContaining({ code: 'unavailable' }) as Error);
  unsent.sweep(Infinity);
});

describe('callers without a key', () => {
  test('who do not read what they asked for are refused more of it; probes and keys are answered', async () => {
    const { services } = coordinator.app;
    const perKey = 4 * 1024 * 1024;
    // Less than it is, so that the kernel's own buffers need not be filled so often.
    const unsent = (services.unsent = new UnsentAnswers({ inAll: 4 * perKey, perKey }));
    const ask = 'GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';
    const statusOf = async () => (await coordinator.api.as(null).get('/openapi.json')).status;
    const sockets = Array.from({ length: 10 }, () =>
      connect(Number(new URL(coordinator.url).port), '127.0.0.1')
        .pause()
        .on('error', () => undefined),
    );
    // Connections take up a few of them by themselves.
    for (let round = 0; round < 20 && (await statusOf()) === 200; round += 1)
      for (const socket of sockets) socket.write(ask.repeat(8));
    expect(await statusOf()).toBe(429);
    expect(unsent.bytes).toBeLessThanOrEqual(perKey);
    for (const path of ['/healthz', '/readyz'])
      expect([path, (await coordinator.api.as(null).get(path)).status]).toEqual([path, 200]);
    expectStatus(await coordinator.api.get('/jobs'), 200);
    for (const socket of sockets) socket.destroy();
    await eventually(() => unsent.bytes === 0);
  });

  test('have so many sign-ins under way from one address', async () => {
    const head = `POST /session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`;
    const sockets = await Promise.all(Array.from({ length: 15 }, () => RawSocket.open(coordinator.url)));
    for (const socket of sockets) socket.say(head);
    await eventually(() => sockets.filter(({ heard }) => heard.startsWith('HTTP/1.1 429')).length === 5);
    expectStatus(await coordinator.api.as(null).get('/readyz'), 200);
    for (const socket of sockets) socket.end();
  });

  test('share one look at the database when they ask whether it is there', async () => {
    const { db } = coordinator.app.context;
    const asked = jest.spyOn(db, 'query');
    try {
      await Promise.all(Array.from({ length: 100 }, () => coordinator.api.as(null).get('/readyz')));
      expect(asked.mock.calls.length).toBeLessThan(20);
    } finally {
      asked.mockRestore();
    }
  });

  test('are given documents that were written once', async () => {
    await coordinator.api.as(null).get('/openapi.json');
    const written = jest.spyOn(JSON, 'stringify');
    const answer = await fetch(`${coordinator.url}/openapi.json`);
    const lengths = written.mock.results.map(({ value }) => String(value).length);
    written.mockRestore();
    expect(Math.max(0, ...lengths)).toBeLessThan(10_000);
    expect(await answer.json()).toMatchObject({ openapi: '3.1.0', servers: [{ url: coordinator.url }] });
  });

  test('who try sessions one after the other seldom reach the database', async () => {
    const { keys } = coordinator.app.services;
    const looked = jest.spyOn(keys, 'callerOfSession');
    const statuses: number[] = [];
    for (let index = 0; index < 60; index += 1) {
      const { status } = await coordinator.api
        .as(null)
        .call('get', '/session', { headers: { cookie: `baton_session=guess-${index}` } });
      statuses.push(status);
    }
    const looks = looked.mock.calls.length;
    looked.mockRestore();
    expect(statuses.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => 401));
    expect(new Set(statuses.slice(20))).toEqual(new Set([429]));
    expect(looks).toBeLessThan(60);
  });
});

describe('OPTIONS', () => {
  const options = async (path: string) => {
    const socket = await RawSocket.open(coordinator.url);
    socket.say(`OPTIONS ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
    await eventually(() => socket.heard.includes('\r\n\r\n'));
    socket.end();
    return socket.heard;
  };

  test('tells the methods of a path, without a key', async () => {
    expect(await options('/jobs/1/events')).toMatch(/^HTTP\/1.1 204 [^]*\r\nAllow: GET, HEAD, OPTIONS\r\n/);
    expect(await options('/schedules')).toMatch(/\r\nAllow: POST, PUT, GET, HEAD, OPTIONS\r\n/);
    expect(await options('*')).toMatch(/\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n/);
    expect(await options('/nowhere')).toMatch(/^HTTP\/1.1 404 /);
  });

  test('with a body is answered, and the body is not waited for', async () => {
    const socket = await RawSocket.open(coordinator.url);
    socket.say('OPTIONS /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n');
    await socket.closed;
    expect(socket.heard).toMatch(/^HTTP\/1.1 204 [^]*\r\nConnection: close\r\n/);
  });
});
