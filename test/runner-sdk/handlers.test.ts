import { AsyncLocalStorage } from 'node:async_hooks';
import { getMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  defineJob,
  type Handler,
  type HandlerObject,
  RetryAfterError,
  Runner,
  type RunnerOptions,
  SnoozeError,
} from '@baton/runner-sdk';
import { runHandler } from '@baton/runner-sdk/testing';
import { FakeCoordinator, gate, testLogger } from './fake-coordinator';

const TEST = defineJob({ type: 'TEST' });
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

async function run(handler: Handler | HandlerObject, options: RunnerOptions = {}): Promise<Runner> {
  const connection = { coordinatorUrl: coordinator.url, apiKey: 'key', signals: false, logger };
  runner = new Runner({ ...connection, concurrency: 4, abortGraceMs: 200, ...options });
  runner.handle('TEST', handler);
  await runner.start();
  return runner;
}

const line = (text: string) => logger.lines.find(({ message }) => message.includes(text));

describe('async contexts', () => {
  const als = new AsyncLocalStorage<string>();

  it.each([1, 4])('what one job enters is not found by the next, with %i at once', async (concurrency) => {
    const found: unknown[] = [];
    const jobs = ['a', 'b', 'c', 'd'].map((tenant) => coordinator.add({ arguments: { tenant } }));
    await als.run('whoever starts the runner', () =>
      run(
        async (args) => {
          found.push(als.getStore());
          als.enterWith((args as { tenant: string }).tenant);
          await Promise.resolve();
          found.push(als.getStore());
        },
        { concurrency },
      ),
    );
    await Promise.all(jobs.map((job) => coordinator.report(job)));
    expect(found.filter((one) => one !== undefined).sort()).toEqual(['a', 'b', 'c', 'd']);
    expect(found).toHaveLength(8);
  });

  it('loggers are in none, and listeners of the signal and callbacks in their own job’s', async () => {
    const seen: Record<string, unknown> = {};
    const note = (name: string) => void (seen[name] = als.getStore());
    const listening = gate();
    const logged: unknown[] = [];
    const write = () => void logged.push(als.getStore());
    const job = coordinator.add();
    await als.run('starter', () =>
      run(
        {
          handle: async (_args, { signal, progress }) => {
            als.enterWith('mine');
            signal.addEventListener('abort', () => note('listener'));
            progress(1);
            listening.open();
            await sleep(60_000, null, { signal });
          },
          onProgress: () => note('onProgress'),
          onError: () => note('onError'),
        },
        { logger: { debug: write, info: write, warn: write, error: write } },
      ),
    );
    await listening.opened;
    await als.run('stopper', () => runner?.stop({ graceMs: 0 }));
    await coordinator.until('the release', () => coordinator.released.some(({ jobId }) => jobId === job.id));
    expect(seen).toEqual({ listener: 'mine', onProgress: 'mine' });
    expect(logged.length).toBeGreaterThan(1);
    expect(new Set(logged)).toEqual(new Set([undefined]));
  });

  it('runHandler gives a handler one of its own too, and the test’s functions the test’s', async () => {
    const seen: unknown[] = [];
    await als.run('test', async () => {
      const handler: Handler = async (_args, job) => {
        seen.push(als.getStore());
        als.enterWith('job');
        job.progress(1);
      };
      await runHandler(TEST, handler, {}, { onEvent: () => seen.push(als.getStore()) });
      await runHandler(TEST, handler, {}, { onEvent: () => seen.push(als.getStore()) });
      seen.push(als.getStore());
    });
    expect(seen).toEqual([undefined, 'test', undefined, 'test', 'test']);
  });
});

