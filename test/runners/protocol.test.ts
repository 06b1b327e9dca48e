import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PROTOCOL_VERSION } from '@baton/runner-sdk/protocol';
import { Runner } from '@baton/runner-sdk';
import { testLogger } from '../runner-sdk/fake-coordinator';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => {
  coordinator = await startCoordinator();
});
afterAll(() => coordinator.stop());

async function claim(runnerId: string, headers: Record<string, string>): Promise<Response> {
  return fetch(`${coordinator.url}/jobs/claim`, {
    method: 'POST',
    headers: { authorization: `Bearer ${coordinator.adminKey}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ runnerId, types: ['VERSIONED'] }),
  });
}

test('every answer says what the coordinator speaks, to runners and to others', async () => {
  for (const path of ['/healthz', '/nowhere']) {
    const answer = await fetch(coordinator.url + path);
    expect(answer.headers.get('baton-protocol')).toBe(String(PROTOCOL_VERSION));
  }
});

test('a runner outside of the versions is told what to do, and the list shows what the others speak', async () => {
  const refused = await claim('from-the-future', { 'baton-protocol': String(PROTOCOL_VERSION + 1) });
  expect(refused.status).toBe(400);
  expect(refused.headers.get('baton-protocol')).toBe(String(PROTOCOL_VERSION));
  expect(await refused.json()).toMatchObject({
    code: 'unsupported_protocol',
    detail: expect.stringContaining('Upgrade the coordinator') as unknown,
  });
  expect((await claim('says-one', { 'baton-protocol': '1' })).status).toBe(200);
  expect((await claim('says-nothing', {})).status).toBe(200);
  const { body } = await coordinator.api.get<{ items: { id: string; protocol: number }[] }>('/runners');
  expect(body.items.map(({ id, protocol }) => [id, protocol])).toEqual([
    ['says-nothing', 1],
    ['says-one', 1],
  ]);
});

test('the SDK sends its version with every call, and logs a refusal as what it is', async () => {
  const versions = new Set<unknown>();
  const server = createServer((request, response) => {
    versions.add(request.headers['baton-protocol']);
    request.resume();
    response
      .writeHead(400, { 'content-type': 'application/problem+json' })
      .end(JSON.stringify({ code: 'unsupported_protocol', detail: 'This coordinator speaks 7-9.' }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const logger = testLogger();
  const runner = new Runner({
    coordinatorUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    apiKey: 'key',
    signals: false,
    logger,
  });
  runner.handle('VERSIONED', () => null);
  try {
    await runner.start();
    const told = await eventually(
      () => logger.lines.find(({ level }) => level === 'error'),
      (entry) => entry !== undefined,
    );
    expect(told?.message).toContain('does not speak the protocol of this SDK');
    expect([...versions]).toEqual([String(PROTOCOL_VERSION)]);
  } finally {
    await runner.stop({ graceMs: 0 });
    server.close();
  }
});
