import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import {
  checkedConnector,
  isPublic,
  mayConnect,
  readAllowed,
  UnreachableAddress,
  type UrlPolicy,
} from '@baton/url-policy';
import type { Sent } from '../../coordinator/domain/webhooks/schedule';
import { Sender } from '../../coordinator/domain/webhooks/sender';
import { receiverFault } from '../../coordinator/domain/webhooks/settings';
import { eventually } from '../support/eventually';
import { Receiver, status } from '../support/receiver';

// No webhook leads inward. The sink listens where nothing may arrive, and counts connections for itself.

let sink: Receiver;
let sink6: Receiver | null;
let good: Receiver;
const senders: Sender[] = [];
beforeAll(async () => {
  sink = await Receiver.open(undefined, '0.0.0.0');
  sink6 = await Receiver.open(undefined, '::1').catch(() => null);
  good = await Receiver.open(undefined, '127.0.0.2');
});
afterEach(async () => {
  await Promise.all(senders.splice(0).map((sender) => sender.close()));
});
afterAll(async () => {
  for (const receiver of [sink, sink6, good]) await receiver?.close();
});

/** Strict about addresses alone: schemes and ports keep nothing out. */
function reach(allowed: string[] = []): UrlPolicy {
  const ports = [80, 443, sink.port, good.port, ...(sink6 === null ? [] : [sink6.port])];
  return { ...readAllowed(allowed), isHttpAllowed: true, ports };
}

type Answers = (hostname: string) => string[];

function send(
  url: string,
  {
    answers = () => [],
    allowed = [],
    timeoutMs = 2000,
  }: { answers?: Answers; allowed?: string[]; timeoutMs?: number } = {},
): Promise<Sent | null> {
  const resolve = (hostname: string) =>
    Promise.resolve(answers(hostname).map((address) => ({ address, family: address.includes(':') ? 6 : 4 })));
  const sender = new Sender(reach(allowed), timeoutMs, resolve);
  senders.push(sender);
  return sender.send({ url, headers: { 'content-type': 'application/json' }, body: '{}' });
}

const INWARD = [
  // Loopback, and other ways to write it: decimal, octal, hexadecimal, short, mixed.
  '127.0.0.1',
  '127.1',
  '127.0.1',
  '127.255.255.254',
  '2130706433',
  '0x7f000001',
  '0x7f.0.0.1',
  '0177.0.0.1',
  '0177.0x0.1',
  '017700000001',
  '127.0.0.1.',
  '127.000.000.001',
  '①②⑦.⓪.⓪.①',
  'localhost',
  'LOCALHOST',
  'localhost.',
  'a.localhost',
  'a.b.localhost.',
  'x.localdomain',
  'printer.local',
  'metadata.google.internal',
  'router.home.arpa',
  // This host, private, shared, link-local, benchmark, documentation, multicast, reserved, broadcast.
  '0.0.0.0',
  '0',
  '0.1.2.3',
  '10.0.0.1',
  '10.255.255.255',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.0.1',
  '192.168.255.255',
  '100.64.0.1',
  '100.127.255.255',
  '169.254.169.254',
  '169.254.170.2',
  '0xa9fea9fe',
  '2852039166',
  '192.0.0.1',
  '192.0.2.1',
  '198.18.0.1',
  '198.19.255.255',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255',
  '192.88.99.1',
  // IPv6: loopback, unspecified, mapped, compatible, translated, tunnelled, local, site, multicast, discard,
  // documentation.
  '[::1]',
  '[::]',
  '[0:0:0:0:0:0:0:1]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[::ffff:a9fe:a9fe]',
  '[::ffff:10.0.0.1]',
  '[::127.0.0.1]',
  '[::7f00:1]',
  '[64:ff9b::127.0.0.1]',
  '[64:ff9b::a9fe:a9fe]',
  '[64:ff9b:1::a00:1]',
  '[::ffff:0:127.0.0.1]',
  '[2002:7f00:1::]',
  '[2002:a9fe:a9fe::1]',
  '[2001:0:7f00:1::]',
  '[fe80::1]',
  '[febf::1]',
  '[fc00::1]',
  '[fd00:ec2::254]',
  '[fec0::1]',
  '[ff02::1]',
  '[ff0e::1]',
  '[100::1]',
  '[2001:db8::1]',
  '[5f00::1]',
  '[4000::1]',
  '[::8.8.8.8]',
];

