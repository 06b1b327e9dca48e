/* eslint-disable @typescript-eslint/no-explicit-any -- recorded calls are looked into as they came */
import { z } from 'zod';
import {
  defineJob,
  LeaseLostError,
  AttemptCancelledError,
  NonRetryableError,
  RetryAfterError,
  Runner,
  SnoozeError,
  AttemptTimeoutError,
  type Handler,
  type RunnerOptions,
} from '@baton/runner-sdk';
import { Heartbeats } from '../../runner-sdk/leases/heartbeats';
import { FakeCoordinator, gate, testLogger } from './fake-coordinator';

let coordinator: FakeCoordinator;
let runner: Runner | undefined;
let logger = testLogger();

beforeEach(async () => {
  coordinator = await FakeCoordinator.start();
  logger = testLogger();
});

afterEach(async () => {
  await runner?.stop({ graceMs: 0 });
  runner = undefined;
  await coordinator.stop();
});

async function run(handler: Handler, options: RunnerOptions = {}): Promise<Runner> {
  runner = new Runner({
    coordinatorUrl: coordinator.url,
    apiKey: 'key',
    signals: false,
    logger,
    concurrency: 4,
    abortGraceMs: 200,
    ...options,
  });
  runner.handle('TEST', handler);
  await runner.start();
  return runner;
}

describe('claiming', () => {
  it('asks for as many jobs as slots are free, parked, with what the runner is', async () => {
    await run(() => null, { labels: { region: 'eu' }, queues: ['films'], version: '7', name: 'one' });
    const { body, headers } = await coordinator.until('a claim', () => coordinator.calls('POST /jobs/claim')[0]);
    expect(body).toMatchObject({ types: ['TEST'], max: 4, labels: { region: 'eu' }, queues: ['films'], version: '7' });
    expect(body.waitMs).toBeGreaterThanOrEqual(35_000);
    expect(body.waitMs).toBeLessThanOrEqual(40_000);
    expect(body.runnerId).toMatch(new RegExp(`^one\\.${process.pid}\\.[0-9a-f]{8}$`));
    expect(headers.authorization).toBe('Bearer key');
  });

  it('sends a claim whose answer was lost again with its claimId, and runs the jobs once', async () => {
    coordinator.script('POST /jobs/claim', 'drop_reply');
    const job = coordinator.add();
    const seen: number[] = [];
    await run((_args, { attempt }) => void seen.push(attempt));
    await coordinator.report(job);
    const [first, second] = coordinator.calls('POST /jobs/claim');
    expect(second?.text).toBe(first?.text);
    expect(seen).toEqual([1]);
  });

  it.each([
    { status: 500 },
    { status: 503, headers: { 'retry-after': '0' } },
    { status: 429, headers: { 'retry-after': '0' } },
  ])('goes on after $status', async (answer) => {
    coordinator.script('POST /jobs/claim', answer, answer, answer);
    const job = coordinator.add();
    await run(() => 'fine');
    expect(await coordinator.report(job)).toMatchObject({ outcome: 'completed', result: 'fine' });
    expect(
      new Set(
        coordinator
          .calls('POST /jobs/claim')
          .slice(0, 4)
          .map(({ body }) => body.claimId),
      ).size,
    ).toBe(1);
  });

  it('asks anew, under the same claimId, when its labels change; the former poll is cut off', async () => {
    const changing = await run(() => 'done', { labels: { gpu: false } });
    await coordinator.until('a claim', () => coordinator.calls('POST /jobs/claim')[0]);
    changing.setLabels({ gpu: true });
    await coordinator.until('another claim', () => coordinator.calls('POST /jobs/claim')[1]);
    const job = coordinator.add();
    expect(await coordinator.report(job)).toMatchObject({ outcome: 'completed' });
    const [first, second] = coordinator.calls('POST /jobs/claim').map(({ body }) => body);
    expect([first.labels, second.labels, second.claimId]).toEqual([{ gpu: false }, { gpu: true }, first.claimId]);
    expect(coordinator.calls('POST /jobs/complete')[0]?.body.claim.labels).toEqual({ gpu: true });
  });

  it('keeps its labels when new ones are refused', async () => {
    const changing = await run(() => null, { labels: { gpu: false } });
    expect(() => changing.setLabels({ gpu: { no: 1 } } as never)).toThrow(/labels/);
    expect(() => new Runner({ coordinatorUrl: coordinator.url, apiKey: 'key' }).setLabels({ gpu: 1 })).not.toThrow();
    const { body } = await coordinator.until('a claim', () => coordinator.calls('POST /jobs/claim')[0]);
    expect(body.labels).toEqual({ gpu: false });
  });

  it('never has two polls parked, nor asks for more than is free', async () => {
    const held = gate();
    await run(() => held.opened, { concurrency: 2 });
    coordinator.add();
    await coordinator.until('a second poll', () => coordinator.calls('POST /jobs/claim').length === 2);
    coordinator.add();
    await coordinator.until('both jobs', () => coordinator.pending.length === 0);
    expect(coordinator.calls('POST /jobs/claim').map(({ body }) => body.max)).toEqual([2, 1]);
    held.open();
    await coordinator.until('both reports', () => coordinator.completed.size === 2);
  });

  it('grows from min while claims come back full', async () => {
    const held = gate();
    const started = await run(() => (coordinator.poke(), held.opened), { concurrency: { min: 1, max: 3 } });
    expect(started.slots).toEqual({ busy: 0, size: 1 });
    for (let count = 0; count < 5; count += 1) coordinator.add();
    await coordinator.until('all slots taken', () => started.slots.busy === 3);
    expect(started.slots.size).toBe(3);
    expect(coordinator.pending).toHaveLength(2);
    held.open();
    await coordinator.until('all reports', () => coordinator.completed.size === 5);
  });
});

