import {
  context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
  createTraceState,
} from '@opentelemetry/api';
import type { ServerResponse } from 'node:http';
import type { Request } from 'express';
import type { CreateItem } from '../../domain/jobs/create';
import type { ClaimedRow } from '../../store/jobs';
import { readTrace } from './trace-headers';

/** Called by machines every few seconds, and of no interest in traces. */
const UNTRACED = new Set(['/healthz', '/readyz', '/metrics']);
const MOST_LINKS = 100;

/** Creates the spans of a coordinator. It exists only when tracing is on, so that others pay nothing. */
export class Tracing {
  private readonly tracer: Tracer;
  /** Spans of claims that got no jobs. They are not exported, because waiting runners would flood the trace store. */
  private readonly idle = new WeakSet<Span>();

  /** @param version of the coordinator */
  constructor(version: string) {
    this.tracer = trace.getTracer('@baton/coordinator', version);
  }

  /** Answers a call within a server span, which continues the caller's trace. */
  serve(
    endpoint: { method: string; path: string },
    request: Request,
    response: ServerResponse,
    requestId: string,
    answer: () => Promise<void>,
  ): Promise<void> {
    if (UNTRACED.has(endpoint.path)) return answer();
    const method = endpoint.method.toUpperCase();
    const route = endpoint.path.replace(/:(\w+)/g, '{$1}');
    const options = {
      kind: SpanKind.SERVER,
      attributes: {
        'http.request.method': method,
        'http.route': route,
        'url.path': request.path,
        'url.scheme': request.protocol,
        'baton.request_id': requestId,
      },
    };
    const parent = contextOf(readTrace(request.get('traceparent'), request.get('tracestate')));
    const span = this.tracer.startSpan(`${method} ${route}`, options, parent);
    response.once('close', () => this.end(span, response));
    return context.with(trace.setSpan(parent, span), answer);
  }

  /** Creates jobs within a producer span, which becomes the trace of jobs without one. */
  async creating<Made>(items: CreateItem[], make: (items: CreateItem[]) => Promise<Made>): Promise<Made> {
    const [first] = items;
    if (first === undefined || items.every((item) => item.trace !== undefined)) return make(items);
    const span = this.tracer.startSpan(`create ${first.job.type}`, {
      kind: SpanKind.PRODUCER,
      attributes: {
        ...attributesOf('create', items.length),
        'messaging.destination.name': first.job.queue,
        'baton.job.type': first.job.type,
      },
    });
    const { traceId, spanId, traceFlags } = span.spanContext();
    const own = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
    try {
      return await make(items.map((item) => (item.trace === undefined ? { ...item, trace: own } : item)));
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      span.end();
    }
  }

  /** Links the call's span to the spans that created the claimed jobs. */
  claimed(rows: readonly ClaimedRow[]): void {
    const span = trace.getActiveSpan();
    if (span === undefined) return;
    if (rows.length === 0) return void this.idle.add(span);
    span.setAttributes(attributesOf('receive', rows.length));
    for (const { trace: stored } of rows.slice(0, MOST_LINKS)) {
      const linked = trace.getSpanContext(contextOf(stored));
      if (linked !== undefined) span.addLink({ context: linked });
    }
  }

  /** Notes on the call's span how many jobs it settled. */
  settled(count: number): void {
    trace.getActiveSpan()?.setAttributes(attributesOf('settle', count));
  }

  private end(span: Span, response: ServerResponse): void {
    if (this.idle.has(span)) return;
    const { statusCode, writableFinished } = response;
    if (writableFinished) span.setAttribute('http.response.status_code', statusCode);
    else span.addEvent('baton.client_gone');
    if (statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
    span.end();
  }
}

function contextOf(stored: string | null | undefined) {
  const [, traceId, spanId, flags, state] = /^00-(\w{32})-(\w{16})-(\w{2})(?: (.*))?$/.exec(stored ?? '') ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return ROOT_CONTEXT;
  const traceState = state === undefined ? undefined : createTraceState(state);
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
    ...(traceState === undefined ? {} : { traceState }),
  });
}

function attributesOf(operation: 'create' | 'receive' | 'settle', count: number) {
  return {
    'messaging.system': 'baton',
    'messaging.operation.name': operation,
    'messaging.operation.type': operation,
    'messaging.batch.message_count': count,
  };
}
