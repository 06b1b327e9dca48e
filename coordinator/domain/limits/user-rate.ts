import type { Context } from '../../context';
import { BatonError } from '../../errors';
import type { Executor } from '../../store/db';
import { limitedQueues, type UserQueue, type UserRate, userRates } from '../../store/limits';

/** The fields of a job that limits need. */
export interface Counted {
  queue: string;
  userId?: string | undefined;
}

/**
 * Whether a job's queue limits its user. May be slightly stale: the limit itself is read in the create's transaction.
 */
export function isRated(context: Context, { queue, userId }: Counted): boolean {
  return userId !== undefined && context.queueSettings.limitsUsers(queue);
}

/** Name of the lock that serialises creates of one user in one queue. */
export function rateLock({ queue, userId }: Counted): string {
  return JSON.stringify(['rate', queue, userId]);
}

/**
 * The jobs that exceed their users' limits, in order of arrival. Call it only under `lockNames` of their locks, so that
 * no other coordinator creates for the same user and queue at the same time.
 */
export async function checkRates<Item>(
  transaction: Executor,
  items: Item[],
  countedOf: (item: Item) => Counted,
): Promise<Map<Item, BatonError>> {
  const over = new Map<Item, BatonError>();
  const pairs = new Map(items.flatMap((item) => pairOf(countedOf(item))));
  if (pairs.size === 0) return over;
  const rates = new Map((await userRates(transaction, [...pairs.values()])).map((rate) => [rateLock(rate), rate]));
  for (const item of items) {
    const rate = rates.get(rateLock(countedOf(item)));
    if (rate === undefined) continue;
    if (rate.count < rate.max) rate.count += 1;
    else over.set(item, overLimit(rate));
  }
  return over;
}

/** How much of the limits of all queues a user has used. */
export async function readRates(context: Context, userId: string): Promise<UserRate[]> {
  const queues = await limitedQueues(context.db);
  return userRates(
    context.db,
    queues.map((queue) => ({ queue, userId })),
  );
}

function pairOf({ queue, userId }: Counted): [string, UserQueue][] {
  return userId === undefined ? [] : [[rateLock({ queue, userId }), { queue, userId }]];
}

function overLimit({ queue, userId, max, waitMs }: UserRate): BatonError {
  const detail = `The user ${userId} has created all the ${max} jobs that queue ${queue} allows in its time. GET /rate-limits tells when more are.`;
  return new BatonError('rate_limited', detail, { retryAfterMs: Math.max(1, Math.ceil(waitMs)) });
}
