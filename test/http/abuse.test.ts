import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import { RawSocket } from '../support/raw-socket';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => {
  coordinator = await startCoordinator({
    access: { parkedPollsPerKey: 20, requestsPerKey: 10, socketsPerAddress: 150, socketsPerKey: 30 },
  });
});
afterAll(() => coordinator.stop());

const parkedCount = () => coordinator.app.services.dispatcher.size;
const openCount = () =>
  new Promise<number>((resolve, reject) =>
    coordinator.app.server.getConnections((error, count) => (error === null ? resolve(count) : reject(error))),
  );

describe('one key', () => {
  test('may park so many polls, and no more; other keys and calls are not slowed', async () => {
    const [greedy, other] = await Promise.all(
      ['greedy', 'other'].map(async (name) =>
        coordinator.api.as(await coordinator.api.makeKey({ name, role: 'runner' })),
      ),
    );
    if (greedy === undefined || other === undefined) throw new Error('two keys were wanted');
    const gone = new AbortController();
    const type = uniqueType();
    const poll = (runnerId: string) => ({ runnerId, types: [type], waitMs: 50_000 });
    const park = (index: number) =>
      greedy.post('/jobs/claim', poll(`r${index}`), { signal: gone.signal }).catch(() => undefined);
    const parked: ReturnType<typeof park>[] = [];
    // Ten at a time: until it is parked a poll is under way, and of those the key may have no more.
    for (const count of [10, 20]) {
      while (parked.length < count) parked.push(park(parked.length));
      await eventually(parkedCount, (seen) => seen === count);
    }
    const refused = await greedy.post('/jobs/claim', poll('one more'));
    expect([refused.status, refused.headers['retry-after']]).toEqual([429, '5']);
    expect(await greedy.claim({ runnerId: 'r', types: [type] })).toEqual([]);
    const waiting = other.claim(poll('other'));
    await eventually(parkedCount, (count) => count === 21);
    gone.abort();
    await Promise.all(parked);
    await eventually(parkedCount, (count) => count === 1);
    await coordinator.api.create({ type });
    expect(await waiting).toHaveLength(1);
    // The seats of those that went away are free again.
    const again = greedy.claim({ runnerId: 'r', types: [type], waitMs: 50_000 });
    await coordinator.api.create({ type });
    expect(await again).toHaveLength(1);
  });

  test('may have so many calls under way', async () => {
    const key = await coordinator.api.makeKey({ name: 'busy', role: 'producer' });
    const head = `POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`;
    const sockets = await Promise.all(Array.from({ length: 15 }, () => RawSocket.open(coordinator.url)));
    for (const socket of sockets) socket.say(head);
    // Only then: a look takes a seat too.
    await eventually(() => sockets.filter(({ heard }) => heard.startsWith('HTTP/1.1 429')).length === 5);
    const busy = coordinator.api.as(key);
    expect((await busy.get('/jobs')).status).toBe(429);
    expect((await coordinator.api.get('/jobs')).status).toBe(200);
    for (const socket of sockets) socket.end();
    await eventually(
      async () => (await busy.get('/jobs')).status,
      (status) => status === 200,
    );
  });
});

test('one key may hold so many connections, idle ones too; those of other keys are not counted as its own', async () => {
  const [held, next] = await Promise.all(
    ['held', 'next'].map(async (name) => coordinator.api.makeKey({ name, role: 'viewer' })),
  );
  const ask = (key = '') => `GET /session HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${key}\r\n\r\n`;
  const sockets = await Promise.all(Array.from({ length: 31 }, () => RawSocket.open(coordinator.url)));
  for (const socket of sockets) {
    socket.say(ask(held));
    await eventually(() => socket.heard !== '');
  }
  const statuses = sockets.map(({ heard }) => heard.slice(9, 12));
  expect(statuses).toEqual([...Array.from({ length: 30 }, () => '200'), '429']);
  // The one too many is closed, the others go on.
  await sockets[30]?.closed;
  const [first, second] = sockets;
  if (first === undefined || second === undefined) throw new Error('sockets were wanted');
  first.heard = second.heard = '';
  first.say(ask(held));
  await eventually(() => first.heard.startsWith('HTTP/1.1 200'));
  // A connection is its last caller's; and one that closed is nobody's.
  second.say(ask(next));
  await eventually(() => second.heard.startsWith('HTTP/1.1 200'));
  expect((await coordinator.api.as(held ?? null).get('/session')).status).toBe(200);
  for (const socket of sockets) socket.end();
  await Promise.all(sockets.map((socket) => socket.closed));
  await eventually(
    async () => (await coordinator.api.as(held ?? null).get('/session')).status,
    (status) => status === 200,
  );
});

describe('connections', () => {
  test('that dribble their headers, or stop in their body, are closed, and nobody waits for them', async () => {
    const before = await openCount();
    const sockets = await Promise.all(Array.from({ length: 100 }, () => RawSocket.open(coordinator.url)));
    const drip = setInterval(() => sockets.slice(0, 50).forEach((socket) => socket.say('X-A: b\r\n')), 500);
    for (const socket of sockets) socket.say('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n');
    expectStatus(await coordinator.api.get('/jobs'), 200);
    await Promise.all(sockets.map((socket) => socket.closed));
    clearInterval(drip);
    expect(await eventually(openCount, (count) => count <= before + 1)).toBeLessThanOrEqual(before + 1);
  }, 40_000);

  test('of one address beyond its share are closed at once', async () => {
    const sockets = await Promise.all(Array.from({ length: 170 }, () => RawSocket.open(coordinator.url)));
    await eventually(openCount, (count) => count <= 150);
    for (const socket of sockets) socket.end();
    await eventually(
      async () => (await coordinator.api.get('/healthz').catch(() => ({ status: 0 }))).status,
      (status) => status === 200,
    );
  });

  test('that say what is no HTTP are closed', async () => {
    for (const text of [
      '\u0000\u0001\u0002',
      'GET / HTTP/9.9\r\n\r\n',
      'GET /healthz HTTP/1.1\r\n\r\n',
      `GET /${'a'.repeat(40_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
      'POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ]) {
      const socket = await RawSocket.open(coordinator.url);
      socket.say(text);
      await socket.closed;
      expect(socket.heard).not.toMatch(/^HTTP\/1.1 2/);
    }
  });
});
