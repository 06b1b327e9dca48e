import type { Context } from '../../context';
import { heldKeys, type PromotedJob, promoteDue, type QueueKey, liftKeyHolds, liftOrderHolds } from '../../store/jobs';
import { describeError } from '../../logger';
import { lockNames } from '../../store/locks';
import { giveLanes, presentLanes } from './lanes';

// What follows when a job begins to wait, and when one ends that others wait for. All of it is done again by a loop
// that derives it from the rows, so a crash between a transition and what follows it costs a moment, never a job. So it
// never fails the call either: what is committed would be told as refused, and a batch that fails is tried again.

const BATCH = 1000;

/** Jobs wait again: those that are due get their place in the order at once, the others when their time comes. */
export async function enqueue(context: Context, jobs: { dueInMs: number }[]): Promise<void> {
  if (jobs.length === 0) return;
  const later = jobs.filter((job) => job.dueInMs > 0).map((job) => job.dueInMs);
  context.notifications.publishDue(later);
  if (later.length < jobs.length) await bestEffort(context, () => promoteDueJobs(context));
}

/** Gives all jobs that have become due their place in the order. */
export async function promoteDueJobs(context: Context): Promise<void> {
  for (;;) {
    const { promoted, withoutLane } = await promoteDue(context.db.hot, presentLanes(context), BATCH);
    context.notifications.publishReady(readyLanesOf(promoted));
    const routed = withoutLane.length > 0 && (await giveLanes(context, withoutLane));
    if (promoted.length + withoutLane.length < BATCH && !routed) return;
  }
}

/** What counted against a limit, or stood first in an order, has ended. */
export async function releaseConcurrency(
  context: Context,
  jobs: { queue: string; concurrencyKey: string | null; orderKey: string | null }[],
): Promise<void> {
  const limited = new Set(jobs.map((job) => job.queue).filter((queue) => context.queueSettings.isLimited(queue)));
  context.notifications.publishFreed([...limited]);
  const keys = jobs.flatMap(({ queue, concurrencyKey }) =>
    concurrencyKey === null || !limited.has(queue) ? [] : [{ queue, key: concurrencyKey }],
  );
  const orders = jobs.flatMap(({ queue, orderKey }) => (orderKey === null ? [] : [{ queue, key: orderKey }]));
  await bestEffort(context, async () => {
    const released =
      (await liftHoldsOfKeys(context, distinct(keys))) + (await liftHoldsOfOrders(context, distinct(orders)));
    if (released > 0) await promoteDueJobs(context);
  });
}

/** Jobs of these keys were just held: lets those go on for which there is capacity by now. */
export async function liftHolds(context: Context, keys: QueueKey[]): Promise<void> {
  await bestEffort(context, async () => {
    if ((await liftHoldsOfKeys(context, distinct(keys))) > 0) await promoteDueJobs(context);
  });
}

/** Jobs of these orders were stored as held: lets those go on that are the first. */
export async function liftOrders(context: Context, orders: QueueKey[]): Promise<void> {
  await bestEffort(context, async () => {
    if ((await liftHoldsOfOrders(context, distinct(orders))) > 0) await promoteDueJobs(context);
  });
}

/** Looks for held jobs that nothing holds any more, in all queues or in one. */
export async function liftAllHolds(context: Context, queue?: string): Promise<void> {
  let released = 0;
  for await (const keys of heldIn(context, 'key', queue)) released += await liftHoldsOfKeys(context, keys);
  for await (const orders of heldIn(context, 'order', queue)) released += await liftHoldsOfOrders(context, orders);
  if (released > 0) await promoteDueJobs(context);
}

async function* heldIn(context: Context, hold: 'key' | 'order', queue: string | undefined): AsyncGenerator<QueueKey[]> {
  for (let after: QueueKey = { queue: queue ?? '', key: '' }; ;) {
    const keys: QueueKey[] = await heldKeys(context.db, hold, after, BATCH);
    const own = keys.filter((one) => queue === undefined || one.queue === queue);
    if (own.length > 0) yield own;
    after = keys.at(-1) ?? after;
    if (keys.length < BATCH || own.length < keys.length) return;
  }
}

export function readyLanesOf(promoted: PromotedJob[]): { laneId: number; positionMs: number }[] {
  const first = new Map<number, number>();
  for (const { laneId, position } of promoted)
    first.set(laneId, Math.min(first.get(laneId) ?? Infinity, position.getTime()));
  return [...first].map(([laneId, positionMs]) => ({ laneId, positionMs }));
}

/** The name under which creates and releases of one order keep out of each other's way. */
export function orderLock(order: QueueKey): string {
  return JSON.stringify(['order', order.queue, order.key]);
}

/** What fails here is done by the next round of the loop. */
async function bestEffort(context: Context, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    context.log.warn('what follows a transition is left to the loop', describeError(error));
  }
}

async function liftHoldsOfKeys(context: Context, keys: QueueKey[]): Promise<number> {
  for (let released = 0; keys.length > 0;) {
    const jobs = await liftKeyHolds(context.db.hot, keys, BATCH);
    released += jobs.length;
    if (jobs.length < BATCH) return released;
    // They count against the limit once they are in turn.
    await promoteDueJobs(context);
  }
  return 0;
}

async function liftHoldsOfOrders(context: Context, orders: QueueKey[]): Promise<number> {
  if (orders.length === 0) return 0;
  const jobs = await context.db.transaction(async (transaction) => {
    await lockNames(transaction, orders.map(orderLock));
    return liftOrderHolds(transaction, orders);
  });
  return jobs.length;
}

function distinct(keys: QueueKey[]): QueueKey[] {
  return [...new Map(keys.map((key) => [JSON.stringify([key.queue, key.key]), key])).values()];
}
