import type { Job } from '@baton/runner-sdk/protocol';
import { randomUUID } from 'node:crypto';
import { startCoordinator } from '../support/coordinator';
import { uniqueType } from '../support/factory';

// An idempotency key stands for a request, not for its text.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

const alone = async (key: string, text: string): Promise<number> =>
  (await coordinator.api.call('post', '/jobs', { raw: text, headers: { 'idempotency-key': key } })).status;
const inCall = async (key: string, text: string): Promise<number> =>
  (await coordinator.api.call('post', '/jobs/bulk', { raw: `{"jobs":[${text}]}`, headers: { 'idempotency-key': key } }))
    .status;
const inList = async (key: string, text: string): Promise<number> => {
  const raw = `{"atomic":false,"jobs":[${text.replace('{', `{"idempotencyKey":"${key}",`)}]}`;
  const { body } = await coordinator.api.call<{ jobs: (Job & { code?: string })[] }>('post', '/jobs/bulk', { raw });
  const [made] = body.jobs;
  if (made?.code !== undefined) return made.code === 'idempotency_conflict' ? 409 : 400;
  return 200;
};
const routes = { alone, 'as a call': inCall, 'in a list': inList };

const EQUAL: [string, string, string][] = [
  [
    'members in another order',
    '{"type":"T","arguments":{"a":1,"b":{"c":[{"x":1,"y":2}],"d":4}}}',
    '{"arguments":{"b":{"d":4,"c":[{"y":2,"x":1}]},"a":1},"type":"T"}',
  ],
  [
    'another spelling of a number',
    '{"type":"T","arguments":[1,100,0.5,0]}',
    '{"type":"T","arguments":[1.0,1e2,5e-1,-0]}',
  ],
  ['escapes', '{"type":"T","arguments":"ä/"}', '{"type":"\\u0054","arguments":"\\u00e4\\/"}'],
  [
    'the same time elsewhere',
    '{"type":"T","runAt":"2040-01-01T00:00:00Z","expiresAt":"2040-01-02T00:00:00.5Z"}',
    '{"type":"T","runAt":"2040-01-01T01:00:00.000+01:00","expiresAt":"2040-01-01T19:00:00.500000-05:00"}',
  ],
  [
    'defaults written out',
    '{"type":"T"}',
    '{"type":"T","queue":"default","priority":"normal","arguments":{},"maxAttempts":11,"timeoutMs":300000,"tags":[],"onConflict":"keep","delayMs":0,"retry":{"strategy":"exponential"}}',
  ],
  [
    'a policy in another order',
    '{"type":"T","retry":{"strategy":"fixed","baseMs":5}}',
    '{"type":"T","retry":{"jitter":1,"baseMs":5,"maxMs":3600000,"strategy":"fixed"}}',
  ],
  [
    'labels in another order',
    '{"type":"T","requires":{"a":1,"b":"x"}}',
    '{"type":"T","requires":{"b":"x","a":1.0},"prefers":{}}',
  ],
];
const OTHER: [string, string, string][] = [
  ['another order of a list', '{"type":"T","arguments":[1,2]}', '{"type":"T","arguments":[2,1]}'],
  ['text for a number', '{"type":"T","arguments":1}', '{"type":"T","arguments":"1"}'],
  [
    'another moment',
    '{"type":"T","runAt":"2040-01-01T00:00:00.000001Z"}',
    '{"type":"T","runAt":"2040-01-01T00:00:00.000002Z"}',
  ],
  ['another limit of tries', '{"type":"T"}', '{"type":"T","maxAttempts":12}'],
  ['another priority', '{"type":"T","priority":1}', '{"type":"T"}'],
  ['another member', '{"type":"T","arguments":{"a":null}}', '{"type":"T","arguments":{}}'],
  [
    'numbers that look alike when written in a row',
    '{"type":"T","priority":1,"maxAttempts":11}',
    '{"type":"T","priority":11,"maxAttempts":1}',
  ],
];

describe.each(Object.entries(routes))('%s', (_route, send) => {
  test.each(EQUAL)('%s is the same request', async (_name, first, again) => {
    const key = randomUUID();
    const [created, repeated] = [await send(key, first), await send(key, again)];
    expect([created, repeated]).toEqual([send === inList ? 200 : 201, 200]);
  });

  test.each(OTHER)('%s is another', async (_name, first, again) => {
    const key = randomUUID();
    await send(key, first);
    expect(await send(key, again)).toBe(409);
  });
});

test('a call and a job are never the same request', async () => {
  const key = randomUUID();
  await inCall(key, '{"type":"T"}');
  expect(await alone(key, '{"type":"T"}')).toBe(409);
});

test("a change of the queue's defaults in between is no conflict", async () => {
  const queue = uniqueType();
  const set = (defaults: object) => coordinator.api.call('put', `/queues/${queue}`, { json: { defaults } });
  for (const send of [alone, inCall]) {
    const [implied, written] = [randomUUID(), randomUUID()];
    await set({ maxAttempts: 3, retry: { strategy: 'fixed', baseMs: 1 } });
    await send(implied, `{"type":"T","queue":"${queue}"}`);
    await send(written, `{"type":"T","queue":"${queue}","maxAttempts":3}`);
    await set({ maxAttempts: 5, priority: 7 });
    expect(await send(implied, `{"type":"T","queue":"${queue}"}`)).toBe(200);
    expect(await send(written, `{"type":"T","queue":"${queue}","maxAttempts":3}`)).toBe(200);
    expect(await send(written, `{"type":"T","queue":"${queue}","maxAttempts":5}`)).toBe(409);
  }
});

test('a report that is sent again with its members in another order is the same report', async () => {
  const type = uniqueType();
  await coordinator.api.create({ type });
  const { id, leaseToken } = await coordinator.api.claimOne({ runnerId: 'r', types: [type] });
  const report = (result: string) =>
    coordinator.api.call('post', `/jobs/${id}/complete`, {
      raw: `{"leaseToken":"${leaseToken}","outcome":"completed","result":${result}}`,
    });
  expect((await report('{"a":1,"b":[1,{"c":2,"d":3}]}')).status).toBe(200);
  expect((await report('{"b":[1.0,{"d":3,"c":2}],"a":1}')).status).toBe(200);
  expect((await report('{"b":[1,{"d":3,"c":2}],"a":2}')).status).toBe(409);
});
