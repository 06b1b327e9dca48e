// pg-boss over PostgreSQL.
import { PgBoss } from 'pg-boss';
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

const boss = new PgBoss({ connectionString: order.databaseUrl, max: POOL_SIZE });
boss.on('error', (error) => process.stderr.write(`${error.message}\n`));
await boss.start();
await boss.createQueue(TYPE);
const create = (n) => boss.send(TYPE, { n });
const createAll = (ns) =>
  boss.insert(
    TYPE,
    ns.map((n) => ({ data: { n } })),
  );

await play({
  'create-one': async () => ({ tookMs: await timeOnes(create), stored: await count('created') }),
  'create-bulk': async () => ({ tookMs: await timeBulks(createAll), stored: await count('created') }),
  drain: () => drain(4, 100),
  'drain-one': () => drain(64, 1),
  steady,
});

/** Loops that fetch, handle and complete jobs in batches: its fastest mode, without polling. */
async function drain(loops, batchSize) {
  await eachInFlight(0, Math.ceil(order.count / BULK), 4, (bulk) =>
    createAll(numbers(bulk * BULK, Math.min(order.count, (bulk + 1) * BULK))),
  );
  const tally = new Tally(order.count);
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: loops }, () => fetchUntil(() => tally.count >= order.count, batchSize, tally)),
  );
  const tookMs = performance.now() - startedAt;
  return { tookMs, sightings: tally.sum(), stored: await count('completed') };
}

async function steady() {
  const total = Math.round((order.perSecond * order.forMs) / 1000);
  const tally = new Tally(total);
  tell({ started: true });
  await Promise.all([createSteadily(total, create), fetchUntil(() => tally.count >= total, 20, tally)]);
  return { sightings: tally.sum(), stored: await count('completed') };
}

async function fetchUntil(isDone, batchSize, tally) {
  while (!isDone()) {
    const jobs = await boss.fetch(TYPE, { batchSize });
    for (const job of jobs) tally.add(job.data.n);
    if (jobs.length > 0)
      await boss.complete(
        TYPE,
        jobs.map((job) => job.id),
      );
    else await pause(10);
  }
}

async function count(state) {
  const { rows } = await boss
    .getDb()
    .executeSql(`SELECT count(*)::int AS count FROM pgboss.job WHERE name = '${TYPE}' AND state = '${state}'`);
  return rows[0].count;
}
