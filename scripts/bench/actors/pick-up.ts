import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Runner } from '@baton/runner-sdk';
import { percentile } from '../result';
import { Tally } from '../verify';
import { play, quietLogger, readOrder, type Target } from './stage';

/** On an idle system: from the start of a create to the start of its handler, one job after another. */
interface Order extends Target {
  warmUp: number;
  count: number;
}

const GAP_MS = 10;
const order = readOrder<Order>();

play(async () => {
  const total = order.warmUp + order.count;
  const tally = new Tally(total);
  const client = new Client({ coordinatorUrl: order.urls, apiKey: order.key });
  const runner = new Runner({
    coordinatorUrl: order.urls,
    apiKey: order.key,
    concurrency: 10,
    name: 'bench',
    logger: quietLogger,
    signals: false,
  });
  let onStart = (): void => undefined;
  runner.handle(order.type, (args) => {
    onStart();
    tally.add((args as { n: number }).n);
  });
  await runner.start();
  const delaysMs: number[] = [];
  for (let n = 0; n < total; n += 1) {
    const started = new Promise<number>((resolve) => (onStart = () => resolve(performance.now())));
    const createdAt = performance.now();
    await client.create(order.type, { n });
    const delayMs = (await started) - createdAt;
    if (n >= order.warmUp) delaysMs.push(delayMs);
    // The system is idle again before the next one.
    await sleep(GAP_MS);
  }
  await runner.stop();
  await client.close();
  return { p50: percentile(delaysMs, 0.5), p99: percentile(delaysMs, 0.99), sightings: tally.sum() };
});
