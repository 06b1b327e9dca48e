import { Client, defineJob, Runner } from '@baton/runner-sdk';
import type { Job } from '@baton/runner-sdk/protocol';
import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-node';
import { Tracing } from '../../coordinator/http/core/tracing';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const [, TRACE_ID, SPAN_ID] = PARENT.split('-');

const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
let traced: Awaited<ReturnType<typeof startCoordinator>>;
let plain: Awaited<ReturnType<typeof startCoordinator>>;

beforeAll(async () => {
  provider.register();
  [traced, plain] = await Promise.all([startCoordinator({ tracing: new Tracing('1') }), startCoordinator()]);
});
afterEach(() => exporter.reset());
afterAll(async () => {
  await Promise.all([traced.stop(), plain.stop()]);
  await provider.shutdown();
  for (const api of [trace, context]) api.disable();
});

const spansOf = (traceId: string): ReadableSpan[] =>
  exporter.getFinishedSpans().filter((span) => span.spanContext().traceId === traceId);
const named = (spans: ReadableSpan[], name: string): ReadableSpan => {
  const span = spans.find((one) => one.name === name);
  if (span === undefined) throw new Error(`no span ${name} among ${spans.map((one) => one.name).join(', ')}`);
  return span;
};

function connected(coordinator: typeof traced) {
  const options = { coordinatorUrl: coordinator.url, apiKey: coordinator.adminKey };
  return { client: new Client(options), runner: new Runner({ ...options, signals: false }) };
}

describe('with the SDK', () => {
  test('one trace goes from the create to the handler, and on into what that creates', async () => {
    const { client, runner } = connected(traced);
    const [first, second] = [uniqueType('first'), uniqueType('second')];
    let inHandler: string | undefined;
    runner.handle(first, async () => {
      inHandler = trace.getActiveSpan()?.spanContext().spanId;
      await client.create(second, {});
    });
    runner.handle(second, (_args, job) => job.traceparent);
    await runner.start();
    const request = trace.getTracer('test').startSpan('request');
    const { traceId } = request.spanContext();
    await context.with(trace.setSpan(context.active(), request), () => client.create(first, {}));
    request.end();
    await eventually(() => spansOf(traceId).some(({ name }) => name === `process ${second}`));
    await runner.stop();
    await client.close();

    const spans = spansOf(traceId);
    const chain: [string, SpanKind, string][] = [
      [`send ${first}`, SpanKind.PRODUCER, 'request'],
      [`process ${first}`, SpanKind.CONSUMER, `send ${first}`],
      [`send ${second}`, SpanKind.PRODUCER, `process ${first}`],
      [`process ${second}`, SpanKind.CONSUMER, `send ${second}`],
    ];
    for (const [name, kind, parent] of chain) {
      const span = named(spans, name);
      expect([name, span.kind, span.parentSpanContext?.spanId]).toEqual([
        name,
        kind,
        named(spans, parent).spanContext().spanId,
      ]);
    }
    expect(inHandler).toBe(named(spans, `process ${first}`).spanContext().spanId);
    expect(named(spans, `process ${first}`).attributes).toMatchObject({
      'messaging.system': 'baton',
      'messaging.operation.type': 'process',
      'messaging.destination.name': 'default',
      'baton.job.type': first,
      'baton.job.attempt': 1,
    });
    const served = spans.filter(({ name, kind }) => name === 'POST /jobs' && kind === SpanKind.SERVER);
    expect(served.map(({ parentSpanContext }) => parentSpanContext?.spanId)).toEqual(
      [first, second].map((type) => named(spans, `send ${type}`).spanContext().spanId),
    );
    // A claim serves many traces, so it belongs to none: it links to them.
    const claims = exporter
      .getFinishedSpans()
      .filter(({ name, links }) => /^POST \/jobs\/(claim|complete)$/.test(name) && links.length > 0);
    expect(claims.flatMap(({ links }) => links.map((link) => link.context.spanId))).toEqual(
      expect.arrayContaining([first, second].map((type) => named(spans, `send ${type}`).spanContext().spanId)),
    );
  });

  test('each job of a bulk create goes on with the trace of its own caller', async () => {
    const { client } = connected(plain);
    const type = uniqueType();
    const callers = ['one', 'two', 'three'].map((name) => trace.getTracer('test').startSpan(name));
    const jobs = await Promise.all(
      callers.map((span) => context.with(trace.setSpan(context.active(), span), () => client.create(type, {}))),
    );
    const claimed = await plain.api.claim({ runnerId: 'r', types: [type], max: 3 });
    const traceOf = new Map(claimed.map(({ id, traceparent }) => [id, traceparent?.split('-')[1]]));
    expect(jobs.map(({ id }) => traceOf.get(id))).toEqual(callers.map((span) => span.spanContext().traceId));
    await client.close();
  });

  test.each([true, false])('all jobs of one call go on with its trace (all or none: %s)', async (atomic) => {
    const { client } = connected(plain);
    const type = uniqueType();
    const caller = trace.getTracer('test').startSpan('caller');
    await context.with(trace.setSpan(context.active(), caller), () =>
      client.createMany(defineJob({ type }), [{}, {}], { atomic }),
    );
    const claimed = await plain.api.claim({ runnerId: 'r', types: [type], max: 2 });
    expect(claimed.map(({ traceparent }) => traceparent?.split('-')[1])).toEqual(
      [caller, caller].map((span) => span.spanContext().traceId),
    );
    await client.close();
  });

  test('a failure is told by the span of its attempt, and by that of the next try too', async () => {
    const { client, runner } = connected(plain);
    const type = uniqueType();
    runner.handle(type, (_args, job) => {
      if (job.attempt === 1) throw Object.assign(new Error('not yet'), { code: 'too_early' });
    });
    await runner.start();
    const job = await client.create(type, {}, { retry: { strategy: 'fixed', baseMs: 0, jitter: 0 } });
    await client.wait(job.id);
    const tries = (): ReadableSpan[] => exporter.getFinishedSpans().filter(({ name }) => name === `process ${type}`);
    await eventually(() => tries().length === 2);
    const [failed, done] = tries();
    expect(failed?.status).toEqual({ code: SpanStatusCode.ERROR, message: 'not yet' });
    expect(failed?.attributes).toMatchObject({ 'error.type': 'too_early', 'baton.job.attempt': 1 });
    expect(failed?.events.map(({ name, attributes }) => [name, attributes?.['baton.retryable']])).toEqual([
      ['exception', undefined],
      ['baton.job.failed', true],
    ]);
    expect([done?.status.code, done?.attributes['baton.job.attempt'], done?.spanContext().traceId]).toEqual([
      SpanStatusCode.UNSET,
      2,
      failed?.spanContext().traceId,
    ]);
    await runner.stop();
    await client.close();
  });
});