describe('reporting', () => {
  it('completes with result, metrics and the last log lines', async () => {
    const job = coordinator.add({ arguments: { n: 2 } });
    await run(
      (args, { log }) => (log.warn('odd', { cause: new Error('inner') }), { doubled: (args as { n: number }).n * 2 }),
    );
    const report = await coordinator.report(job);
    expect(report).toMatchObject({ leaseToken: job.leaseToken, outcome: 'completed', result: { doubled: 4 } });
    expect(coordinator.updates(job).logs).toMatchObject([
      { level: 'warn', message: 'odd', fields: { cause: { message: 'inner' } } },
    ]);
    expect(report.metrics).toEqual({
      durationMs: expect.any(Number),
      cpuMs: expect.any(Number),
      memoryPeakBytes: expect.any(Number),
    });
  });

  it('claims the next jobs with the report, and batches what ends meanwhile', async () => {
    const gates = [gate(), gate(), gate()];
    let started = 0;
    await run(
      () => {
        started += 1;
        coordinator.poke();
        return gates[started - 1]?.opened;
      },
      { concurrency: 3 },
    );
    for (let count = 0; count < 3; count += 1) coordinator.add();
    await coordinator.until('three starts', () => started === 3);
    for (const { open } of gates) open();
    await coordinator.until('three reports', () => coordinator.completed.size === 3);
    const [call, ...more] = coordinator.calls('POST /jobs/complete');
    expect(more).toHaveLength(0);
    expect(call?.body.completions).toHaveLength(3);
    expect(call?.body.claim).toMatchObject({ max: 3, waitMs: 0, types: ['TEST'] });
  });

  it('fetches what was granted with a report whose answer was lost for good', async () => {
    const [started, held] = [gate(), gate()];
    const first = coordinator.add({ timeoutMs: 400 });
    await run((_args, { id }) => (id === first.id ? (started.open(), held.opened) : null), { concurrency: 1 });
    await started.opened;
    const granted = coordinator.add();
    coordinator.script('POST /jobs/complete', ...Array.from({ length: 12 }, () => 'drop_reply' as const));
    held.open();
    expect(await coordinator.report(granted)).toMatchObject({ outcome: 'completed' });
  });

  it('drains a backlog without a further poll', async () => {
    for (let count = 0; count < 20; count += 1) coordinator.add();
    await run(() => null, { concurrency: 5 });
    await coordinator.until('all reports', () => coordinator.completed.size === 20);
    await coordinator.until('the parked poll', () => coordinator.calls('POST /jobs/claim').length === 2);
    expect(coordinator.calls('POST /jobs/complete')).toHaveLength(4);
  });

  it.each(['drop_request', 'drop_reply', { status: 500 }] as const)(
    'sends the same report again after %j',
    async (answer) => {
      coordinator.script('POST /jobs/complete', answer);
      const job = coordinator.add();
      await run(() => 'once');
      await coordinator.report(job);
      const [first, second] = await coordinator.until(
        'two calls',
        () => coordinator.calls('POST /jobs/complete').length === 2 && coordinator.calls('POST /jobs/complete'),
      );
      expect(second?.text).toBe(first?.text);
    },
  );

  it.each(['lease_lost', 'job_cancelled', 'not_found', 'state_conflict'])('takes %s for final', async (code) => {
    const job = coordinator.add();
    coordinator.completionVerdicts.set(job.id, code);
    await run(() => 'late', { concurrency: 1 });
    await coordinator.until('the report', () => coordinator.calls('POST /jobs/complete').length === 1);
    const next = coordinator.add();
    await coordinator.report(next);
    const reports = coordinator
      .calls('POST /jobs/complete')
      .flatMap(({ body }) => body.completions.map(({ jobId }: { jobId: string }) => jobId));
    expect(reports).toEqual([job.id, next.id]);
    expect(logger.lines).toContainEqual(
      expect.objectContaining({ level: 'warn', fields: expect.objectContaining({ code, jobId: job.id }) }),
    );
  });

  it('sends a report the coordinator could not take just now again', async () => {
    const job = coordinator.add();
    coordinator.completionVerdicts.set(job.id, 'unavailable');
    await run(() => 'at last');
    expect(await coordinator.report(job)).toMatchObject({ result: 'at last' });
    expect(coordinator.calls('POST /jobs/complete')).toHaveLength(2);
  });

  it('ends an attempt whose result is refused as a failure that is not tried again', async () => {
    const job = coordinator.add();
    coordinator.completionVerdicts.set(job.id, 'payload_too_large');
    await run(() => 'too much');
    expect(await coordinator.report(job)).toMatchObject({
      outcome: 'failed',
      error: { code: 'result_refused', retryable: false },
    });
  });

  it('finds the report that makes a whole call fail', async () => {
    const [good, bad] = [coordinator.add(), coordinator.add()];
    coordinator.script('POST /jobs/complete', { status: 413 }, { status: 413 }, 'pass', { status: 413 });
    await run((_args, { id }) => id);
    expect(await coordinator.report(good)).toMatchObject({ outcome: 'completed' });
    expect(await coordinator.report(bad)).toMatchObject({ outcome: 'failed', error: { code: 'result_refused' } });
  });

  it.each([
    [
      'an error',
      () => Promise.reject(Object.assign(new Error('no'), { code: 'E_NO' })),
      { message: 'no', code: 'E_NO', retryable: true },
    ],
    [
      'a NonRetryableError',
      () => Promise.reject(new NonRetryableError('never', { code: 'gone' })),
      { message: 'never', code: 'gone', retryable: false },
    ],
    ['a RetryAfterError', () => Promise.reject(new RetryAfterError(1500)), { retryable: true, retryAfterMs: 1500 }],
    [
      'no error at all',
      () => {
        throw { odd: 1 } as unknown as Error;
      },
      { message: '{"odd":1}', retryable: true },
    ],
    ['a result that JSON cannot hold', () => ({ n: Infinity }), { code: 'invalid_result', retryable: false }],
    ['a result that the gate refuses', () => ({ text: 'a\u0000b' }), { code: 'invalid_result', retryable: false }],
    [
      'a circular result',
      () => {
        const ring: Record<string, unknown> = {};
        ring['ring'] = ring;
        return ring;
      },
      { code: 'invalid_result', retryable: false },
    ],
  ])('reports %s', async (_name, handler, error) => {
    const job = coordinator.add();
    await run(handler);
    expect(await coordinator.report(job)).toMatchObject({ outcome: 'failed', error });
  });

  it('gives a snoozed job back with its delay and its checkpoint', async () => {
    const job = coordinator.add();
    await run((_args, { checkpoint }) => {
      void checkpoint({ page: 3 });
      throw new SnoozeError(5000);
    });
    const { body } = await coordinator.until('the release', () => coordinator.released[0]);
    expect(body).toMatchObject({ leaseToken: job.leaseToken, delayMs: 5000 });
    expect(coordinator.updates(job).checkpoint).toEqual({ page: 3 });
  });

  it('saves the last checkpoint before it reports a failure', async () => {
    const job = coordinator.add();
    await run((_args, { checkpoint }) => {
      void checkpoint({ page: 4 });
      throw new Error('no');
    });
    await coordinator.report(job);
    const order = coordinator.requests
      .filter(({ body }) => JSON.stringify(body ?? null).includes('"page":4') || body?.completions)
      .map(({ call }) => call);
    expect(order.at(-1)).toBe('POST /jobs/complete');
    expect(order).toHaveLength(2);
  });
});

