import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SendMessageCommand, type SendMessageCommandInput } from '@aws-sdk/client-sqs';
import { Client, type Job } from '@baton/runner-sdk';
import type { CreatedWebhook, deliveryList } from '@baton/runner-sdk/protocol';
import { readAllowed } from '@baton/url-policy';
import type { z } from 'zod';
import { type Line, Program } from '../e2e/support/processes';
import { AwsProxy, type Fate } from '../support/aws-proxy';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { CREDENTIALS, Fauxqs } from '../support/fauxqs';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy';

// The bridge to SQS as people start it, between a real coordinator and a server of SQS; both are cut off and killed.

type DeliveryList = z.infer<typeof deliveryList>;

let sqs: Fauxqs;
let proxy: AwsProxy;
let proxyUrl: string;
let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let way: TcpProxy;
let client: Client;
let key: string;
let folder: string;
let nth = 0;
const log: Line[] = [];
const running: Program[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'baton-sqs-'));
  sqs = await Fauxqs.open();
  proxy = new AwsProxy(sqs.port);
  proxyUrl = await proxy.listen();
  const urlPolicy = { ...readAllowed(['127.0.0.1']), isHttpAllowed: false, ports: [443] };
  coordinator = await startCoordinator({ webhooks: { urlPolicy } });
  way = await startTcpProxy({ host: '127.0.0.1', port: Number(new URL(coordinator.url).port) });
  key = await coordinator.api.makeKey({ name: 'bridge', role: 'producer' });
  client = new Client({ coordinatorUrl: coordinator.url, apiKey: coordinator.adminKey, proxy: false });
});
afterEach(async () => {
  proxy.fate = () => 'pass';
  way.heal();
  await Promise.all(
    running
      .splice(0)
      .filter((one) => !one.hasEnded)
      .map((one) => one.kill()),
  );
});
afterAll(async () => {
  await client.close();
  await way.stop();
  await coordinator.stop();
  proxy.close();
  await sqs.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Queues {
  source: string;
  dlq: string;
}

async function queues(end = ''): Promise<Queues> {
  nth += 1;
  return { source: await sqs.createQueue(`in-${nth}${end}`), dlq: await sqs.createQueue(`dlq-${nth}${end}`) };
}

function start({ source, dlq }: Queues, more: Record<string, string> = {}, words: string[] = []): Program {
  const env = {
    ...{ COORDINATOR_URL: `http://127.0.0.1:${way.port}`, RUNNER_KEY: key, ...CREDENTIALS },
    ...{ SQS_QUEUE_URL: proxyUrl + source, SQS_DLQ_URL: proxyUrl + dlq, JOB_PROCESSOR_INTERVAL: '1000' },
    ...{ INITIAL_RETRY_DELAY: '100', MAX_RETRY_DELAY: '400', VISIBILITY_TIMEOUT: '2000' },
    ...more,
  };
  const program = new Program('sqs', ['bridges/sqs/dist/index.js', ...words], { env, log });
  running.push(program);
  return program;
}

async function send(path: string, body: unknown, more: Partial<SendMessageCommandInput> = {}): Promise<string> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const { MessageId = '' } = await sqs.sqs.send(
    new SendMessageCommand({ QueueUrl: sqs.url + path, MessageBody: text, ...more }),
  );
  return MessageId;
}

async function jobsOf(type: string): Promise<Job[]> {
  const jobs: Job[] = [];
  for await (const job of client.listAll({ type })) jobs.push(job);
  return jobs.sort((one, other) => (one.id < other.id ? -1 : 1));
}

const idOf = (job: Job): unknown => (job.metadata?.['sqs'] as { messageId: string }).messageId;
const empty = (path: string) =>
  eventually(
    () => sqs.count(path),
    (count) => count === 0,
    30_000,
  );

it('makes a job of a message, with the settings of the bridge, and deletes it', async () => {
  const at = await queues();
  const id = await send(at.source, { type: 'plain', arguments: { n: 1 }, metadata: { shop: 'a' }, maxAttempts: 3 });
  start(at, { JOB_TIMEOUT: '60000' });
  await empty(at.source);
  const [job, ...others] = await jobsOf('plain');
  expect(others).toEqual([]);
  expect(job).toMatchObject({
    ...{ arguments: { n: 1 }, maxAttempts: 3, timeoutMs: 60_000 },
    ...{ retry: { strategy: 'exponential', baseMs: 100, maxMs: 400 } },
    metadata: { shop: 'a', sqs: { messageId: id, queue: at.source.split('/').at(-1), group: null } },
  });
});

it('makes jobs by templates, and sends what can never be one away with the reason', async () => {
  const at = await queues();
  const path = join(folder, 'mapping.json');
  const ships = {
    when: { 'body.detail-type': 'Order Placed' },
    job: {
      ...{ type: 'ship', queue: 'orders', userId: '{{body.detail.customer}}', tags: ['order-{{body.detail.id}}'] },
      ...{ arguments: { order: '{{body.detail}}', note: '{{attributes.note}}', none: '{{body.missing}}' } },
    },
  };
  const wrapped = { when: { 'body.Type': 'Notification' }, job: { type: 'told', arguments: '{{json body.Message}}' } };
  writeFileSync(path, JSON.stringify({ messages: [ships, wrapped] }));
  const note = { DataType: 'String', StringValue: 'careful' };
  await send(
    at.source,
    { 'detail-type': 'Order Placed', detail: { id: 7, customer: 'ada' } },
    { MessageAttributes: { note } },
  );
  await send(at.source, { Type: 'Notification', Message: JSON.stringify({ n: 5 }) });
  const lost = await send(at.source, { 'detail-type': 'Other' }, { MessageAttributes: { note } });
  await send(at.source, { 'detail-type': 'Order Placed', detail: { id: 8, customer: 9 } });
  await send(at.source, 'no JSON');
  start(at, { SQS_MAPPING: path });
  await empty(at.source);
  const [shipped] = await jobsOf('ship');
  expect(shipped).toMatchObject({
    ...{ queue: 'orders', userId: 'ada', tags: ['order-7'] },
    arguments: { order: { id: 7, customer: 'ada' }, note: 'careful' },
  });
  expect(shipped?.arguments).not.toHaveProperty('none');
  expect((await jobsOf('told')).map((job) => job.arguments)).toEqual([{ n: 5 }]);
  const letters = await sqs.take(at.dlq);
  const reasons = letters.map(({ MessageAttributes = {} }) => MessageAttributes['BatonReason']?.StringValue);
  expect(reasons.sort()).toEqual(['no_rule', 'no_rule', 'validation_failed']);
  const letter = letters.find(
    ({ MessageAttributes = {} }) => MessageAttributes['BatonMessageId']?.StringValue === lost,
  );
  expect(letter?.Body).toBe('{"detail-type":"Other"}');
  expect(letter?.MessageAttributes?.['note']?.StringValue).toBe('careful');
  const invalid = letters.find(({ Body }) => Body?.includes('"id":8'));
  expect(invalid?.MessageAttributes?.['BatonDetail']?.StringValue).toContain('userId');
});

it('keeps the order of a FIFO group', async () => {
  const at = await queues('.fifo');
  for (let n = 0; n < 30; n += 1) {
    const group = { MessageGroupId: `g${n % 3}`, MessageDeduplicationId: String(n) };
    await send(at.source, n === 9 ? 'no JSON' : { type: 'in-order', arguments: { n } }, group);
  }
  start(at);
  await empty(at.source);
  const jobs = await jobsOf('in-order');
  for (const group of [0, 1, 2]) {
    const ofGroup = jobs.filter(({ orderKey }) => orderKey === `g${group}`);
    const wanted = Array.from({ length: 10 }, (_, index) => index * 3 + group).filter((n) => n !== 9);
    expect(ofGroup.map((job) => (job.arguments as { n: number }).n)).toEqual(wanted);
  }
  expect(await sqs.count(at.dlq)).toBe(1);
});

it('holds messages while the coordinator is away, longer than their visibility timeout', async () => {
  const at = await queues();
  way.cut();
  const program = start(at, { MAX_CONCURRENT_JOBS: '3' });
  for (let n = 0; n < 3; n += 1) await send(at.source, { type: 'held', arguments: { n } });
  await program.says('a message waits for its job');
  const before = proxy.passed.get('ChangeMessageVisibilityBatch') ?? 0;
  await eventually(() => (proxy.passed.get('ChangeMessageVisibilityBatch') ?? 0) - before >= 5, Boolean, 20_000);
  // Held for more than one timeout, and given to nobody else.
  expect(await sqs.take(at.source)).toEqual([]);
  way.heal();
  await empty(at.source);
  expect(await jobsOf('held')).toHaveLength(3);
});

it('gives back what waits when it is stopped', async () => {
  const at = await queues();
  way.cut();
  const program = start(at, { VISIBILITY_TIMEOUT: '3600000' });
  await send(at.source, { type: 'given-back' });
  await program.says('a message waits for its job');
  expect(await program.endedAfter('SIGTERM', 20_000)).toEqual({ code: 0, signal: null });
  await eventually(
    () => sqs.take(at.source),
    (taken) => taken.length === 1,
  );
});

it('counts both queues, and what it did', async () => {
  const at = await queues();
  for (let n = 0; n < 4; n += 1) await send(at.source, n < 3 ? 'no JSON' : { type: 'counted' });
  const program = start(at, { RUNNER_HEALTH_PORT: '0' });
  const { url } = await program.says('health and metrics');
  await empty(at.source);
  const metrics = await eventually(
    async () => (await fetch(`${String(url)}/metrics`)).text(),
    (text) => /queue_messages\{queue="dlq",name="dlq-\d+",state="visible"\} 3/.test(text),
    20_000,
  );
  expect(metrics).toMatch(/queue_messages\{queue="source",name="in-\d+",state="visible"\} 0/);
  expect(metrics).toContain('received_total{outcome="created"} 1');
  expect(await (await fetch(`${String(url)}/healthz`)).json()).toMatchObject({
    ...{ status: 'ok', bridge: 'sqs', inHand: 0, received: { created: 1, refused: 3 } },
  });
});

it('loses nothing and doubles nothing while all are killed and answers are lost', async () => {
  const seed = Date.now() % 1_000_000;
  const random = randomOf(seed);
  const at = await queues();
  const COUNT = 150;
  const sent: string[] = [];
  const refused: string[] = [];
  proxy.fate = (): Fate => {
    const drawn = random();
    return drawn < 0.15 ? 'lose' : drawn < 0.25 ? 'refuse' : drawn < 0.3 ? { delayMs: 300 } : 'pass';
  };
  let bridge = start(at, { MAX_CONCURRENT_JOBS: '20' });
  for (let n = 0; n < COUNT; n += 1) {
    const isBad = n % 10 === 0;
    const id = await send(
      at.source,
      isBad ? { type: 'stormy', priority: 'never' } : { type: 'stormy', arguments: { n } },
    );
    (isBad ? refused : sent).push(id);
    if (n % 50 === 10) await bridge.kill();
    if (n % 50 === 12) bridge = start(at, { MAX_CONCURRENT_JOBS: '20' });
    if (n % 50 === 20) await sqs.kill();
    if (n % 50 === 20) await sqs.start();
    if (n % 50 === 30) way.cut();
    if (n % 50 === 40) way.heal();
  }
  way.heal();
  const jobs = await eventually(
    () => jobsOf('stormy'),
    (found) => found.length >= sent.length,
    60_000,
  );
  proxy.fate = () => 'pass';
  await eventually(
    () => sqs.count(at.source),
    (count) => count === 0,
    60_000,
  );
  const told = `seed ${seed}`;
  expect([told, jobs.map(idOf).sort()]).toEqual([told, sent.sort()]);
  // What was sent away may be there twice, if the answer was lost.
  const letters = (await sqs.take(at.dlq)).map(
    ({ MessageAttributes = {} }) => MessageAttributes['BatonMessageId']?.StringValue,
  );
  expect([told, [...new Set(letters)].sort()]).toEqual([told, refused.sort()]);
});

describe('out', () => {
  const RUNNER = { types: ['out'], runnerId: 'one' };

  async function webhook(port: unknown, events: string[]): Promise<CreatedWebhook> {
    const url = `http://127.0.0.1:${String(port)}/`;
    return expectStatus(await coordinator.api.post<CreatedWebhook>('/webhooks', { url, events }), 201);
  }

  /** The bridge is told the secret, and the webhook the port, so one of both is made first. */
  async function startOut(at: Queues, events: string[], more: Record<string, string>) {
    const made = await webhook(1, events);
    const program = start(at, { SQS_WEBHOOK_PORT: '0', SQS_WEBHOOK_SECRET: made.secret, ...more });
    const { url } = await program.says('receives webhooks');
    expectStatus(await coordinator.api.patch(`/webhooks/${made.id}`, { url: `${String(url)}/` }), 200);
    return { program, id: made.id, url: String(url) };
  }

  async function finish(outcome: 'completed' | 'failed', args: unknown): Promise<string> {
    const job = await client.create('out', args, { maxAttempts: 1 });
    const [claimed] = await coordinator.api.claim(RUNNER);
    if (claimed === undefined) throw new Error('nothing was claimed');
    const { id, leaseToken } = claimed;
    const said = outcome === 'completed' ? { result: { sum: 3 } } : { error: { message: 'no way', code: 'no_way' } };
    expectStatus(await coordinator.api.post(`/jobs/${id}/complete`, { leaseToken, outcome, ...said }), 200);
    return job.id;
  }

  it('sends each event with its result at least once, though answers are lost and the bridge is killed', async () => {
    const at = await queues();
    const events = await sqs.createQueue('events');
    const settings = { SQS_EVENTS_URL: proxyUrl + events, SQS_EVENTS_RESULTS: 'true' };
    let sends = 0;
    proxy.fate = (action) => (action === 'SendMessage' && (sends += 1) % 2 === 1 ? 'lose' : 'pass');
    const { program, id, url } = await startOut(at, ['job.completed'], settings);
    const first = await finish('completed', { n: 1 });
    await eventually(
      () => sqs.count(events),
      (count) => count > 0,
      20_000,
    );
    await program.kill();
    const second = await finish('completed', { n: 2 });
    const { secret } = expectStatus(
      await coordinator.api.post<CreatedWebhook>(`/webhooks/${id}/rotate`, { graceMs: 60_000 }),
      200,
    );
    start(at, { ...settings, SQS_WEBHOOK_PORT: new URL(url).port, SQS_WEBHOOK_SECRET: secret });
    await eventually(
      async () => (await coordinator.api.get<DeliveryList>(`/webhooks/${id}/deliveries`)).body.items,
      (items) => items.length === 2 && items.every(({ status }) => status === 'delivered'),
      40_000,
    );
    const bodies = (await sqs.take(events)).map(({ Body = '' }) => JSON.parse(Body) as { type: string; job: Job });
    expect(new Set(bodies.map(({ job }) => job.id))).toEqual(new Set([first, second]));
    for (const { type, job } of bodies) expect([type, job.result]).toEqual(['job.completed', { sum: 3 }]);
    await coordinator.api.delete(`/webhooks/${id}`);
  });

  it('takes nothing that the coordinator has not signed', async () => {
    const at = await queues();
    const events = await sqs.createQueue('unsigned');
    const { id, url } = await startOut(at, ['job.completed'], { SQS_EVENTS_URL: proxyUrl + events });
    const body = JSON.stringify({ type: 'job.completed', timestamp: new Date().toISOString(), data: {} });
    const headers = {
      ...{ 'webhook-id': 'a', 'webhook-timestamp': String(Math.floor(Date.now() / 1000)) },
      'webhook-signature': 'v1,AAAA',
    };
    expect((await fetch(url, { method: 'POST', body, headers })).status).toBe(401);
    expect(await sqs.count(events)).toBe(0);
    await coordinator.api.delete(`/webhooks/${id}`);
  });

  it('sends failed jobs to the dead-letter queue, and redrives them once, anew if they are gone', async () => {
    const at = await queues();
    const { id } = await startOut(at, ['job.failed'], {});
    const kept = await finish('failed', { n: 1 });
    const gone = await finish('failed', { n: 2 });
    await send(at.dlq, 'no JSON');
    await eventually(
      () => sqs.count(at.dlq),
      (count) => count === 3,
      20_000,
    );
    await coordinator.api.delete(`/webhooks/${id}`);
    await client.delete(gone);
    const redrives = start(at, { VISIBILITY_TIMEOUT: '2000' }, ['redrive']);
    expect(await redrives.says('"done"')).toEqual({ done: 2, refused: 1 });
    expect((await client.get(kept)).status).toBe('pending');
    const jobs = await jobsOf('out');
    expect(jobs.filter(({ status }) => status === 'pending').map((job) => job.arguments)).toEqual([{ n: 1 }, { n: 2 }]);
    expect(await sqs.count(at.dlq)).toBe(1);
  });

  it('does not retry a job again for a dead letter that comes twice', async () => {
    const at = await queues();
    const { id } = await startOut(at, ['job.failed'], {});
    await coordinator.api.claim({ ...RUNNER, max: 100 });
    const jobId = await finish('failed', { n: 3 });
    await eventually(
      () => sqs.count(at.dlq),
      (count) => count === 1,
      20_000,
    );
    await coordinator.api.delete(`/webhooks/${id}`);
    const [letter] = await sqs.take(at.dlq);
    // By SQS's own redrive, to the queue of the bridge.
    const again = { MessageAttributes: letter?.MessageAttributes };
    await send(at.source, letter?.Body, again);
    await eventually(
      async () => (await client.get(jobId)).status,
      (status) => status === 'pending',
      20_000,
    );
    const [claimed] = await coordinator.api.claim(RUNNER);
    const failed = { leaseToken: claimed?.leaseToken, outcome: 'failed', error: { message: 'again' } };
    expectStatus(await coordinator.api.post(`/jobs/${jobId}/complete`, failed), 200);
    await send(at.source, letter?.Body, again);
    await empty(at.source);
    expect(await client.get(jobId)).toMatchObject({ status: 'failed', attempt: 2 });
  });
});

test.each([
  [{ SQS_QUEUE_URL: 'orders' }, 'SQS_QUEUE_URL must be a URL'],
  [{ SQS_QUEUE_ULR: 'http://127.0.0.1/1/a' }, 'Did you mean SQS_QUEUE_URL?'],
  [{ MAX_CONCURRENT_JOBS: '0' }, 'MAX_CONCURRENT_JOBS is "0", but must be a whole number from 1 to 1000'],
  [{ INITIAL_RETRY_DELAY: '500' }, 'INITIAL_RETRY_DELAY must not be longer than MAX_RETRY_DELAY'],
  [{ SQS_MAPPING: '/nowhere.json' }, 'SQS_MAPPING'],
  [{ SQS_EVENTS_URL: 'http://127.0.0.1/1/a' }, 'SQS_EVENTS_URL needs SQS_WEBHOOK_PORT'],
])('says what is wrong with %j', async (settings, text) => {
  const program = start({ source: '/1/a', dlq: '/1/b' }, settings);
  expect((await program.ended).code).toBe(1);
  await eventually(() => log.some((line) => line.text.includes(text)));
});

/** The same numbers for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
