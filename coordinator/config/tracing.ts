import { z } from 'zod';

const endpoint = z.url({ protocol: /^https?$/, error: 'must be a URL such as http://localhost:4318' }).optional();

/** The standard variables of OpenTelemetry that decide whether spans are sent; its exporter reads the others itself. */
export const tracingSettings = {
  OTEL_EXPORTER_OTLP_ENDPOINT: endpoint.describe(
    'Where spans are sent by OTLP over HTTP, such as http://localhost:4318. Default: nowhere, and nothing is traced.',
  ),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint.describe('The same with its whole path, for spans alone.'),
  OTEL_EXPORTER_OTLP_PROTOCOL: z
    .enum(['http/protobuf', 'http/json'], { error: 'must be http/protobuf or http/json; gRPC is not spoken' })
    .default('http/protobuf')
    .describe('How spans are written.'),
  OTEL_TRACES_EXPORTER: z
    .enum(['otlp', 'none'])
    .default('otlp')
    .describe('none sends no spans, whatever the endpoint.'),
  OTEL_SDK_DISABLED: z.enum(['true', 'false']).default('false').describe('true sends no spans, whatever the endpoint.'),
  OTEL_SERVICE_NAME: z.string().min(1).default('baton-coordinator').describe('The name of the service in its spans.'),
};

export interface TracingSettings {
  protocol: 'http/protobuf' | 'http/json';
  serviceName: string;
}

/** Null: nothing is traced. */
export function readTracing(read: z.infer<z.ZodObject<typeof tracingSettings>>): TracingSettings | null {
  const hasEndpoint =
    read.OTEL_EXPORTER_OTLP_ENDPOINT !== undefined || read.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT !== undefined;
  if (!hasEndpoint || read.OTEL_TRACES_EXPORTER === 'none' || read.OTEL_SDK_DISABLED === 'true') return null;
  return { protocol: read.OTEL_EXPORTER_OTLP_PROTOCOL, serviceName: read.OTEL_SERVICE_NAME };
}
