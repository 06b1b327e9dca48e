import { BatonError } from '../../errors';
import type { ClaimedRow, Slot } from '../../store/jobs';
import type { Draft, Outcome } from './drafts';

/** Claims that wait, put aside for jobs that are being stored. */
export interface Hands {
  /** For each job whose claim it is; null: nobody waits for it. */
  slots: (Slot | null)[];
  /**
   * The jobs were stored, or nobody knows: those that came to be claimed are given out, each by its slot's index. The other
   * claims wait on, and it is looked for what they may have been given.
   */
  settle(handed: ClaimedRow[]): void;
}

/** Where claims wait. */
export interface Takers {
  /** @param laneIds of jobs, the first in turn first. Returns null when nobody waits for any. */
  putAside(laneIds: number[]): Hands | null;
}

/** How a create reaches the claims that wait in this process, which are in the layer above. */
export class HandOff {
  private takers: Takers | null = null;

  serve(takers: Takers): void {
    this.takers = takers;
  }

  putAside(laneIds: number[]): Hands | null {
    return this.takers?.putAside(laneIds) ?? null;
  }
}

/**
 * Those drafts that can be handed over, in the order in which their queue will give them: by priority, and each user's
 * next one in turn. What waits for a time or a key, or has to be judged by more than its own row, goes the long way.
 */
export function offerable(drafts: Draft[]): Draft[] {
  const turns = new Map<string, number>();
  return drafts
    .filter(({ row: { runAt, delayMs, orderKey, concurrencyKey } }) => runAt === undefined && delayMs === undefined && orderKey === undefined && concurrencyKey === undefined)
    .map((draft) => {
      const { queue, priority, userId } = draft.row;
      if (userId === undefined) return { draft, turn: 0 };
      const user = JSON.stringify([queue, priority, userId]);
      const turn = turns.get(user) ?? 0;
      turns.set(user, turn + 1);
      return { draft, turn };
    })
    .sort((one, other) => other.draft.row.priority - one.draft.row.priority || one.turn - other.turn)
    .map(({ draft }) => draft);
}

/** The job as the claim gets it that it was handed to, if it was. */
export function handedRow(outcome: Outcome | undefined, slot: Slot | null, index: number): ClaimedRow[] {
  if (outcome === undefined || outcome instanceof BatonError || outcome.inserted === null || slot === null) return [];
  const { created: { job }, inserted: { lease } } = outcome;
  if (lease === null) return [];
  const { id, type, queue, laneId, maxAttempts, timeoutMs, tags, userId, concurrencyKey, trace } = job;
  return [
    {
      ...{ id, type, queue, laneId, maxAttempts, timeoutMs, tags, userId, concurrencyKey, trace, ...lease },
      arguments: JSON.stringify(job.arguments),
      metadata: job.metadata === null ? null : JSON.stringify(job.metadata),
      checkpoint: null,
      position: job.position ?? job.createdAt,
      attempt: 1,
      leaseMs: slot.leaseMs,
      waitMs: 0,
      slot: index,
      repeated: false,
    },
  ];
}
