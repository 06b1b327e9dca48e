import { Client, Runner } from '@baton/runner-sdk';
import { Tally } from '../verify';
import { play, quietLogger, readOrder, tell, type Target } from './stage';

/**
 * Creates jobs at a steady rate through the first coordinator, and runs them through the last one, which therefore must
 * claim them.
 */
interface Order extends Target {
  perSecond: number;
  forMs: number;
}

const TICK_MS = 20;
const order = readOrder<Order>();

play(async () => {
  const total = Math.round((order.perSecond * order.forMs) / 1000);
  const tally = new Tally(total);
  let finish = (): void => undefined;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  const client = new Client({ coordinatorUrl: order.urls, apiKey: order.key });
  const runner = new Runner({
    coordinatorUrl: [...order.urls].reverse(),
    apiKey: order.key,
    concurrency: 100,
    name: 'bench',
    logger: quietLogger,
    signals: false,
  });
  runner.handle(order.type, (args) => {
    tally.add((args as { n: number }).n);
    if (tally.count === total) finish();
  });
  await runner.start();
  tell({ started: true });
  await Promise.all([createAll(client, total), finished]);
  await runner.stop();
  await client.close();
  return { sightings: tally.sum() };
});

function createAll(client: Client, total: number): Promise<void> {
  const startedAt = performance.now();
  const creates: Promise<unknown>[] = [];
  return new Promise((resolve, reject) => {
    const timer = setInterval(() => {
      const due = Math.min(total, Math.floor(((performance.now() - startedAt) * order.perSecond) / 1000));
      while (creates.length < due) creates.push(client.create(order.type, { n: creates.length }));
      if (due < total) return;
      clearInterval(timer);
      Promise.all(creates).then(() => resolve(), reject);
    }, TICK_MS);
  });
}
