// Shared by the scripts of all peers: parameters, reporting, counting.

/**
 * @type {{ task: string, databaseUrl?: string, redisPort?: number, warmUp?: number, count: number, inFlight?: number,
 * perSecond?: number, forMs?: number }}
 */
export const order = JSON.parse(process.argv[2]);
export const TYPE = 'noop';
export const BULK = 500;
export const POOL_SIZE = 20;

export function tell(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

/** Runs the requested task, reports its result and ends. */
export async function play(tasks) {
  process.stdin.on('end', () => process.exit(1)).resume();
  process.on('SIGTERM', () => process.exit(0));
  const task = tasks[order.task];
  if (task === undefined) throw new Error(`there is no task ${order.task}`);
  tell({ done: true, ...(await task()) });
  process.exit(0);
}

export class Tally {
  constructor(total) {
    this.total = total;
    this.seen = new Uint8Array(total);
    this.strays = 0;
    this.count = 0;
    this.finished = new Promise((resolve) => (this.finish = resolve));
  }

  add(n) {
    this.count += 1;
    if (n in this.seen) this.seen[n] += 1;
    else this.strays += 1;
    if (this.count === this.total) this.finish();
  }

  sum() {
    const { total, strays } = this;
    return {
      total,
      strays,
      missing: this.seen.filter((times) => times === 0).length,
      repeated: this.seen.filter((times) => times > 1).length,
    };
  }
}

/**
 * Calls `work` for every number from `from` to below `to`, `inFlight` at a time. Resolves with the duration in
 * milliseconds.
 */
export async function eachInFlight(from, to, inFlight, work) {
  const startedAt = performance.now();
  let next = from;
  const lane = async () => {
    while (next < to) await work(next++);
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return performance.now() - startedAt;
}

/** Creates jobs one by one: some to warm up, then those that are timed. */
export async function timeOnes(create) {
  await eachInFlight(0, order.warmUp, order.inFlight, create);
  return eachInFlight(order.warmUp, order.warmUp + order.count, order.inFlight, create);
}

/** As `timeOnes`, but in bulk; `create` gets the numbers of a bulk. */
export async function timeBulks(create) {
  const upTo = (first, end) => (bulk) => create(numbers(first + bulk * BULK, Math.min(end, first + (bulk + 1) * BULK)));
  const end = order.warmUp + order.count;
  await eachInFlight(0, Math.ceil(order.warmUp / BULK), order.inFlight, upTo(0, order.warmUp));
  return eachInFlight(0, Math.ceil(order.count / BULK), order.inFlight, upTo(order.warmUp, end));
}

/** Creates `total` jobs at a steady rate. */
export async function createSteadily(total, create) {
  const startedAt = performance.now();
  const creates = [];
  while (creates.length < total) {
    const due = Math.min(total, Math.floor(((performance.now() - startedAt) * order.perSecond) / 1000));
    while (creates.length < due) creates.push(create(creates.length));
    await pause(20);
  }
  await Promise.all(creates);
}

/**
 * Measures from the start of a create to the start of its handler, one job after another. `listen` receives the
 * function that a handler calls.
 */
export async function timePickUps(create, listen) {
  const delaysMs = [];
  let onStart = () => undefined;
  listen(() => onStart());
  for (let n = 0; n < order.warmUp + order.count; n += 1) {
    const started = new Promise((resolve) => (onStart = () => resolve(performance.now())));
    const createdAt = performance.now();
    await create(n);
    const delayMs = (await started) - createdAt;
    if (n >= order.warmUp) delaysMs.push(delayMs);
    await pause(10);
  }
  return { p50: percentile(delaysMs, 0.5), p99: percentile(delaysMs, 0.99) };
}

export function numbers(from, to) {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function percentile(values, part) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
}
