import { inspect } from 'node:util';
import { z } from 'zod';
import { defineJob, NonRetryableError, SnoozeError, type JobContext } from '@baton/runner-sdk';
import { runHandler, startHandler } from '@baton/runner-sdk/testing';

const count = defineJob({
  type: 'COUNT',
  arguments: z.object({ to: z.int() }),
  result: z.object({ counted: z.int() }),
  timeoutMs: 5000,
});

it('records what a handler says, and how it ends', async () => {
  const run = await runHandler(
    count,
    ({ to }, job) => {
      job.progress(150, 'far');
      job.log.info('counting', { to });
      void job.checkpoint({ at: job.attempt });
      job.metric('rows', 6);
      job.metric('rows', to + 4);
      job.metric('bad name', 1);
      return { counted: to };
    },
    { to: 3 },
    { attempt: 2 },
  );
  expect(run).toEqual({
    ...{ outcome: 'completed', result: { counted: 3 }, error: null, ignoredAbort: false },
    ...{
      progress: [{ percent: 100, message: 'far' }],
      logs: [
        { level: 'info', message: 'counting', fields: { to: 3 } },
        {
          level: 'warn',
          message: expect.stringContaining('a metric was passed over'),
          fields: { name: 'bad name', value: 1 },
        },
      ],
      checkpoints: [{ at: 2 }],
      metrics: { rows: 7 },
    },
  });
});

it('gives the handler what a runner would', async () => {
  const seen = await runHandler(
    defineJob({ type: 'LOOK' }),
    (args, job) => ({
      args,
      last: job.lastCheckpoint,
      user: job.userId,
      left: job.timeRemainingMs() > 0,
      max: job.maxAttempts,
    }),
    { day: new Date(0) },
    { lastCheckpoint: 7, userId: 'ada', maxAttempts: 2 },
  );
  expect(seen.result).toEqual({ args: { day: '1970-01-01T00:00:00.000Z' }, last: 7, user: 'ada', left: true, max: 2 });
});

it('what a handler is given may be spread, wrapped and inherited from', async () => {
  const run = await runHandler(defineJob({ type: 'WRAP' }), (_args, job) => {
    const [spread, proxy, heir] = [{ ...job, extra: 1 }, new Proxy(job, {}), Object.create(job) as typeof job];
    for (const one of [spread, proxy, heir]) one.log.info('said', { has: one.signal === job.signal });
    spread.progress(10);
    proxy.progress(20);
    void heir.checkpoint({ at: 1 });
    return [spread, proxy, heir].map((one) => one.timeRemainingMs() > 0);
  });
  expect(run).toMatchObject({
    result: [true, true, true],
    progress: [{ percent: 10 }, { percent: 20 }],
    checkpoints: [{ at: 1 }],
    logs: Array.from({ length: 3 }, () => ({ fields: { has: true } })),
  });
});

it.each([
  ['bad arguments', () => ({ counted: 1 }), { to: 'x' }, { code: 'invalid_arguments', retryable: false }],
  ['a bad result', (() => ({ counted: 'x' })) as never, { to: 1 }, { code: 'invalid_result', retryable: false }],
  [
    'a bad checkpoint',
    (_args: unknown, job: { checkpoint: (value: unknown) => void }) => (job.checkpoint(() => 1), { counted: 1 }),
    { to: 1 },
    { code: 'invalid_checkpoint', retryable: false },
  ],
  [
    'a NonRetryableError',
    () => Promise.reject(new NonRetryableError('gone')),
    { to: 1 },
    { code: 'non_retryable', retryable: false },
  ],
])('%s is a failure', async (_name, handler, args, error) => {
  expect(await runHandler(count, handler, args)).toMatchObject({ outcome: 'failed', error });
});

it.each([
  ['a value', () => 7],
  ['a promise', async () => 7],
  ['what has a then', () => ({ then: (resolve: (value: number) => void) => resolve(7) })],
])('takes %s for the result, whenever it comes', async (_name, handler) => {
  expect(await runHandler(defineJob({ type: 'SEVEN' }), handler)).toMatchObject({ outcome: 'completed', result: 7 });
});

it('a cancel in the first turn of a handler counts, though it returns in that turn', async () => {
  const handler = (_args: unknown, job: JobContext) => (job.progress(1), 'done');
  expect(
    await runHandler(defineJob({ type: 'TURN' }), handler, {}, { onEvent: (_event, control) => control.cancel() }),
  ).toMatchObject({ outcome: 'cancelled' });
});

it('a snooze is told with its delay', async () => {
  expect(await runHandler(count, () => Promise.reject(new SnoozeError(900)), { to: 1 })).toMatchObject({
    outcome: 'snoozed',
    delayMs: 900,
  });
});

it.each([
  ['cancel', 'cancelled', 'job_cancelled'],
  ['loseLease', 'lease_lost', 'lease_lost'],
  ['expireTimeout', 'failed', 'timeout'],
  ['stopRunner', 'released', 'runner_stopping'],
] as const)('%s at the second progress ends it as %s', async (verb, outcome, code) => {
  const steps: number[] = [];
  const run = await runHandler(
    count,
    (_args, job) => {
      for (let step = 1; !job.signal.aborted; step += 1) {
        steps.push(step);
        job.progress(step);
      }
      expect(job.signal.reason).toMatchObject({ code });
      return { counted: 1 };
    },
    { to: 1 },
    { onEvent: (event, control) => event.kind === 'progress' && event.percent === 2 && control[verb]() },
  );
  expect(run.outcome).toBe(outcome);
  expect(steps).toEqual([1, 2]);
});

it('a handler that ignores its signal does not hold the test up', async () => {
  const started = startHandler(count, () => new Promise<never>(() => undefined), { to: 1 }, { abortGraceMs: 10 });
  started.expireTimeout();
  expect(await started.ended).toMatchObject({ outcome: 'failed', error: { code: 'timeout' }, ignoredAbort: true });
});

it('a printed context does not show the lease token', async () => {
  const run = await runHandler(
    defineJob({ type: 'PRINT' }),
    (_args, job) => inspect(job, { depth: 10 }) + JSON.stringify(job),
    {},
  );
  expect(run.result).toContain('PRINT');
  expect(run.result).not.toMatch(/leaseToken|Symbol/);
});
