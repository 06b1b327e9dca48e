import type { Context } from '../../context';
import { heldKeys, type PromotedJob, promoteDue, type QueueKey, liftKeyHolds, liftOrderHolds } from '../../store/jobs';
import { describeError } from '../../logger';
import { nextRefillInMs, refilledKeys, removeFullBuckets } from '../../store/limits';
import { lockNames } from '../../store/locks';
import { giveLanes, presentLanes } from './lanes';

// Follow-up work when a job starts to wait, and when a job ends that others wait for. A loop derives the same work from
// the rows, so a crash between a transition and its follow-up delays jobs but loses none. For the same reason errors
// here never fail the call: committed work would be reported as refused, and a failed batch is retried.

const BATCH = 1000;
/** Tokens of keys that come sooner after each other are waited for together. */
const LEAST_TOKEN_MS = 20;

/** Promotes jobs that are due; the others are promoted when their time comes. */
export async function enqueue(context: Context, jobs: { dueInMs: number }[]): Promise<void> {
  if (jobs.length === 0) return;
  const later = jobs.filter((job) => job.dueInMs > 0).map((job) => job.dueInMs);
  context.notifications.publishDue(later);
  if (later.length < jobs.length) await bestEffort(context, () => promoteDueJobs(context));
}

/** Promotes all due jobs: gives each its position in its lane. */
export async function promoteDueJobs(context: Context): Promise<void> {
  for (;;) {
    const { promoted, withoutLane } = await promoteDue(context.db.hot, presentLanes(context), BATCH);
    context.notifications.publishReady(readyLanesOf(promoted));
    const routed = withoutLane.length > 0 && (await giveLanes(context, withoutLane));
    if (promoted.length + withoutLane.length < BATCH && !routed) return;
  }
}

/** Lifts holds after jobs that counted against a limit, or came first in an order, have ended. */
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

/** Lifts holds of these keys as far as there is capacity now. Call it after jobs of these keys were held. */
export async function liftHolds(context: Context, keys: QueueKey[]): Promise<void> {
  await bestEffort(context, async () => {
    if ((await liftHoldsOfKeys(context, distinct(keys))) > 0) await promoteDueJobs(context);
  });
}

/** Lifts the holds of those jobs that are the first of these orders. Call it after jobs were stored as held. */
export async function liftOrders(context: Context, orders: QueueKey[]): Promise<void> {
  await bestEffort(context, async () => {
    if ((await liftHoldsOfOrders(context, distinct(orders))) > 0) await promoteDueJobs(context);
  });
}

/** Lifts all holds whose reason has ended, in all queues or in one. */
export async function liftAllHolds(context: Context, queue?: string): Promise<void> {
  let released = 0;
  for await (const keys of heldIn(context, 'key', queue)) released += await liftHoldsOfKeys(context, keys);
  for await (const orders of heldIn(context, 'order', queue)) released += await liftHoldsOfOrders(context, orders);
  if (released > 0) await promoteDueJobs(context);
}

/** Lifts holds of keys whose buckets have tokens again, and removes what nobody waits for any more. */
export async function liftRefilled(context: Context): Promise<void> {
  if (!context.queueSettings.hasKeyRates()) return;
  for (;;) {
    const keys = await refilledKeys(context.db.hot, BATCH);
    if ((await liftHoldsOfKeys(context, keys)) > 0) await promoteDueJobs(context);
    if (keys.length < BATCH) break;
  }
  const inMs = await nextRefillInMs(context.db.hot);
  if (inMs !== null) awaitTokens(context, inMs);
}

/** Removes the buckets of keys that are full again, so that only keys in use have one. */
export async function removeBuckets(context: Context): Promise<void> {
  if (!context.queueSettings.hasKeyRates()) return;
  while ((await removeFullBuckets(context.db, BATCH)) === BATCH);
}

/** Looks for keys with tokens again in this time. */
export function awaitTokens(context: Context, inMs: number): void {
  context.notifications.tellDue(Math.max(LEAST_TOKEN_MS, inMs));
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

/** Name of the lock that serialises creates and releases of one order. */
export function orderLock(order: QueueKey): string {
  return JSON.stringify(['order', order.queue, order.key]);
}

/** When it fails, the next round of the loop does the same work. */
async function bestEffort(context: Context, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    context.log.warn('what follows a transition is left to the loop', describeError(error));
  }
}

async function liftHoldsOfKeys(context: Context, keys: QueueKey[]): Promise<number> {
  for (let released = 0; keys.length > 0;) {
    const { count, nextInMs } = await liftKeyHolds(context.db.hot, keys, BATCH);
    if (nextInMs !== null) awaitTokens(context, nextInMs);
    released += count;
    if (count < BATCH) return released;
    // They count against the limit once they are promoted.
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