describe('validation', () => {
  const definition = defineJob({
    type: 'TYPED',
    arguments: z.object({ n: z.int() }),
    result: z.object({ sum: z.number() }),
  });

  it('refuses arguments that do not fit before the handler runs', async () => {
    runner = new Runner({ coordinatorUrl: coordinator.url, apiKey: 'key', signals: false, logger });
    const handler = jest.fn();
    await runner.handle(definition, handler).start();
    const job = coordinator.add({ type: 'TYPED', arguments: { n: 'x' } });
    const { error } = await coordinator.report(job);
    expect(error).toMatchObject({
      code: 'invalid_arguments',
      retryable: false,
      message: expect.stringContaining('n: '),
    });
    expect(handler).not.toHaveBeenCalled();
  });

  it('refuses a result that does not fit', async () => {
    runner = new Runner({ coordinatorUrl: coordinator.url, apiKey: 'key', signals: false, logger });
    await runner.handle(definition, (() => ({ sum: 'x' })) as never).start();
    const job = coordinator.add({ type: 'TYPED', arguments: { n: 1 } });
    expect((await coordinator.report(job)).error).toMatchObject({ code: 'invalid_result', retryable: false });
  });
});

describe('leases', () => {
  it('claims nothing before the heartbeat thread listens', async () => {
    const open = Heartbeats.prototype.open;
    const asked = gate();
    const listening = gate();
    const held = jest.spyOn(Heartbeats.prototype, 'open').mockImplementation(async function (this: Heartbeats) {
      asked.open();
      await listening.opened;
      return open.call(this);
    });
    const job = coordinator.add();
    let isStarted = false;
    const started = run(() => null).then(() => (isStarted = true));
    await asked.opened;
    await new Promise(setImmediate);
    expect(isStarted).toBe(false);
    expect(coordinator.requests).toEqual([]);
    listening.open();
    await started;
    held.mockRestore();
    await coordinator.report(job);
  });

  it('heartbeats all jobs in one call, with progress, logs and checkpoint', async () => {
    const held = gate();
    const [one, two] = [coordinator.add(), coordinator.add()];
    await run((_args, job) => {
      job.progress(10);
      job.progress(20, 'fetched');
      job.log.info('first');
      job.log.info('second');
      void job.checkpoint({ at: job.id });
      return held.opened;
    });
    const said = new Map<string, any>();
    await coordinator.until('both checkpoints', () => {
      for (const { body } of coordinator.calls('POST /jobs/heartbeat'))
        for (const entry of body.jobs)
          if (entry.checkpoint) said.set(entry.jobId, { ...said.get(entry.jobId), ...entry });
      return said.size === 2;
    });
    for (const { id } of [one, two]) expect(said.get(id)).toMatchObject({ checkpoint: { at: id } });
    const logs = coordinator
      .calls('POST /jobs/heartbeat')
      .flatMap(({ body }) =>
        body.jobs.filter((entry: any) => entry.jobId === one.id).flatMap((entry: any) => entry.logs ?? []),
      );
    held.open();
    const report = await coordinator.report(one);
    expect([...logs, ...(report.logs ?? [])].map(({ message }) => message)).toEqual(['first', 'second']);
    expect(coordinator.calls('POST /jobs/heartbeat').at(-1)?.body.jobs.length).toBe(2);
  });

  it.each([
    ['job_cancelled', AttemptCancelledError],
    ['lease_lost', LeaseLostError],
  ])('on %s aborts the handler and reports nothing', async (code, reason) => {
    const job = coordinator.add({ leaseMs: 300 });
    coordinator.verdicts.set(job.id, code);
    let seen: unknown;
    await run(
      (_args, { signal }) =>
        new Promise((resolve) => signal.addEventListener('abort', () => ((seen = signal.reason), resolve('too late')))),
      { concurrency: 1 },
    );
    await coordinator.until('a claim for the freed slot', () => coordinator.calls('POST /jobs/claim').length === 2);
    expect(seen).toBeInstanceOf(reason);
    expect(coordinator.calls('POST /jobs/complete')).toHaveLength(0);
  });

  it('ends by its own clock when no heartbeat is answered', async () => {
    coordinator.add({ leaseMs: 400 });
    coordinator.script('POST /jobs/heartbeat', ...Array<'hang'>(50).fill('hang'));
    let seen: unknown;
    await run(
      (_args, { signal }) =>
        new Promise((resolve) => signal.addEventListener('abort', () => ((seen = signal.reason), resolve(null)))),
      { concurrency: 1 },
    );
    await coordinator.until('a claim for the freed slot', () => coordinator.calls('POST /jobs/claim').length === 2);
    expect(seen).toBeInstanceOf(LeaseLostError);
    expect(coordinator.calls('POST /jobs/complete')).toHaveLength(0);
  });

  it('survives heartbeats that fail, as long as one is answered in time', async () => {
    const held = gate();
    const job = coordinator.add({ leaseMs: 2000 });
    coordinator.script('POST /jobs/heartbeat', { status: 500 }, 'drop_reply');
    await run(() => held.opened);
    await coordinator.until('the third beat', () => coordinator.calls('POST /jobs/heartbeat').length >= 3);
    held.open();
    expect(await coordinator.report(job)).toMatchObject({ outcome: 'completed' });
  });

  it('asks whether the lease still stands before it starts what a long poll brought', async () => {
    const order: string[] = [];
    await run(() => void order.push('handler'));
    await coordinator.until('the parked poll', () => coordinator.calls('POST /jobs/claim').length === 1);
    // Not a wait for anything: the poll has to be older than half the lease.
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const job = coordinator.add({ leaseMs: 2000 });
    await coordinator.report(job);
    const beat = coordinator.requests.findIndex(({ call }) => call === 'POST /jobs/heartbeat');
    const report = coordinator.requests.findIndex(({ call }) => call === 'POST /jobs/complete');
    expect(beat).toBeGreaterThan(-1);
    expect(beat).toBeLessThan(report);
    expect(order).toEqual(['handler']);
  });
});

describe('timeouts', () => {
  it('aborts at timeoutMs and reports a failure that may be tried again', async () => {
    const job = coordinator.add({ timeoutMs: 100 });
    let seen: unknown;
    await run(
      (_args, { signal }) =>
        new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => ((seen = signal.reason), reject(new Error('stopped')))),
        ),
    );
    expect(await coordinator.report(job)).toMatchObject({
      outcome: 'failed',
      error: { code: 'timeout', retryable: true },
    });
    expect(seen).toBeInstanceOf(AttemptTimeoutError);
  });

  it('reports the timeout of a handler that ignores it, keeps its slot, and says so once', async () => {
    const held = gate();
    const job = coordinator.add({ timeoutMs: 100 });
    const started = await run(() => held.opened, { concurrency: 1 });
    expect(await coordinator.report(job)).toMatchObject({ outcome: 'failed', error: { code: 'timeout' } });
    expect(started.slots.busy).toBe(1);
    held.open();
    await coordinator.until('a claim for the freed slot', () => coordinator.calls('POST /jobs/claim').length === 2);
    expect(logger.lines.filter(({ message }) => message.includes('ignores its signal'))).toHaveLength(1);
    expect(coordinator.calls('POST /jobs/complete')).toHaveLength(1);
  });
});
