import { readConfig } from '../../coordinator/config/config';

test.each<[string, Record<string, string>, string | null]>([
  ['nothing', {}, null],
  ['an endpoint', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:4318' }, 'http/protobuf'],
  [
    'an endpoint for spans',
    {
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://traces.example.com/v1/traces',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    },
    'http/json',
  ],
  [
    'an endpoint, and none',
    { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:4318', OTEL_TRACES_EXPORTER: 'none' },
    null,
  ],
  [
    'an endpoint, and disabled',
    { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:4318', OTEL_SDK_DISABLED: 'true' },
    null,
  ],
])('tracing is as the variables say: %s', (_name, variables, protocol) => {
  expect(readConfig(variables).tracing?.protocol ?? null).toBe(protocol);
});

test('an endpoint or protocol that cannot be used stops the start', () => {
  expect(() => readConfig({ OTEL_EXPORTER_OTLP_ENDPOINT: 'localhost:4318' })).toThrow(
    'OTEL_EXPORTER_OTLP_ENDPOINT is "localhost:4318", but must be a URL',
  );
  expect(() => readConfig({ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' })).toThrow('gRPC is not spoken');
});
