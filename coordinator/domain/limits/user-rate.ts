import type { Context } from '../../context';
import { BatonError } from '../../errors';
import type { Executor } from '../../store/db';
import { limitedQueues, type UserQueue, type UserRate, userRates } from '../../store/limits';

/** A job as far as the limits are concerned. */
export interface Counted {
  queue: string;
  userId?: string | undefined;
}

/** Whether a job's queue limits its user. It may be a moment old: what the limit is, is read in the create's transaction. */
export function isRated(context: Context, { queue, userId }: Counted): boolean {
  return userId !== undefined && context.queueSettings.limitsUsers(queue);
}

/** The name under which creates of one user in one queue keep out of each other's way. */
export function rateLock({ queue, userId }: Counted): string {
  return JSON.stringify(['rate', queue, userId]);
}

/**
 * The jobs that are over their users' limits, in the order in which they came. Only under `lockNames` of their locks, so
 * that no other coordinator creates for the same user and queue meanwhile.
 */
export async function judgeRates<Item>(
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

/** What a user has used of the limits of all queues. */
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
