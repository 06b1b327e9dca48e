import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as keys from '../../store/keys';
import { type Draft, findHolders } from './drafts';

const RETRY_AFTER_MS = 1000;

/**
 * The drafts for which their queues have no room, in the order in which they came. Those that make no job of their own,
 * because their idempotency or unique key is taken, need none.
 */
export async function judgeRoom(context: Context, drafts: Draft[]): Promise<Map<Draft, BatonError>> {
  const over = new Map<Draft, BatonError>();
  const byQueue = new Map<string, Draft[]>();
  for (const draft of drafts) {
    const { queue } = draft.row;
    if (context.queueSettings.maxWaiting(queue) !== null) byQueue.set(queue, [...(byQueue.get(queue) ?? []), draft]);
  }
  for (const [queue, wanting] of byQueue) {
    const max = context.queueSettings.maxWaiting(queue) ?? Infinity;
    const granted = await context.waitingCounts.reserve(queue, max, wanting.length);
    if (granted === wanting.length) continue;
    const making = await withoutJobOfTheirOwn(context, wanting);
    const refused = wanting.filter((draft) => !making.has(draft)).slice(granted);
    for (const draft of refused) over.set(draft, queueFull(queue, max));
  }
  return over;
}

/** What was taken for drafts that are not stored after all. */
export function releaseRoom(context: Context, drafts: Draft[]): void {
  for (const { row } of drafts)
    if (context.queueSettings.maxWaiting(row.queue) !== null) context.waitingCounts.release(row.queue, 1);
}

async function withoutJobOfTheirOwn({ db }: Context, drafts: Draft[]): Promise<Set<Draft>> {
  const keyed = drafts.filter(({ row }) => row.idempotencyKey !== undefined);
  const used = await keys.findIdempotent(
    db,
    keyed.map(({ row }) => ({ scope: row.idempotencyScope ?? '', key: row.idempotencyKey ?? '' })),
  );
  const names = new Set(used.map(({ scope, key }) => JSON.stringify([scope, key])));
  const holders = await findHolders(db, drafts);
  return new Set(
    drafts.filter(
      (draft) =>
        holders.has(draft) || names.has(JSON.stringify([draft.row.idempotencyScope ?? '', draft.row.idempotencyKey])),
    ),
  );
}

function queueFull(queue: string, max: number): BatonError {
  return new BatonError(
    'queue_full',
    `The queue ${queue} holds all the ${max} waiting jobs that its maxWaiting allows. Nothing was created; create it again once some have started.`,
    { retryAfterMs: RETRY_AFTER_MS },
  );
}