describe('delays that are no number', () => {
  it('leave the job’s own backoff in place, with a warning', async () => {
    const job = coordinator.add();
    await run(() => Promise.reject(new RetryAfterError(Number.NaN)));
    expect((await coordinator.report(job)).error).not.toHaveProperty('retryAfterMs');
    expect(line('the delay of a RetryAfterError is NaN')).toMatchObject({ level: 'warn', fields: { jobId: job.id } });
  });

  it('make a snooze a failure, whose tries end', async () => {
    expect(await runHandler(TEST, () => Promise.reject(new SnoozeError(Number.NaN)))).toMatchObject({
      outcome: 'failed',
      error: { code: 'invalid_delay', retryable: true, message: expect.stringContaining('SnoozeError is NaN') },
    });
    expect(await runHandler(TEST, () => Promise.reject(new SnoozeError(Infinity)))).toMatchObject({
      delayMs: 30 * 86_400_000,
    });
  });

  it.each([NaN, -1, '5' as never])('a grace of %p is refused', (graceMs) => {
    const connection = { coordinatorUrl: 'http://127.0.0.1:1', apiKey: 'key' };
    expect(() => new Runner({ ...connection, graceMs })).toThrow('graceMs must be a number of milliseconds');
    expect(() => new Runner({ ...connection, abortGraceMs: graceMs })).toThrow('abortGraceMs must be');
  });
});

describe('progress', () => {
  it('takes numbers as text and null for no message, and keeps the percent when it is given none', async () => {
    const handler = (_args: unknown, job: { progress: (percent: never, message?: null) => void }) => {
      for (const percent of ['50', NaN, null, undefined, Infinity]) job.progress(percent as never, null);
    };
    const { progress } = await runHandler(TEST, handler as Handler);
    expect(progress).toEqual([50, 50, 50, 50, 100].map((percent) => ({ percent })));
  });
});

describe('an awaited checkpoint', () => {
  it('is sent at once, and resolves when it is stored', async () => {
    const job = coordinator.add({ leaseMs: 600_000 });
    const stored: unknown[] = [];
    await run(async (_args, { checkpoint }) => {
      for (const at of [1, 2]) {
        void checkpoint({ skipped: at });
        await checkpoint({ at });
        stored.push(
          coordinator
            .calls('POST /jobs/heartbeat')
            .flatMap(({ body }) => body.jobs)
            .at(-1)?.checkpoint,
        );
      }
    });
    await coordinator.report(job);
    expect(stored).toEqual([{ at: 1 }, { at: 2 }]);
  });

  it('rejects when the lease is lost, and is nobody’s fault when it is not awaited', async () => {
    const job = coordinator.add();
    coordinator.verdicts.set(job.id, 'lease_lost');
    const seen = gate();
    let reason: unknown;
    await run(async (_args, { checkpoint }) => {
      void checkpoint({ at: 1 });
      await checkpoint({ at: 2 }).catch((error: unknown) => (reason = error));
      void checkpoint({ at: 3 });
      seen.open();
    });
    await seen.opened;
    expect(reason).toMatchObject({ code: 'lease_lost' });
  });
});

it('the figures of a handler go with its report', async () => {
  const job = coordinator.add();
  await run((_args, { metric }) => {
    metric('rows', 5);
    metric('rows', 6);
    metric('constructor', 7);
    for (const [name, value] of [
      ['__proto__', 8],
      ['nan', NaN],
    ] as const)
      metric(name, value);
  });
  const { metrics } = await coordinator.report(job);
  expect(JSON.stringify(metrics)).toContain('"custom":{"rows":6,"constructor":7}');
});

it('any number of calls may listen to one signal without a warning', async () => {
  const { result } = await runHandler(TEST, (_args, { signal }) => getMaxListeners(signal) === Infinity);
  expect(result).toBe(true);
});

describe('generators', () => {
  const generator = async function* () {
    yield 1;
  };

  it('are refused as handlers, by the compiler and by handle', () => {
    const connection = { coordinatorUrl: 'http://127.0.0.1:1', apiKey: 'key' };
    // @ts-expect-error its body would never run
    expect(() => new Runner(connection).handle('G', generator)).toThrow('a generator function');
    // @ts-expect-error its body would never run
    expect(() => new Runner(connection).handle(TEST, { handle: generator })).toThrow('a generator function');
    expect(() => new Runner(connection).handle('G', { onError: () => 1 } as never)).toThrow('must be a function, or {');
  });

  it('fail a job whose handler returns one all the same', async () => {
    const wrapper: Handler = () => generator();
    expect(await runHandler(TEST, wrapper)).toMatchObject({
      outcome: 'failed',
      error: { code: 'invalid_result', retryable: false, message: expect.stringContaining('iterator') },
    });
  });
});

