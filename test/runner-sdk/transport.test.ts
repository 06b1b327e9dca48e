import { getEventListeners } from 'node:events';
import { Transport } from '../../runner-sdk/transport/transport';
import { FakeCoordinator } from './fake-coordinator';

const CONNECTIONS = 64;

let coordinator: FakeCoordinator;
let transport: Transport;

beforeEach(async () => {
  coordinator = await FakeCoordinator.start();
  transport = new Transport({ urls: [`${coordinator.url}/below/it`], apiKey: 'key' });
});

afterEach(async () => {
  await transport.close();
  await coordinator.stop();
});

const call = (fields: { timeoutMs?: number; signal?: AbortSignal } = {}) =>
  transport.call({ method: 'POST', path: '/x', body: { a: 'ä' }, query: { b: [1, 2] }, budgetMs: 0, ...fields });

it('sends below the path of its URL, as JSON, with its key', async () => {
  const { status, body, failures } = await call();
  expect({ status, body, failures }).toEqual({ status: 200, body: {}, failures: 0 });
  expect(coordinator.requests).toMatchObject([
    {
      call: 'POST /below/it/x',
      body: { a: 'ä' },
      headers: { authorization: 'Bearer key', 'content-type': 'application/json' },
    },
  ]);
});

it('puts an answer of many pieces together, also where a piece ends within a character', async () => {
  const text = 'ä€😀'.repeat(60_000);
  coordinator.script('POST /below/it/x', { status: 200, body: { text } });
  expect((await call()).body).toEqual({ text });
});

it('ends a call in time that never got a connection', async () => {
  coordinator.script('POST /below/it/x', ...Array<'hang'>(CONNECTIONS).fill('hang'));
  const hanging = Promise.allSettled(Array.from({ length: CONNECTIONS }, () => call({ timeoutMs: 30_000 })));
  await coordinator.until('all connections in use', () => coordinator.requests.length === CONNECTIONS);
  await expect(call({ timeoutMs: 50 })).rejects.toMatchObject({
    code: 'unreachable',
    detail: expect.stringContaining('did not answer within 50 ms'),
  });
  await transport.close();
  expect((await hanging).map(({ status }) => status)).toEqual(Array(CONNECTIONS).fill('rejected'));
  expect(coordinator.requests).toHaveLength(CONNECTIONS);
});

it('a signal cuts all its calls off, and is listened to once', async () => {
  const control = new AbortController();
  coordinator.script('POST /below/it/x', 'pass', 'hang', 'hang');
  await call({ signal: control.signal });
  const cut = Promise.allSettled([call({ signal: control.signal }), call({ signal: control.signal })]);
  await coordinator.until('both calls', () => coordinator.requests.length === 3);
  const free = call();
  expect(getEventListeners(control.signal, 'abort')).toHaveLength(1);
  const reason = new Error('enough');
  control.abort(reason);
  expect(await cut).toEqual([
    { status: 'rejected', reason },
    { status: 'rejected', reason },
  ]);
  expect((await free).status).toBe(200);
  await expect(call({ signal: control.signal })).rejects.toBe(reason);
});

it("leaves a URL whose answers are not the coordinator's for the next one, and keeps that", async () => {
  const other = await FakeCoordinator.start();
  const two = new Transport({ urls: [`${other.url}/page`, coordinator.url], apiKey: 'key' });
  const claim = () =>
    two.call({ method: 'POST', path: '/jobs/claim', body: { max: 1 }, expects: 'jobs', budgetMs: 2000 });
  expect([(await claim()).body, (await claim()).body]).toEqual([
    { jobs: [], directives: {} },
    { jobs: [], directives: {} },
  ]);
  expect([other.requests.length, coordinator.requests.length]).toEqual([1, 2]);
  await two.close();
  await other.stop();
});