describe('addresses of the inside', () => {
  test(`there are ${INWARD.length} ways to write them here, and the sink can be reached`, async () => {
    expect(INWARD.length).toBeGreaterThanOrEqual(60);
    const before = sink.connections;
    expect(await send(`http://127.0.0.1:${sink.port}/`, { allowed: ['127.0.0.1'] })).toMatchObject({
      status: 204,
      error: null,
    });
    expect(sink.connections).toBe(before + 1);
  });

  test.each(INWARD)('%s is refused, and nothing connects', async (host) => {
    const before = sink.connections + (sink6?.connections ?? 0);
    for (const port of [sink.port, sink6?.port ?? sink.port]) {
      const url = `http://${host}:${port}/`;
      expect([host, receiverFault(url, reach())]).toEqual([host, expect.stringMatching(/must not lead to/)]);
      expect(await send(url, { answers: () => ['127.0.0.1', '::1'] })).toMatchObject({
        status: null,
        error: expect.stringContaining('not sent') as string,
      });
    }
    expect(sink.connections + (sink6?.connections ?? 0)).toBe(before);
  });

  test.each(
    INWARD.filter((host) => host.startsWith('[') || /^\d+(\.\d+){3}$/.test(host)).map((host) =>
      host.replace(/[[\]]/g, ''),
    ),
  )('a name that leads to %s is not connected to', async (address) => {
    const before = sink.connections + (sink6?.connections ?? 0);
    expect(await send(`http://hook.example.com:${sink.port}/`, { answers: () => [address] })).toMatchObject({
      status: null,
      error: 'not sent: the host leads to an address that webhooks may not reach',
    });
    expect(sink.connections + (sink6?.connections ?? 0)).toBe(before);
  });

  test('public ones are not refused', () => {
    for (const address of [
      '8.8.8.8',
      '1.1.1.1',
      '100.63.255.255',
      '100.128.0.1',
      '172.15.0.1',
      '172.32.0.1',
      '169.253.1.1',
      '223.255.255.255',
      '2606:4700::1111',
      '2a00:1450:4001:80b::200e',
      '::ffff:8.8.8.8',
    ]) {
      expect([address, isPublic(address)]).toEqual([address, true]);
    }
    expect(receiverFault('https://hooks.example.com/path?token=1', reach())).toBeNull();
  });
});

test('a connection to an address of the inside is refused by itself, whatever let its URL pass', async () => {
  const before = sink.connections;
  const connect = checkedConnector(reach(), 1000);
  for (const hostname of ['127.0.0.1', '[::ffff:127.0.0.1]']) {
    const error = await new Promise((resolve) =>
      connect({ hostname, protocol: 'http:', port: String(sink.port) }, (...[refused]) => resolve(refused)),
    );
    expect(error).toBeInstanceOf(UnreachableAddress);
  }
  expect(sink.connections).toBe(before);
});

describe('URLs', () => {
  const strict: UrlPolicy = {
    ...readAllowed(['hooks.corp', '10.1.0.0/16', 'fd00::/8']),
    isHttpAllowed: false,
    ports: [443, 8443],
  };

  test.each([
    ['http://hooks.example.com/', /https.*BATON_WEBHOOK_HTTP/],
    ['https://hooks.example.com:22/', /ports 443, 8443.*BATON_WEBHOOK_PORTS/],
    ['https://hooks.example.com:80/', /ports/],
    ['https://user:pass@hooks.example.com/', /user name or password/],
    ['https://user@hooks.example.com/', /user name or password/],
    ['https://hooks.example.com@127.0.0.1/', /user name/],
    ['ftp://hooks.example.com/', /https/],
    ['file:///etc/passwd', /https/],
    ['gopher://127.0.0.1:6379/_FLUSHALL', /https/],
    ['javascript:alert(1)', /https/],
    ['https://10.2.0.1/', /must not lead to 10.2.0.1.*BATON_WEBHOOK_ALLOW/],
    ['https://', /not a URL/],
    ['https://[::1', /not a URL/],
    ['https://256.1.1.1/', /not a URL/],
  ])('%s is refused, and it says why', (url, message) => {
    expect(receiverFault(url, strict)).toMatch(message);
  });

  test.each([
    'http://hooks.corp:9000/x',
    'http://HOOKS.corp./',
    'http://10.1.2.3:81/',
    'http://[fd00::7]:3000/',
    'https://hooks.example.com:8443/',
  ])('%s is allowed by the settings', (url) => {
    expect(receiverFault(url, strict)).toBeNull();
  });

  test('what the settings allow they allow alone', () => {
    expect([
      mayConnect('hooks.corp', '10.9.9.9', strict),
      mayConnect('a.hooks.corp', '10.9.9.9', strict),
      mayConnect('other.example', '10.1.9.9', strict),
    ]).toEqual([true, false, true]);
    expect([
      mayConnect('x.example', '::ffff:10.1.0.1', strict),
      mayConnect('x.example', '::ffff:10.2.0.1', strict),
      mayConnect('x.example', 'rubbish', strict),
    ]).toEqual([true, false, false]);
    for (const part of [
      '10.0.0.0/99',
      '10.0.0/8',
      'a b',
      '*',
      '*.corp',
      'https://hooks.corp',
      'hooks.corp:80',
      '1.2.3',
      '0x7f.1',
    ])
      expect(() => readAllowed([part])).toThrow(part);
  });
});

