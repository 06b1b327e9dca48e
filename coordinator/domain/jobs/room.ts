import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as keys from '../../store/keys';
import { type Draft, findHolders, type Outcome } from './drafts';

const RETRY_AFTER_MS = 1000;

/** What was taken for drafts, by queue, until they are stored; `refused` are those for which there was nothing left. */
export interface Room {
  refused: Map<Draft, BatonError>;
  reserved: Map<string, number>;
}

/**
 * Takes room in the queues that limit it, in the order in which the drafts came. Those that make no job of their own,
 * because their idempotency or unique key is taken, need none. Must be followed by `inRoom` or `leaveRoom`.
 */
export async function takeRoom(context: Context, drafts: Draft[]): Promise<Room> {
  const room: Room = { refused: new Map(), reserved: new Map() };
  const byQueue = new Map<string, Draft[]>();
  for (const draft of drafts) {
    const { queue } = draft.row;
    if (context.queueSettings.maxWaiting(queue) !== null) byQueue.set(queue, [...(byQueue.get(queue) ?? []), draft]);
  }
  try {
    for (const [queue, wanting] of byQueue) {
      const max = context.queueSettings.maxWaiting(queue) ?? Infinity;
      const granted = await context.waitingCounts.reserve(queue, max, wanting.length);
      room.reserved.set(queue, granted);
      if (granted === wanting.length) continue;
      const making = await withoutJobOfTheirOwn(context, wanting);
      const refused = wanting.filter((draft) => !making.has(draft)).slice(granted);
      for (const draft of refused) room.refused.set(draft, queueFull(queue, max));
    }
  } catch (error) {
    leaveRoom(context, room);
    throw error;
  }
  return room;
}

/** Stores drafts, and gives back what room they did not take: what failed, was repeated, or runs at once. */
export async function inRoom(
  context: Context,
  room: Room,
  store: () => Promise<Map<Draft, Outcome>>,
): Promise<Map<Draft, Outcome>> {
  let outcomes: Map<Draft, Outcome> | undefined;
  try {
    return (outcomes = await store());
  } finally {
    leaveRoom(context, room, outcomes);
  }
}

/** Gives back all that the stored jobs do not take. */
export function leaveRoom(context: Context, { reserved }: Room, outcomes: ReadonlyMap<Draft, Outcome> = NONE): void {
  if (reserved.size === 0) return;
  const waiting = new Map<string, number>();
  for (const [{ row }, outcome] of outcomes)
    if (isWaiting(outcome)) waiting.set(row.queue, (waiting.get(row.queue) ?? 0) + 1);
  for (const [queue, count] of reserved) context.waitingCounts.settle(queue, count, waiting.get(queue) ?? 0);
}

const NONE: ReadonlyMap<Draft, Outcome> = new Map();

function isWaiting(outcome: Outcome): boolean {
  return !(outcome instanceof BatonError) && outcome.inserted !== null && outcome.inserted.lease === null;
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
