// BullMQ over Redis.
import { Queue, Worker } from 'bullmq';
import { BULK, eachInFlight, numbers, order, play, Tally, timeOnes, timePickUps, TYPE } from './stage.mjs';

const connection = { host: '127.0.0.1', port: order.redisPort, maxRetriesPerRequest: null };
const queue = new Queue(TYPE, { connection });
const create = (n) => queue.add(TYPE, { n });

await play({ 'create-one': createOne, drain, 'pick-up': pickUp });

async function createOne() {
  await queue.waitUntilReady();
  const tookMs = await timeOnes(create);
  return { tookMs, stored: (await queue.getJobCounts('waiting')).waiting };
}

async function drain() {
  await eachInFlight(0, Math.ceil(order.count / BULK), 4, (bulk) =>
    queue.addBulk(
      numbers(bulk * BULK, Math.min(order.count, (bulk + 1) * BULK)).map((n) => ({ name: TYPE, data: { n } })),
    ),
  );
  const tally = new Tally(order.count);
  const worker = new Worker(TYPE, async (job) => tally.add(job.data.n), {
    connection,
    concurrency: 100,
    autorun: false,
  });
  await worker.waitUntilReady();
  const startedAt = performance.now();
  void worker.run();
  await tally.finished;
  // Waits for the jobs in hand to be completed.
  await worker.close();
  const tookMs = performance.now() - startedAt;
  return { tookMs, sightings: tally.sum(), stored: (await queue.getJobCounts('completed')).completed };
}

async function pickUp() {
  const tally = new Tally(order.warmUp + order.count);
  let onStart = () => undefined;
  const worker = new Worker(TYPE, async (job) => (onStart(), tally.add(job.data.n)), { connection, concurrency: 10 });
  await worker.waitUntilReady();
  const found = await timePickUps(create, (listener) => (onStart = listener));
  await worker.close();
  return { ...found, sightings: tally.sum(), stored: (await queue.getJobCounts('completed')).completed };
}