describe('names', () => {
  const url = () => `http://hook.example.com:${good.port}/`;

  test('are resolved once for each connection, which goes to what was checked', async () => {
    const told = [['127.0.0.2'], ['127.0.0.1']];
    let asked = 0;
    const before = sink.connections;
    const answers = () => told[asked++] ?? ['127.0.0.1'];
    expect(await send(url(), { answers, allowed: ['127.0.0.2'] })).toMatchObject({ status: 204 });
    expect(asked).toBe(1);
    expect(
      await send(url().replace(String(good.port), String(sink.port)), { answers, allowed: ['127.0.0.2'] }),
    ).toMatchObject({ status: null, error: expect.stringContaining('may not reach') as string });
    expect([asked, sink.connections]).toEqual([2, before]);
  });

  test('that lead inward with any of their addresses are refused', async () => {
    const before = good.connections;
    for (const answer of [
      ['127.0.0.2', '127.0.0.1'],
      ['127.0.0.1', '127.0.0.2'],
      ['127.0.0.2', '::1'],
    ]) {
      expect(await send(url(), { answers: () => answer, allowed: ['127.0.0.2'] })).toMatchObject({
        error: expect.stringContaining('may not reach') as string,
      });
    }
    expect(good.connections).toBe(before);
  });

  test('that have no address are told as such', async () => {
    expect(await send(url())).toMatchObject({ status: null, error: 'the host name is unknown' });
  });

  test('are what certificates are checked against', async () => {
    const pem = (name: string) => readFileSync(join(__dirname, '..', 'http', 'tls', name));
    const server: Server = createTlsServer(
      { cert: pem('localhost-cert.pem'), key: pem('localhost-key.pem') },
      (_request, response) => response.writeHead(204).end(),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.2', resolve));
    const { port } = server.address() as AddressInfo;
    expect(await send(`https://127.0.0.2:${port}/`, { allowed: ['127.0.0.2'] })).toMatchObject({
      status: null,
      error: expect.stringContaining('could not be secured') as string,
    });
    await new Promise((resolve) => server.close(resolve));
  });
});

describe('receivers', () => {
  const local = () => ({ answers: () => ['127.0.0.2'], allowed: ['127.0.0.2'] });
  const url = () => `http://hook.example.com:${good.port}/`;
  afterEach(() => (good.behaviour = status(204)));

  test('that redirect inward are not followed', async () => {
    const before = sink.connections;
    for (const code of [301, 302, 303, 307, 308]) {
      good.behaviour = status(code, { location: `http://127.0.0.1:${sink.port}/` });
      expect(await send(url(), { ...local(), allowed: ['127.0.0.0/8'] })).toMatchObject({
        status: code,
        error: `it answered ${code}; redirects are not followed`,
      });
    }
    expect(sink.connections).toBe(before);
  });

  test('that never answer are left', async () => {
    good.behaviour = () => undefined;
    expect(await send(url(), { ...local(), timeoutMs: 150 })).toMatchObject({
      status: null,
      error: 'there was no answer within 150 ms',
    });
  });

  test('that answer without end are believed, and cut off', async () => {
    let isClosed = false;
    let written = 0;
    const write = (response: ServerResponse): boolean => {
      written += 10_000;
      return response.write('x'.repeat(10_000));
    };
    good.behaviour = (response) => {
      response.writeHead(200);
      response.on('close', () => (isClosed = true));
      const more = (): void => {
        while (!isClosed && write(response));
        if (!isClosed) response.once('drain', more);
      };
      more();
    };
    expect(await send(url(), local())).toMatchObject({ status: 200, error: null });
    await eventually(() => isClosed);
    // What stood in the buffers between the two.
    expect(written).toBeLessThan(30_000_000);
  });

  test('that drip are believed by their status, and cut off in time', async () => {
    good.behaviour = (response) => void response.writeHead(503).write('x');
    expect(await send(url(), { ...local(), timeoutMs: 300 })).toMatchObject({ status: 503, error: 'it answered 503' });
  });

  test('that send headers without end are left', async () => {
    good.behaviour = (response) => response.socket?.write(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`);
    expect(await send(url(), local())).toMatchObject({
      status: null,
      error: 'the headers of the answer are too large',
    });
  });
});
