import { context, propagation, trace } from '@opentelemetry/api';
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import type { TracingSettings } from './config/tracing';
import { Tracing } from './http/core/tracing';
import { VERSION } from './version';

export interface StartedTracing {
  tracing: Tracing;
  /** Sends the remaining spans, and stops. */
  stop(): Promise<void>;
}

/** Sends the spans of this process. Endpoint, headers, sampler and batches follow the standard variables. */
export function startTracing({ protocol, serviceName }: TracingSettings): StartedTracing {
  const named = resourceFromAttributes({ 'service.name': serviceName, 'service.version': VERSION });
  const provider = new NodeTracerProvider({
    resource: defaultResource()
      .merge(named)
      .merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor(protocol === 'http/json' ? new JsonExporter() : new ProtobufExporter())],
  });
  provider.register();
  return {
    tracing: new Tracing(VERSION),
    async stop() {
      await provider.shutdown();
      for (const api of [trace, context, propagation]) api.disable();
    },
  };
}
