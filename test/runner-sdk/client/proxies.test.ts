import { createServer, request as forward, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { Client, ConfigurationError, Runner } from '@baton/runner-sdk';
import { connectionOf } from '../../../runner-sdk/transport/config';
import { FakeCoordinator, testLogger } from '../fake-coordinator';

const OWN = { coordinatorUrl: 'http://127.0.0.1:1', apiKey: 'key' };
const NAMES = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'] as const;

let coordinator: FakeCoordinator;
let proxy: Server;
let proxyUrl: string;
let tunnels: string[];
const sockets = new Set<Socket>();
const before = Object.fromEntries(NAMES.map((name) => [name, process.env[name]]));

beforeEach(async () => {
  coordinator = await FakeCoordinator.start();
  tunnels = [];
  // As squid does it: plain HTTP is forwarded, everything else is tunnelled.
  proxy = createServer((inner, answer) => {
    const headers = { ...inner.headers, via: '1.1 test' };
    const outer = forward(inner.url ?? '', { method: inner.method ?? 'GET', headers }, (reply) => {
      answer.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(answer);
    });
    outer.on('error', () => answer.destroy());
    inner.pipe(outer);
  });
  proxy.on('connect', (inner, socket: Socket) => {
    tunnels.push(inner.url ?? '');
    const [host = '', port = ''] = (inner.url ?? '').split(':');
    const outer = connect(Number(port), host, () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
    for (const one of [outer, socket])
      one.on('error', () => undefined).on('close', () => [outer, socket].map((s) => s.destroy()));
    outer.pipe(socket).pipe(outer);
  });
  proxy.on('connection', (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  proxyUrl = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  for (const name of NAMES) delete process.env[name];
});

afterEach(async () => {
  for (const name of NAMES)
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => proxy.close(resolve));
  await coordinator.stop();
});

const proxied = () => coordinator.requests.map(({ headers }) => headers.via !== undefined);

it('client, runner and heartbeats go through the proxy', async () => {
  process.env['HTTP_PROXY'] = proxyUrl;
  const options = { coordinatorUrl: coordinator.url, apiKey: 'key' };
  const client = new Client(options);
  await client.create('T');
  const runner = new Runner({ ...options, leaseMs: 1000, signals: false, logger: testLogger() });
  let finish = () => {};
  runner.handle('TEST', () => new Promise<void>((resolve) => (finish = resolve)));
  await runner.start();
  const job = coordinator.add({ leaseMs: 1000 });
  await coordinator.until('a heartbeat of the job', () =>
    coordinator.calls('POST /jobs/heartbeat').find(({ body }) => body.jobs.length > 0),
  );
  finish();
  await coordinator.report(job);
  await runner.stop();
  await client.close();
  expect(proxied()).not.toContain(false);
});

it.each(['127.0.0.1', '*', 'example.com, 127.0.0.1'])('NO_PROXY %s is called directly', async (noProxy) => {
  process.env['http_proxy'] = proxyUrl;
  process.env['NO_PROXY'] = noProxy;
  const client = new Client({ coordinatorUrl: coordinator.url, apiKey: 'key' });
  await client.create('T');
  await client.close();
  expect(proxied()).toEqual([false]);
});

it('proxy: false is called directly, and a host that NO_PROXY does not name is not', async () => {
  process.env['HTTP_PROXY'] = proxyUrl;
  process.env['NO_PROXY'] = 'example.com';
  for (const proxySetting of [false, undefined] as const) {
    const client = new Client({ coordinatorUrl: coordinator.url, apiKey: 'key', proxy: proxySetting });
    await client.create('T');
    await client.close();
  }
  expect(proxied()).toEqual([false, true]);
});

it('TLS is tunnelled through HTTPS_PROXY', async () => {
  process.env['HTTPS_PROXY'] = proxyUrl;
  const secure = coordinator.url.replace('http:', 'https:');
  const client = new Client({ coordinatorUrl: secure, apiKey: 'key', budgetMs: 0 });
  // The coordinator here speaks no TLS; the proxy has been asked for the way to it.
  await expect(client.stats()).rejects.toMatchObject({ code: 'unreachable' });
  await client.close();
  expect(tunnels).toEqual([new URL(secure).host]);
});

it.each([
  [
    { HTTP_PROXY: 'proxy.example.com:3128' },
    { httpProxy: 'http://proxy.example.com:3128', httpsProxy: '', noProxy: '' },
  ],
  [
    { http_proxy: 'http://a', HTTP_PROXY: 'http://b', no_proxy: 'c', NO_PROXY: 'd' },
    { httpProxy: 'http://a', httpsProxy: '', noProxy: 'c' },
  ],
  [{ HTTP_PROXY: '', NO_PROXY: '*' }, undefined],
])('reads %j', (environment, proxies) => {
  expect(connectionOf(OWN, environment).proxies).toEqual(proxies);
});

it('refuses what is no proxy', () => {
  expect(() => connectionOf(OWN, { HTTPS_PROXY: 'ftp://x' })).toThrow(ConfigurationError);
  expect(() => connectionOf(OWN, { HTTPS_PROXY: 'http://' })).toThrow('HTTPS_PROXY is not the URL of a proxy');
});