describe('stop called by a handler', () => {
  it('returns at once, warns, and lets the handler’s result count', async () => {
    const job = coordinator.add();
    const handler: Handler = async () => {
      await runner?.stop({ graceMs: 0 });
      await sleep(50);
      return 'ok';
    };
    await run(handler);
    expect(await coordinator.report(job)).toMatchObject({ outcome: 'completed', result: 'ok' });
    await runner?.stop();
    expect(coordinator.released).toEqual([]);
    expect(line('stop() was called by a handler')).toMatchObject({ level: 'warn', fields: { jobId: job.id } });
  });
});

describe('failed attempts', () => {
  it('are logged with what comes next, and the stack at first', async () => {
    const [first, second, last] = [coordinator.add(), coordinator.add(), coordinator.add()];
    const runAt = '2030-01-01T00:00:00.000Z';
    for (const job of [first, second]) coordinator.completionReplies.set(job.id, { status: 'pending', runAt });
    await run(() => Promise.reject(new Error('no disk')), { concurrency: 1 });
    await coordinator.until(
      'three lines',
      () => logger.lines.filter(({ fields }) => fields['error'] === 'no disk').length === 3,
    );
    const lines = logger.lines.filter(({ fields }) => fields['error'] === 'no disk');
    expect(lines).toMatchObject([
      {
        level: 'warn',
        message: `an attempt failed; it is tried again at ${runAt}`,
        fields: {
          jobId: first.id,
          type: 'TEST',
          attempt: 1,
          maxAttempts: 3,
          retryAt: runAt,
          stack: expect.any(String),
        },
      },
      { level: 'warn', fields: { jobId: second.id } },
      { level: 'error', message: expect.stringContaining('failed for good'), fields: { jobId: last.id } },
    ]);
    expect(lines[1]?.fields).not.toHaveProperty('stack');
  });

  it('are told to onError with what comes next; no callback changes the outcome', async () => {
    const [retried, dead, fine] = [1, 2, 3].map((n) => coordinator.add({ arguments: { n } }));
    const runAt = '2030-01-01T00:00:00.000Z';
    coordinator.completionReplies.set(retried?.id ?? '', { status: 'pending', runAt });
    const told: unknown[] = [];
    await run({
      handle: (args) =>
        (args as { n: number }).n < 3 ? Promise.reject(new Error(`no ${(args as { n: number }).n}`)) : 7,
      onError: (error, job, next) => {
        told.push([job.id, (error as Error).message, next]);
        throw new Error('of the callback');
      },
      onComplete: async (result, job) => {
        told.push([job.id, result]);
        await Promise.reject(new Error('of the callback'));
      },
    });
    await coordinator.until('all callbacks', () => told.length === 3);
    expect(told).toEqual(
      expect.arrayContaining([
        [retried?.id, 'no 1', { willRetry: true, retryAt: new Date(runAt) }],
        [dead?.id, 'no 2', { willRetry: false, retryAt: null }],
        [fine?.id, 7],
      ]),
    );
    await runner?.stop();
    expect([...coordinator.completed.values()].map(({ outcome }) => outcome).sort()).toEqual([
      'completed',
      'failed',
      'failed',
    ]);
    expect(logger.lines.filter(({ message }) => message.startsWith('a callback of a handler threw'))).toHaveLength(3);
  });
});

describe('levels of the log', () => {
  it('each job at debug, nothing at silent, and a logger that throws costs nothing', async () => {
    const job = coordinator.add();
    await run(() => null, { logLevel: 'debug' });
    await coordinator.report(job);
    expect(line('an attempt completed')).toMatchObject({ level: 'debug', fields: { jobId: job.id } });
    await runner?.stop();
    logger.lines.length = 0;
    const quiet = coordinator.add();
    await run(() => Promise.reject(new Error('x')), { logLevel: 'silent' });
    await coordinator.report(quiet);
    await runner?.stop();
    expect(logger.lines).toEqual([]);
    const fails = () => {
      throw new Error('the disk is full');
    };
    const loud = coordinator.add();
    await run(() => 1, { logger: { debug: fails, info: fails, warn: fails, error: fails } });
    expect(await coordinator.report(loud)).toMatchObject({ outcome: 'completed' });
  });
});
