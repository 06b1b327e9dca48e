import { Client } from '@baton/runner-sdk';
import { Webhook } from 'standardwebhooks';
import { type LambdaHandlerOptions, lambdaHandler } from '../../bridges/lambda/handler';
import { AwsProxy } from '../support/aws-proxy';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';

// The wrapper within a Lambda function, called as Lambda calls it, against a real coordinator.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let client: Client;
let key: string;
let proxy: AwsProxy;
let proxyUrl: string;
const context = { functionName: 'worker', getRemainingTimeInMillis: () => 60_000 };

beforeAll(async () => {
  coordinator = await startCoordinator({ monitorIntervalMs: 200 });
  key = await coordinator.api.makeKey({ name: 'lambda', role: 'runner' });
  client = new Client({ coordinatorUrl: coordinator.url, apiKey: coordinator.adminKey, proxy: false });
  proxy = new AwsProxy(Number(new URL(coordinator.url).port));
  proxyUrl = await proxy.listen();
});
afterEach(() => (proxy.fate = () => 'pass'));
afterAll(async () => {
  await client.close();
  proxy.close();
  await coordinator.stop();
});

function wrap(handlers: LambdaHandlerOptions['handlers'], more: Partial<LambdaHandlerOptions> = {}) {
  return lambdaHandler({ coordinatorUrl: proxyUrl, apiKey: key, handlers, leaseMs: 1000, ...more });
}

function messages(count: number, type?: string) {
  return {
    Records: Array.from({ length: count }, (_, index) => ({
      ...{ messageId: `m${index}`, eventSource: 'aws:sqs', body: '{}' },
      messageAttributes: type === undefined ? {} : { BatonJobType: { stringValue: type } },
    })),
  };
}

it('runs a job for each message of SQS, and no more', async () => {
  const handler = wrap({ double: ({ n }: { n: number }) => 2 * n });
  const jobs = await client.createMany('double', [{ n: 1 }, { n: 2 }, { n: 3 }]);
  expect(await handler(messages(2, 'double'), context)).toEqual({ batchItemFailures: [] });
  // One more message than jobs, and one of a type that is not ours.
  expect(await handler(messages(2), context)).toEqual({ batchItemFailures: [] });
  expect(await handler(messages(1, 'other'), context)).toEqual({ batchItemFailures: [] });
  expect(await Promise.all(jobs.map((job) => client.wait(job)))).toEqual([2, 4, 6]);
});

it('lets messages come again when the coordinator is away or there is no time, and not when a job failed', async () => {
  const handler = wrap({
    breaks: () => {
      throw new Error('broken');
    },
  });
  const job = await client.create('breaks', {}, { maxAttempts: 1 });
  proxy.fate = () => 'refuse';
  const short = { getRemainingTimeInMillis: () => 12_000 };
  const all = { batchItemFailures: [{ itemIdentifier: 'm0' }, { itemIdentifier: 'm1' }] };
  expect(await handler(messages(2, 'breaks'), short)).toEqual(all);
  proxy.fate = () => 'pass';
  expect(await handler(messages(2, 'breaks'), { getRemainingTimeInMillis: () => 1000 })).toEqual(all);
  expect(await handler(messages(1, 'breaks'), context)).toEqual({ batchItemFailures: [] });
  expect(await client.get(job.id)).toMatchObject({ status: 'failed', error: { message: 'broken', code: 'Error' } });
});

it('loses and doubles nothing while answers are lost', async () => {
  const ran: number[] = [];
  const handler = wrap({ counted: ({ n }: { n: number }) => ran.push(n) });
  let calls = 0;
  proxy.fate = () => ((calls += 1) % 2 === 1 ? 'lose' : 'pass');
  const jobs = await client.createMany(
    'counted',
    Array.from({ length: 20 }, (_, n) => ({ n })),
  );
  expect(await handler({ source: 'aws.events' }, context)).toEqual({ completed: 20, failed: 0, released: 0, lost: 0 });
  expect(ran.sort((one, other) => one - other)).toEqual(Array.from({ length: 20 }, (_, n) => n));
  for (const job of jobs) expect(await client.get(job.id)).toMatchObject({ status: 'completed', attempt: 1 });
});

it('extends the lease, tells progress, keeps checkpoints, and hears of a cancel', async () => {
  const seen: unknown[] = [];
  const handler = wrap({
    long: async (_args: unknown, job) => {
      seen.push(job.lastCheckpoint);
      if (job.attempt === 1) {
        await job.checkpoint({ at: 7 });
        throw Object.assign(new Error('later'), { name: 'SnoozeError', delayMs: 0 });
      }
      job.progress(40, 'half');
      await new Promise<void>((resolve) => job.signal.addEventListener('abort', () => resolve()));
      seen.push((job.signal.reason as { code: string }).code);
    },
  });
  const job = await client.create('long');
  const running = handler({}, context);
  await eventually(
    async () => (await client.get(job.id)).progress,
    (progress) => progress?.message === 'half',
  );
  await client.cancel(job.id);
  expect(await running).toEqual({ completed: 0, failed: 0, released: 1, lost: 1 });
  expect(seen).toEqual([null, { at: 7 }, 'job_cancelled']);
});

it('reports before the time of the function is over', async () => {
  const handler = wrap({ hangs: () => new Promise(() => undefined) }, { leastMs: 100 });
  const job = await client.create('hangs', {}, { maxAttempts: 1 });
  const endsAt = performance.now() + 3000;
  const summary = await handler({}, { getRemainingTimeInMillis: () => Math.max(0, endsAt - performance.now()) });
  expect(summary).toMatchObject({ failed: 1 });
  expect(await client.get(job.id)).toMatchObject({ status: 'failed', error: { code: 'timeout' } });
});

it('fails a job whose result is refused', async () => {
  const handler = wrap({ huge: () => 'x'.repeat(400_000) });
  const job = await client.create('huge', {}, { maxAttempts: 3 });
  expect(await handler({}, context)).toMatchObject({ failed: 1 });
  expect(await client.get(job.id)).toMatchObject({ status: 'failed', error: { code: 'payload_too_large' } });
});

it('takes HTTP requests as triggers, if they are signed', async () => {
  const secret = `whsec_${Buffer.from('a secret of 24 bytes....').toString('base64')}`;
  const handler = wrap({ hook: () => 'hooked' }, { webhookSecret: secret });
  const job = await client.create('hook');
  const body = JSON.stringify({ type: 'job.created', timestamp: new Date().toISOString(), data: { jobId: job.id } });
  const at = new Date();
  const headers = {
    ...{ 'Webhook-Id': 'one', 'Webhook-Timestamp': String(Math.floor(at.getTime() / 1000)) },
    'Webhook-Signature': new Webhook(secret).sign('one', at, body),
  };
  const event = { requestContext: { http: {} }, headers, body };
  expect(await handler({ ...event, body: `${body} ` }, context)).toMatchObject({ statusCode: 401 });
  expect((await client.get(job.id)).status).toBe('pending');
  const encoded = { ...event, body: Buffer.from(body).toString('base64'), isBase64Encoded: true };
  expect(await handler(encoded, context)).toMatchObject({
    statusCode: 200,
    body: expect.stringContaining('"completed":1'),
  });
  expect(await client.wait(job.id)).toBe('hooked');
});
