import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@baton/runner-sdk';
import { lambdaHandler } from '../../bridges/lambda/handler';
import { type Line, Program } from '../e2e/support/processes';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { type Behaviour, LambdaServer } from './lambda-server';

// The runner of Lambda functions as people start it, with AWS's own client, before a server that speaks Lambda's API.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let client: Client;
let server: LambdaServer;
let endpoint: string;
let folder: string;
let runner: Program;
const log: Line[] = [];
const FAST = { retry: { strategy: 'fixed', baseMs: 50 } } as const;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'baton-lambda-'));
  coordinator = await startCoordinator({ monitorIntervalMs: 200 });
  client = new Client({ coordinatorUrl: coordinator.url, apiKey: coordinator.adminKey, proxy: false });
  server = new LambdaServer();
  endpoint = await server.listen();
  const functions = {
    add: { function: 'adds', qualifier: 'live', finalErrors: ['ValidationError'] },
    whole: { function: 'sees-all', event: 'job' },
    later: { function: 'calls-back', mode: 'callback' },
  };
  writeFileSync(join(folder, 'functions.json'), JSON.stringify({ functions }));
  runner = start({ LAMBDA_CALLBACK_PORT: '0' });
});
beforeEach(() => {
  server.invocations.splice(0);
  server.timeoutS = 3;
});
afterAll(async () => {
  await runner.kill();
  await client.close();
  await coordinator.stop();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

function start(more: Record<string, string>): Program {
  const env = {
    ...{ COORDINATOR_URL: coordinator.url, RUNNER_KEY: coordinator.adminKey, RUNNER_LEASE_MS: '1000' },
    ...{ AWS_ACCESS_KEY_ID: 'AKIATEST', AWS_SECRET_ACCESS_KEY: 'a', AWS_REGION: 'us-east-1' },
    ...{ AWS_ENDPOINT_URL_LAMBDA: endpoint, LAMBDA_FUNCTIONS: join(folder, 'functions.json') },
    ...{ LAMBDA_THROTTLE_DELAY_MS: '100', RUNNER_WORK_DIR: join(folder, 'work') },
    ...more,
  };
  return new Program('lambda', ['bridges/lambda/dist/index.js'], { env, log });
}

/** The behaviours one after the other, the last one for ever. */
function inTurn(...behaviours: Behaviour[]): void {
  let nth = 0;
  server.behaviour = () => behaviours[Math.min(nth++, behaviours.length - 1)] ?? 'hang';
}

it('invokes the function of the type, and its answer is the result', async () => {
  inTurn({ result: { sum: 3 } });
  const job = await client.create('add', { a: 1, b: 2 });
  expect(await client.wait(job.id)).toEqual({ sum: 3 });
  const [{ clientContext, ...invocation } = { clientContext: {} }] = server.invocations;
  expect(invocation).toEqual({ function: 'adds', isAsync: false, event: { a: 1, b: 2 } });
  expect(clientContext).toMatchObject({ custom: { baton: { jobId: job.id, attempt: 1, type: 'add' } } });
  const whole = await client.create('whole', { a: 1 }, { tags: ['x'] });
  await client.wait(whole.id);
  expect(server.invocations[1]?.event).toMatchObject({ baton: { jobId: whole.id, tags: ['x'] }, arguments: { a: 1 } });
});

it('comes again later when it is throttled, and loses no attempt', async () => {
  const throttled = { status: 429, type: 'TooManyRequestsException' };
  inTurn(throttled, throttled, throttled, { result: 'done' });
  const job = await client.create('add', {}, { maxAttempts: 1 });
  expect(await client.wait(job.id)).toBe('done');
  expect(server.invocations).toHaveLength(4);
  expect(await client.get(job.id)).toMatchObject({ failures: 0, attempt: 4 });
});

test.each<[string, Behaviour, number, string]>([
  ['its own error', { error: { errorType: 'TypeError', errorMessage: 'no sum' } }, 2, 'TypeError'],
  ['a final error', { error: { errorType: 'ValidationError', errorMessage: 'no a' } }, 1, 'ValidationError'],
  [
    'one that is final everywhere',
    { error: { errorType: 'NonRetryableError', errorMessage: 'no' } },
    1,
    'NonRetryable',
  ],
  ['its timeout', { error: { errorType: 'Sandbox.Timedout', errorMessage: 'RequestId: 1' } }, 2, 'lambda_timed_out'],
  ['an error of Lambda', { status: 500, type: 'ServiceException' }, 2, 'ServiceException'],
  ['a right that is missing', { status: 403, type: 'AccessDeniedException' }, 2, 'AccessDeniedException'],
  ['a payload that is too large', { status: 413, type: 'RequestTooLargeException' }, 1, 'RequestTooLargeException'],
])('after %s it is tried again, or not', async (_name, behaviour, attempts, code) => {
  inTurn(behaviour);
  const job = await client.create('add', {}, { ...FAST, maxAttempts: 2 });
  await expect(client.wait(job.id)).rejects.toThrow('failed');
  const { failures, error } = await client.get(job.id);
  expect([failures, error?.code]).toEqual([attempts, expect.stringContaining(code)]);
  expect(server.invocations).toHaveLength(attempts);
});

it('invokes once more when the answer was lost, and says which attempt it is', async () => {
  inTurn('lose', { result: 'again' });
  const job = await client.create('add', {}, FAST);
  expect(await client.wait(job.id)).toBe('again');
  const told = server.invocations.map(({ clientContext }) => clientContext.custom?.baton);
  expect(told.map((one) => [one?.jobId, one?.attempt])).toEqual([
    [job.id, 1],
    [job.id, 2],
  ]);
});

it('keeps the lease while a function takes longer, and gives up at the timeout of the job', async () => {
  const answered = new Promise<void>((resolve) => {
    server.behaviour = async () => {
      const { id } = (await client.list({ status: 'running' })).items[0] ?? { id: '' };
      const first = (await client.get(id)).leaseExpiresAt;
      // The lease of a second has been extended twice before the function answers.
      const extended = async (from: unknown) =>
        eventually(
          async () => (await client.get(id)).leaseExpiresAt,
          (at) => at !== from,
        );
      await extended(await extended(first));
      resolve();
      return { result: 'slow' };
    };
  });
  const slow = await client.create('add', {}, { maxAttempts: 1 });
  expect(await client.wait(slow.id)).toBe('slow');
  await answered;
  server.timeoutS = null;
  inTurn('hang');
  const stuck = await client.create('whole', {}, { maxAttempts: 1, timeoutMs: 300 });
  await expect(client.wait(stuck.id)).rejects.toThrow('failed');
  expect((await client.get(stuck.id)).error?.code).toBe('timeout');
});

it('refuses a job that its function may outlive', async () => {
  inTurn({ result: 1 });
  const job = await client.create('later', {}, { timeoutMs: 1000, maxAttempts: 3 });
  server.timeoutS = 900;
  await expect(client.wait(job.id)).rejects.toThrow('may run for 900000 ms');
  expect(await client.get(job.id)).toMatchObject({ failures: 1, error: { code: 'lambda_outlives_job' } });
  expect(server.invocations).toEqual([]);
});

describe('by callback', () => {
  const context = { getRemainingTimeInMillis: () => 60_000 };
  let key = 0;

  /** Runs each event as Lambda would. */
  async function run(handler: (args: { n: number }, job: { progress: (percent: number) => void }) => unknown) {
    key += 1;
    const wrapped = lambdaHandler({ coordinatorUrl: 'http://unused', apiKey: 'none', handlers: { later: handler } });
    const events: Promise<unknown>[] = [];
    server.behaviour = ({ event }) => {
      events.push(wrapped(event, context));
      return { result: null };
    };
    return client.create('later', { n: key }, { ...FAST, maxAttempts: 2, timeoutMs: 1_000_000 });
  }

  it('the function sends its result when it is done', async () => {
    const job = await run(({ n }, { progress }) => {
      progress(50);
      return { n };
    });
    expect(await client.wait(job.id)).toEqual({ n: key });
    expect(server.invocations[0]).toMatchObject({ isAsync: true, event: { arguments: { n: key } } });
  });

  it('and its error', async () => {
    const job = await run(() => {
      throw Object.assign(new Error('no'), { name: 'NonRetryableError', code: 'bad_input' });
    });
    await expect(client.wait(job.id)).rejects.toThrow('no');
    expect(await client.get(job.id)).toMatchObject({ failures: 1, error: { code: 'bad_input' } });
  });

  it('whoever has not the token is refused', async () => {
    server.behaviour = () => ({ result: null });
    const job = await client.create('later', {}, { timeoutMs: 1_000_000 });
    const event = await eventually(
      () => server.invocations[0]?.event as { baton: { callbackUrl: string } } | undefined,
    );
    const url = event?.baton.callbackUrl ?? '';
    const post = (to: string) => fetch(to, { method: 'POST', body: '{"result":1}' }).then(({ status }) => status);
    expect(await post(url.replace(/[^/]+$/, 'AAAA'))).toBe(403);
    expect(await post(url.replace(/callbacks\/[^/]+/, 'callbacks/other'))).toBe(410);
    expect(await post(url)).toBe(204);
    expect(await client.wait(job.id)).toBe(1);
    expect(await post(url)).toBe(410);
  });
});

test.each<[Record<string, string>, string]>([
  [{ LAMBDA_FUNCTIONS: '/nowhere' }, 'LAMBDA_FUNCTIONS'],
  [{}, 'needs LAMBDA_CALLBACK_PORT'],
])('says what is wrong with %j', async (settings, text) => {
  const program = start(settings);
  expect((await program.ended).code).toBe(1);
  expect(log.some((line) => line.text.includes(text))).toBe(true);
});
