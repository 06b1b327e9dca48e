import type * as Otel from '@opentelemetry/api';
import { reportOf } from './failure';
import type { ClaimedJob, ReportedError } from '../protocol';
import { SDK_VERSION } from './version';

/** The trace of a job's create, as W3C Trace Context. */
export interface Trace {
  traceparent: string;
  tracestate?: string;
}

/** A create that is traced. */
export interface Sending {
  trace: Trace;
  /** With the id of the job, if it is a single one; or with the error. */
  end(outcome: { jobId?: string | undefined } | { error: unknown }): void;
}

/** How an attempt ended, as far as its span shows it. */
type SpanOutcome =
  | { kind: 'completed' | 'released' }
  | { kind: 'failed'; error: ReportedError }
  | { kind: 'snoozed'; delayMs: number }
  | { kind: 'suspended'; until: object }
  | { kind: 'dropped'; reason: Error };

const NAME = '@baton/runner-sdk';

/** Null without the OpenTelemetry package; then tracing costs nothing. */
const otel: typeof Otel | null = load();

function load(): typeof Otel | null {
  try {
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- an optional peer, which an import could not leave out
    return require('@opentelemetry/api') as typeof Otel;
  } catch {
    return null;
  }
}

/** Starts the producer span of a create; `null` when it is not recorded and there is no current trace. */
export function startSending(type: string, queue = 'default', count = 1): Sending | null {
  if (otel === null) return null;
  const { trace, SpanKind, SpanStatusCode, INVALID_SPANID } = otel;
  const span = trace.getTracer(NAME, SDK_VERSION).startSpan(`send ${type}`, {
    kind: SpanKind.PRODUCER,
    attributes: { ...attributesOf('send', type, queue), ...(count > 1 && { 'messaging.batch.message_count': count }) },
  });
  const context = span.spanContext();
  if (context.spanId === INVALID_SPANID) return null;
  const state = context.traceState?.serialize();
  return {
    trace: {
      traceparent: `00-${context.traceId}-${context.spanId}-${context.traceFlags.toString(16).padStart(2, '0')}`,
      ...(state && { tracestate: state }),
    },
    end(outcome) {
      if (!('error' in outcome)) {
        if (outcome.jobId !== undefined) span.setAttribute('messaging.message.id', outcome.jobId);
      } else {
        span.recordException(asException(reportOf(outcome.error)));
        span.setStatus({ code: SpanStatusCode.ERROR });
      }
      span.end();
    },
  };
}

/** Runs a handler within a consumer span that continues the trace of the job's create. */
export function whileProcessing<Reached extends SpanOutcome>(
  job: ClaimedJob,
  run: () => Promise<Reached>,
): Promise<Reached> {
  if (otel === null) return run();
  const { context, trace, SpanKind, INVALID_SPANID } = otel;
  const parent = creationOf(otel, job);
  const span = trace.getTracer(NAME, SDK_VERSION).startSpan(`process ${job.type}`, { kind: SpanKind.CONSUMER }, parent);
  // Tracing is usually off, and must then cost a job next to nothing.
  if (span.spanContext().spanId === INVALID_SPANID) return run();
  span.setAttributes({
    ...attributesOf('process', job.type, job.queue),
    'messaging.message.id': job.id,
    'baton.job.attempt': job.attempt,
    'baton.job.max_attempts': job.maxAttempts,
  });
  return context.with(trace.setSpan(parent, span), async () => {
    const outcome = await run();
    tell(otel, span, outcome);
    span.end();
    return outcome;
  });
}

function attributesOf(operation: 'send' | 'process', type: string, queue: string): Otel.Attributes {
  return {
    'messaging.system': 'baton',
    'messaging.operation.name': operation,
    'messaging.operation.type': operation,
    'messaging.destination.name': queue,
    'baton.job.type': type,
  };
}

function creationOf(api: typeof Otel, { traceparent, tracestate }: ClaimedJob): Otel.Context {
  if (traceparent === null) return api.context.active();
  const [, traceId, spanId, flags] = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(traceparent) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return api.context.active();
  const traceState = tracestate === undefined ? undefined : api.createTraceState(tracestate);
  return api.trace.setSpanContext(api.context.active(), {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
    ...(traceState && { traceState }),
  });
}

function tell({ SpanStatusCode }: typeof Otel, span: Otel.Span, outcome: SpanOutcome): void {
  if (outcome.kind === 'failed') {
    const { message, code = 'error', retryable, retryAfterMs } = outcome.error;
    span.recordException(asException(outcome.error));
    span.addEvent('baton.job.failed', {
      'baton.retryable': retryable,
      ...(retryAfterMs !== undefined && { 'baton.retry_after_ms': retryAfterMs }),
    });
    span.setAttribute('error.type', code);
    span.setStatus({ code: SpanStatusCode.ERROR, message });
  } else if (outcome.kind === 'snoozed') span.addEvent('baton.job.released', { 'baton.delay_ms': outcome.delayMs });
  else if (outcome.kind === 'suspended')
    span.addEvent('baton.job.released', { 'baton.until': JSON.stringify(outcome.until) });
  else if (outcome.kind === 'released') span.addEvent('baton.job.released');
  else if (outcome.kind === 'dropped') {
    span.addEvent('baton.job.dropped', { 'baton.reason': outcome.reason.name });
    span.setStatus({ code: SpanStatusCode.ERROR, message: outcome.reason.message });
  }
}

function asException({ message, code = 'error', stack }: ReportedError): Otel.Exception {
  return { name: code, message, ...(stack && { stack }) };
}
