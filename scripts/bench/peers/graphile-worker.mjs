// graphile-worker over PostgreSQL.
import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import {
  eachInFlight,
  BULK,
  createSteadily,
  numbers,
  order,
  pause,
  play,
  POOL_SIZE,
  Tally,
  tell,
  timeBulks,
  timeOnes,
  TYPE,
} from './stage.mjs';

const logger = new Logger(() => (level, message) => {
  if (level === 'error' || level === 'warning') process.stderr.write(`${message}\n`);
});
const utils = await makeWorkerUtils({ connectionString: order.databaseUrl, maxPoolSize: POOL_SIZE, logger });
await utils.migrate();
const create = (n) => utils.addJob(TYPE, { n });
const createAll = (ns) => utils.addJobs(ns.map((n) => ({ identifier: TYPE, payload: { n } })));

/** Its fastest mode: jobs are fetched and completed in batches. */
const BATCHED = { concurrentJobs: 100, localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };

await play({
  'create-one': async () => ({ tookMs: await timeOnes(create), stored: await count() }),
  'create-bulk': async () => ({ tookMs: await timeBulks(createAll), stored: await count() }),
  drain: () => drain(BATCHED),
  'drain-one': () => drain({ concurrentJobs: 64 }),
  steady,
});

async function drain(worker) {
  await eachInFlight(0, Math.ceil(order.count / BULK), 4, (bulk) =>
    createAll(numbers(bulk * BULK, Math.min(order.count, (bulk + 1) * BULK))),
  );
  const tally = new Tally(order.count);
  const startedAt = performance.now();
  const runner = await start(worker, tally);
  await tally.finished;
  await untilEmpty();
  const tookMs = performance.now() - startedAt;
  await runner.stop();
  return { tookMs, sightings: tally.sum(), left: await count() };
}

/** Stopping it does not wait for completions under way. */
async function untilEmpty() {
  const until = performance.now() + 10_000;
  while ((await count()) > 0 && performance.now() < until) await pause(2);
}

async function steady() {
  const total = Math.round((order.perSecond * order.forMs) / 1000);
  const tally = new Tally(total);
  const runner = await start({ concurrentJobs: 20 }, tally);
  tell({ started: true });
  await createSteadily(total, create);
  await tally.finished;
  await untilEmpty();
  await runner.stop();
  return { sightings: tally.sum(), left: await count() };
}

function start(worker, tally) {
  return run({
    preset: {
      worker: { connectionString: order.databaseUrl, maxPoolSize: POOL_SIZE, pollInterval: 2000, logger, ...worker },
    },
    noHandleSignals: true,
    taskList: { [TYPE]: async (payload) => tally.add(payload.n) },
  });
}

async function count() {
  const { rows } = await utils.withPgClient((client) =>
    client.query('SELECT count(*)::int AS count FROM graphile_worker.jobs'),
  );
  return rows[0].count;
}
