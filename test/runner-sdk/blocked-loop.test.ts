import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Runner, type JobContext } from '@baton/runner-sdk';
import { testLogger } from './fake-coordinator';

const LEASE_MS = 600;

/** A coordinator on a thread of its own, with leases that it ends itself: this test blocks the main thread. */
const SERVER = `
const { createServer } = require('node:http');
const { parentPort } = require('node:worker_threads');
const now = () => Number(process.hrtime.bigint()) / 1e6;
const job = { id: 'job', type: 'TEST', queue: 'default', arguments: {}, attempt: 1, maxAttempts: 3, leaseToken: 'token', leaseMs: ${LEASE_MS},
  timeoutMs: 60000, metadata: null, tags: [], userId: null, dependencies: {}, checkpoint: null, traceparent: null };
let leaseEndsAt = 0, beats = 0, longestGap = 0, lastAt = 0, progress = [];
createServer(async (request, response) => {
  let text = '';
  for await (const chunk of request) text += chunk;
  const body = JSON.parse(text);
  const answer = (reply) => response.end(JSON.stringify(reply));
  if (request.url === '/jobs/claim') {
    if (lastAt > 0) return;
    leaseEndsAt = (lastAt = now()) + job.leaseMs;
    return answer({ jobs: [job], directives: {} });
  }
  if (request.url === '/jobs/heartbeat') {
    const isLost = now() > leaseEndsAt;
    beats += 1;
    leaseEndsAt = now() + job.leaseMs;
    for (const entry of body.jobs) if (entry.progress) progress.push(entry.progress.percent);
    return answer({ jobs: body.jobs.map(({ jobId }) => (isLost ? { jobId, code: 'lease_lost' } : { jobId, leaseExpiresAt: '' })), directives: {} });
  }
  const isLate = now() > leaseEndsAt;
  answer({ results: [isLate ? { jobId: 'job', code: 'lease_lost', detail: '' } : { jobId: 'job', status: 'completed', attempt: 1 }], jobs: [], directives: {} });
  parentPort.postMessage({ isLate, beats, progress, completion: body.completions[0] });
}).listen(0, '127.0.0.1', function () { parentPort.postMessage(this.address().port); });
`;

interface Told {
  isLate: boolean;
  beats: number;
  progress: number[];
  completion: { result: unknown };
}

/** Runs one job whose handler blocks the event loop for five leases from its first instant. */
async function blockWith(handler: (endsAtMs: number, job: JobContext) => void): Promise<Told> {
  const server = new Worker(SERVER, { eval: true });
  const [port] = (await once(server, 'message')) as [number];
  const runner = new Runner({
    coordinatorUrl: `http://127.0.0.1:${port}`,
    apiKey: 'key',
    signals: false,
    logger: testLogger(),
    concurrency: 1,
  });
  runner.handle('TEST', (_args, job) => {
    handler(Date.now() + 5 * LEASE_MS, job);
    return { wasAborted: job.signal.aborted };
  });
  await runner.start();
  const [told] = (await once(server, 'message')) as [Told];
  await runner.stop({ graceMs: 0 });
  await server.terminate();
  return told;
}

it('a handler that blocks the event loop for five leases keeps its lease, and its progress is heard', async () => {
  const told = await blockWith((endsAtMs, job) => {
    for (let percent = 0; Date.now() < endsAtMs; percent = Math.min(99, percent + 0.001)) job.progress(percent);
  });
  expect(told.isLate).toBe(false);
  expect(told.completion.result).toEqual({ wasAborted: false });
  expect(told.beats).toBeGreaterThanOrEqual(5);
  expect(told.progress.length).toBeGreaterThan(1);
});

it('so does one that says nothing: its lease was put up before it began', async () => {
  const told = await blockWith((endsAtMs) => {
    while (Date.now() < endsAtMs);
  });
  expect(told).toMatchObject({ isLate: false, completion: { result: { wasAborted: false } } });
  expect(told.beats).toBeGreaterThanOrEqual(5);
});