describe('with plain HTTP', () => {
  const claimOne = async (type: string) => plain.api.claimOne({ runnerId: 'r', types: [type] });

  test('the headers of the create come with the claim, also after a retry by hand', async () => {
    const type = uniqueType();
    const { body } = await plain.api.post<Job>(
      '/jobs',
      { type, maxAttempts: 1 },
      { headers: { traceparent: PARENT, tracestate: 'vendor=a,other=b' } },
    );
    const claimed = await claimOne(type);
    expect([claimed.traceparent, claimed.tracestate]).toEqual([PARENT, 'vendor=a,other=b']);
    await plain.api.complete(claimed, { outcome: 'failed', error: { message: 'no' } });
    await plain.api.post(`/jobs/${body.id}/retry`);
    expect((await claimOne(type)).traceparent).toBe(PARENT);
  });

  test.each([
    '',
    'nonsense',
    '00-00000000000000000000000000000000-b7ad6b7169203331-01',
    PARENT.toUpperCase(),
    `${PARENT}-more`,
  ])('a traceparent that is none is passed over: %s', async (traceparent) => {
    const type = uniqueType();
    expect((await plain.api.post('/jobs', { type }, { headers: { traceparent } })).status).toBe(201);
    const claimed = await claimOne(type);
    expect([claimed.traceparent, 'tracestate' in claimed]).toEqual([null, false]);
  });

  test('a trace makes no create another one: its idempotency key counts as before', async () => {
    const type = uniqueType();
    const post = (traceparent: string) =>
      plain.api.post<Job>('/jobs', { type }, { headers: { 'idempotency-key': type, traceparent } });
    const first = await post(PARENT);
    const again = await post(PARENT.replace(SPAN_ID ?? '', '0000000000000001'));
    expect([again.status, again.body.id]).toEqual([200, first.body.id]);
    const bulk = await plain.api.post<{ jobs: Job[] }>('/jobs/bulk', {
      jobs: [{ type, idempotencyKey: type, traceparent: PARENT }],
    });
    expect(bulk.body.jobs[0]?.id).toBe(first.body.id);
  });

  test('a create without a trace begins one in a coordinator that traces', async () => {
    const type = uniqueType();
    await traced.api.create({ type });
    const { traceparent } = await traced.api.claimOne({ runnerId: 'r', types: [type] });
    const spans = await eventually(
      () => spansOf(traceparent?.split('-')[1] ?? ''),
      (found) => found.length === 2,
    );
    const [create, served] = [named(spans, `create ${type}`), named(spans, 'POST /jobs')];
    expect([create.kind, create.parentSpanContext?.spanId]).toEqual([SpanKind.PRODUCER, served.spanContext().spanId]);
    expect(traceparent).toContain(create.spanContext().spanId);
    expect(served.attributes).toMatchObject({
      'http.request.method': 'POST',
      'http.route': '/jobs',
      'http.response.status_code': 201,
    });
  });

  test('refusals have their status; probes and claims that bring nothing have no span', async () => {
    const sent = { headers: { traceparent: PARENT } };
    await traced.api.call('get', '/healthz', sent);
    await traced.api.post('/jobs/claim', { runnerId: 'r', types: [uniqueType()] }, sent);
    await traced.api.call('get', '/jobs/nonsense', sent);
    const spans = await eventually(
      () => spansOf(TRACE_ID ?? ''),
      (found) => found.length > 0,
    );
    expect(
      spans.map(({ name, attributes, status }) => [name, attributes['http.response.status_code'], status.code]),
    ).toEqual([['GET /jobs/{id}', 400, SpanStatusCode.UNSET]]);
  });
});
