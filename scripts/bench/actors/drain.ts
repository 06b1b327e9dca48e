import { Runner } from '@baton/runner-sdk';
import { Tally } from '../verify';
import { play, quietLogger, readOrder, type Target } from './stage';

/** Runs numbered no-op jobs until all were seen, then stops; the time is from the first start to the last stop. */
interface Order extends Target {
  total: number;
  runners: number;
  /** Concurrent jobs per runner. */
  concurrency: number;
}

const order = readOrder<Order>();

play(async () => {
  const tally = new Tally(order.total);
  let finish = (): void => undefined;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  const handle = (args: unknown): void => {
    tally.add((args as { n: number }).n);
    if (tally.count === order.total) finish();
  };
  const runners = Array.from({ length: order.runners }, (_, index) => openRunner(index).handle(order.type, handle));
  const startedAt = performance.now();
  await Promise.all(runners.map((runner) => runner.start()));
  await finished;
  const handledMs = performance.now() - startedAt;
  // Stopping sends the remaining reports, so it is part of the work.
  await Promise.all(runners.map((runner) => runner.stop()));
  return { tookMs: performance.now() - startedAt, handledMs, sightings: tally.sum() };
});

/** Each runner starts with another coordinator, if there are several. */
function openRunner(index: number): Runner {
  const from = index % order.urls.length;
  const coordinatorUrl = [...order.urls.slice(from), ...order.urls.slice(0, from)];
  return new Runner({
    coordinatorUrl,
    apiKey: order.key,
    concurrency: order.concurrency,
    name: `bench-${index}`,
    logger: quietLogger,
    signals: false,
  });
}
