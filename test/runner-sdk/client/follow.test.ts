import { getEventListeners } from 'node:events';
import { Client, type ClientEvent } from '@baton/runner-sdk';
import type { JobEvent } from '@baton/runner-sdk/protocol';
import { parseFrames, type Frame } from '../../../runner-sdk/client/event-stream';
import { type Cluster, startCluster, type TestCoordinator } from '../../support/coordinator';
import { eventually } from '../../support/eventually';
import { uniqueType } from '../../support/factory';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy';

let cluster: Cluster;
let one: TestCoordinator;
let proxy: TcpProxy;
let client: Client;

beforeAll(async () => {
  cluster = await startCluster(1);
  [one] = cluster.coordinators as [TestCoordinator];
  proxy = await startTcpProxy({ host: '127.0.0.1', port: Number(new URL(one.url).port) });
  client = new Client({ coordinatorUrl: `http://127.0.0.1:${proxy.port}`, apiKey: cluster.adminKey });
});
afterAll(async () => {
  await client.close();
  await proxy.stop();
  await cluster.stop();
});

const listeners = () => one.app.context.stream.listeners;
const listening = (count = 1) => eventually(() => listeners() === count);
const claimOne = (type: string) => one.api.claimOne({ runnerId: 'r', types: [type] });
const progress = (id: string, leaseToken: string, percent: number) =>
  one.api.post(`/jobs/${id}/heartbeat`, { leaseToken, progress: { percent, message: `${percent} %` } });
const complete = (id: string, leaseToken: string) =>
  one.api.post(`/jobs/${id}/complete`, { leaseToken, outcome: 'completed', result: { ok: true } });

/** Reads in the background: the events so far, and when the loop is over. */
function collect<Event>(events: AsyncIterable<Event>): { seen: Event[]; over: Promise<void> } {
  const seen: Event[] = [];
  const over = (async () => {
    for await (const event of events) seen.push(event);
  })();
  over.catch(() => undefined);
  return { seen, over };
}

it('watches a job until it has finished, and one that has finished before', async () => {
  const type = uniqueType();
  const job = await client.create(type);
  const { seen, over } = collect<JobEvent>(client.watch(job));
  await listening();
  const { leaseToken } = await claimOne(type);
  await progress(job.id, leaseToken, 40);
  await complete(job.id, leaseToken);
  await over;
  expect(seen.map(({ name }) => name)).toEqual(['job.claimed', 'job.progress', 'job.completed']);
  await listening(0);
  const late = collect<JobEvent>(client.watch(job.id));
  await late.over;
  expect(late.seen).toMatchObject([{ name: 'job.completed', status: 'completed', jobId: job.id }]);
  await expect(client.watch('0198c5a0-0000-7000-8000-000000000000').next()).rejects.toMatchObject({
    code: 'not_found',
  });
});

it('goes on after the last event when its connection breaks', async () => {
  const type = uniqueType();
  const events = client.events({ type });
  const { seen, over } = collect<ClientEvent>(events);
  await listening();
  const [first] = [await client.create(type)];
  await eventually(() => seen.length === 1);
  proxy.cut();
  await listening(0);
  const missed = await one.api.create({ type });
  proxy.heal();
  await eventually(() => seen.length === 2);
  expect(seen.map((event) => 'jobId' in event && event.jobId)).toEqual([first?.id, missed.id]);
  // Left while it waits for an event.
  await events.return();
  await over;
  await listening(0);
});

it('is left by its signal with the reason, and by the end of the loop, without a trace', async () => {
  const type = uniqueType();
  const control = new AbortController();
  const { over } = collect(client.events({ type }, { signal: control.signal }));
  await listening();
  const reason = new Error('enough');
  control.abort(reason);
  await expect(over).rejects.toBe(reason);
  await listening(0);
  const open = new AbortController();
  for (let round = 0; round < 3; round += 1) {
    const events = client.events({ type }, { signal: open.signal });
    const next = events.next();
    await listening();
    await client.create(type);
    expect((await next).value).toMatchObject({ name: 'job.created' });
    await events.return();
    await listening(0);
  }
  expect(getEventListeners(open.signal, 'abort').length).toBeLessThanOrEqual(1);
});

it('tells those who wait of the progress, also of the last', async () => {
  const type = uniqueType();
  const job = await client.create(type);
  const told: unknown[] = [];
  const waiting = client.wait(job, { onProgress: ({ percent }) => told.push(percent) });
  await listening();
  const { leaseToken } = await claimOne(type);
  await progress(job.id, leaseToken, 10);
  await eventually(() => told.length === 1);
  await progress(job.id, leaseToken, 90);
  await complete(job.id, leaseToken);
  expect(await waiting).toEqual({ ok: true });
  expect(told).toEqual([10, 90]);
  await listening(0);
});

const failed = new Error('from the callback');

it.each([
  [
    'throws',
    () => {
      throw failed;
    },
  ],
  ['rejects', () => Promise.reject(failed)],
])('a callback that %s ends the wait with that', async (_how, onProgress) => {
  const type = uniqueType();
  const job = await client.create(type);
  const waiting = client.wait(job, { onProgress });
  waiting.catch(() => undefined);
  await listening();
  const { leaseToken } = await claimOne(type);
  await progress(job.id, leaseToken, 10);
  await expect(waiting).rejects.toBe(failed);
  await listening(0);
});

it('a callback that rejects when it is told of a gap ends the stream with that', async () => {
  const events = client.events({ type: uniqueType() }, { lastEventId: '0', onGap: () => Promise.reject(failed) });
  await expect(events.next()).rejects.toBe(failed);
});

it('a wait that is over tells why the job has not finished', async () => {
  const job = await client.create(uniqueType());
  await expect(client.wait(job, { timeoutMs: 50 })).rejects.toMatchObject({
    code: 'wait_timeout',
    detail: expect.stringMatching(/within 50 ms; it is pending: .*runner/i),
  });
});

it('waits take no connection from other calls', async () => {
  const job = await client.create(uniqueType());
  const control = new AbortController();
  const waits = Array.from({ length: 100 }, () => client.wait(job, { signal: control.signal }));
  const ended = Promise.allSettled(waits);
  // Sooner than the waits give their connections back.
  await client.create(uniqueType(), {}, { signal: AbortSignal.timeout(15_000) });
  control.abort();
  await ended;
});

it.each([
  ['event: a\nid: 1\ndata: {"x":1}\n\n: heartbeat\n\nevent: b\ndata: [1,\ndata: 2]\n\n', [1, 2]],
  ['event: a\r\nid: 1\r\ndata: {"x":1}\r\n\r\nevent: b\r\ndata: [1,2]\r\n\r\n', [1, 2]],
  ['event:a\rid:1\rdata:{"x":1}\r\revent:b\rdata:[1,2]\r\r.', [1, 2]],
])('reads frames however %j is cut', async (text, list) => {
  for (let size = 1; size < 8; size += 1) {
    const frames: Frame[] = [];
    const pieces = (async function* () {
      for (let at = 0; at < text.length; at += size) yield await Promise.resolve(text.slice(at, at + size));
    })();
    for await (const frame of parseFrames(pieces)) frames.push(frame);
    expect(frames).toEqual([
      { event: 'a', id: '1', data: { x: 1 } },
      { event: 'b', id: '', data: list },
    ]);
  }
});
