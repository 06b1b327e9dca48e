import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { randomUUID } from 'node:crypto';
import type { Problem } from '@baton/runner-sdk/protocol';
import { request } from 'undici';
import { ENDPOINTS } from '../../coordinator/http/server';
import { Contract, type Told } from '../support/contract';
import { type Cluster, startCluster } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { TestEventSource } from '../support/event-source';
import { jobIn, STATES, uniqueType } from '../support/factory';

const requestId = 'r-1';
const headers = { 'x-request-id': requestId, 'content-type': 'application/json; charset=utf-8' };
const problem: Problem = {
  type: 'urn:baton:error:not_found',
  title: 'Not found',
  status: 404,
  detail: 'There is none.',
  code: 'not_found',
  requestId,
};

function told(more: Partial<Omit<Told, 'body'>> & { json?: unknown; body?: string }): Told {
  const { json, body, ...rest } = more;
  return {
    method: 'GET',
    url: '/healthz',
    status: 200,
    headers,
    body: body ?? JSON.stringify(json ?? { status: 'ok' }),
    ...rest,
  };
}

function refused(more: Partial<Problem>, status = 404, moreHeaders: object = {}): Told {
  return told({
    url: `/jobs/${randomUUID()}`,
    status,
    json: { ...problem, ...more },
    headers: { ...headers, 'content-type': 'application/problem+json', ...moreHeaders },
  });
}

describe('an answer that is as documented', () => {
  const contract = new Contract();

  test.each<[string, Told]>([
    ['a body', told({})],
    ['a path in other letters, with a slash and a query', told({ url: '/HEALTHZ/?a=b' })],
    ['none, to HEAD', told({ method: 'HEAD', body: '' })],
    ['none, with 204', told({ method: 'DELETE', url: '/session', status: 204, body: '' })],
    ['a problem', refused({})],
    ['a problem where there is no route', { ...refused({}), url: '/nope' }],
    [
      'a problem that says when to come back',
      refused({ status: 429, code: 'rate_limited' }, 429, { 'retry-after': '1' }),
    ],
    ['a preflight', told({ method: 'OPTIONS', url: '/jobs', status: 204, body: '' })],
    [
      'a stream that has only begun',
      told({
        url: '/events',
        headers: { ...headers, 'content-type': 'text/event-stream' },
        body: 'retry: 1000\n\nid: 1-1\nevent: ready\ndata: {}\n\n',
      }),
    ],
  ])('passes: %s', (_name, one) => {
    expect(contract.faultOf(one)).toBeNull();
  });
});

describe('an answer that is not as documented', () => {
  const contract = new Contract();

  test.each<[string, Told, RegExp]>([
    ['a field is missing', told({ json: {} }), /required property 'status'/],
    ['a field is of another type', told({ json: { status: 5 } }), /\/status/],
    ['a field is in no document', told({ json: { status: 'ok', extra: 1 } }), /additional properties.*extra/],
    [
      'a time is none',
      told({ url: '/session', json: { keyId: 'k', name: 'n', role: 'admin', userId: null, expiresAt: 'soon' } }),
      /expiresAt.*date-time/,
    ],
    ['a status is not listed', told({ status: 202 }), /does not list this status, but 200/],
    ['a success of no route', told({ url: '/nope' }), /no such route/],
    ['a route has no such method', told({ method: 'PUT', url: '/jobs' }), /no such route/],
    [
      'a media type is another',
      told({ headers: { ...headers, 'content-type': 'text/html' } }),
      /type text\/html is not listed/,
    ],
    ['a body where there is none', told({ method: 'DELETE', url: '/session', status: 204 }), /none is listed/],
    ['no request id', told({ headers: { 'content-type': 'application/json' } }), /no X-Request-Id/],
    [
      'a header of ours is not listed',
      told({ headers: { ...headers, 'baton-secret': '1' } }),
      /baton-secret is not listed/,
    ],
    ['a problem of an unknown code', refused({ code: 'nope' as 'not_found' }), /\/code/],
    ['a problem with the status of another code', refused({ code: 'internal' }), /code internal/],
    ['a problem that tells another status', refused({ status: 400 }), /status 400/],
    ['a problem with the request id of another call', refused({ requestId: 'other' }), /X-Request-Id/],
    [
      'a problem that is plain JSON',
      refused({}, 404, { 'content-type': 'application/json' }),
      /application\/json is not listed/,
    ],
    ['429 without Retry-After', refused({ status: 429, code: 'rate_limited' }, 429), /no Retry-After/],
    [
      'an event is not one',
      told({
        url: '/events',
        headers: { ...headers, 'content-type': 'text/event-stream' },
        body: 'id: 1-1\nevent: job.created\ndata: {"id":"1-1"}\n\n',
      }),
      /required property/,
    ],
  ])('is found: %s', (_name, one, fault) => {
    expect(contract.faultOf(one)).toMatch(fault);
  });

  test('is found on its way out of a server, in pieces too, and fails whoever asks', async () => {
    const watched = new Contract();
    const answers: ((response: ServerResponse) => void)[] = [
      (response) => response.end('{"status":"ok"}'),
      (response) => {
        response.write('{"status":');
        response.end(Buffer.from('"planted"}'));
      },
    ];
    const server = createServer((_request, response) => {
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
      answers.shift()?.(response);
    });
    watched.watch(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/healthz`;
    await (await request(url)).body.dump();
    expect(() => watched.requireKept()).not.toThrow();
    await (await request(url)).body.dump();
    expect(() => watched.requireKept()).toThrow(/GET \/healthz > 200: .*\/status.*planted/s);
    await new Promise((resolve) => server.close(resolve));
  });
});

describe('the answers of a coordinator', () => {
  let cluster: Cluster;
  beforeAll(async () => (cluster = await startCluster(1)));
  afterAll(() => cluster.stop());

  test('are read along, also those to a plain socket and in streams', async () => {
    const [coordinator] = cluster.coordinators;
    if (coordinator === undefined) throw new Error('no coordinator');
    const heard = jest.spyOn(coordinator.contract, 'faultOf');
    const stream = await TestEventSource.open(`${coordinator.url}/events`, cluster.adminKey);
    for (const state of STATES) await jobIn(state, { ...coordinator, sql: cluster.sql });
    await eventually(() => stream.events.some(({ name }) => name === 'job.failed'));
    stream.close();
    for (const { method, path, roles } of ENDPOINTS) {
      if (method === 'get' && roles !== 'public' && !path.includes(':') && !path.endsWith('/events'))
        await coordinator.api.get(path);
    }
    await coordinator.api.post('/jobs', { type: uniqueType(), uniqueKey: 'once' });
    await eventually(() =>
      heard.mock.calls.some(([{ url, body }]) => url === '/events' && body.includes('job.failed')),
    );
    expect(heard.mock.calls.map(([{ url }]) => url)).toEqual(
      expect.arrayContaining(['/jobs', '/jobs/claim', '/queues', '/metrics']),
    );
    expect(coordinator.contract.breaches).toEqual([]);
  });
});
