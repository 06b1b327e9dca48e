import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { request } from 'undici';
import { ADMIN_KEY } from './support/processes';
import { Stage } from './support/stage';

interface Exported {
  resourceSpans: {
    resource: { attributes: { key: string; value: { stringValue?: string } }[] };
    scopeSpans: { spans: { name: string; traceId: string }[] }[];
  }[];
}

test('a coordinator sends its spans by OTLP to where the standard variables say, the last ones when it stops', async () => {
  const received: Exported[] = [];
  const collector = createServer((incoming, response) => {
    void buffer(incoming).then((body) => {
      if (incoming.url === '/v1/traces') received.push(JSON.parse(body.toString()) as Exported);
      response.setHeader('Content-Type', 'application/json').end('{}');
    });
  }).listen(0, '127.0.0.1');
  await once(collector, 'listening');
  const stage = await Stage.open('tracing');
  stage.onClose(async () => void collector.close());
  const coordinator = await stage.coordinator({
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(collector.address() as AddressInfo).port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_SERVICE_NAME: 'jobs-of-mine',
    },
  });
  const call = async (path: string, body: object) =>
    (
      await request(coordinator.url + path, {
        method: 'POST',
        headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
    ).body.json();
  await call('/jobs', { type: 'traced' });
  const { jobs } = (await call('/jobs/claim', { runnerId: 'r', types: ['traced'] })) as {
    jobs: { traceparent: string }[];
  };
  coordinator.signal('SIGTERM');
  await coordinator.ended;

  const spans = received.flatMap(({ resourceSpans }) =>
    resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)),
  );
  expect(
    spans
      .filter(({ traceId }) => traceId === jobs[0]?.traceparent.split('-')[1])
      .map(({ name }) => name)
      .sort(),
  ).toEqual(['POST /jobs', 'create traced']);
  expect(received[0]?.resourceSpans[0]?.resource.attributes).toEqual(
    expect.arrayContaining([{ key: 'service.name', value: { stringValue: 'jobs-of-mine' } }]),
  );
  stage.pass();
  await stage.close();
});
