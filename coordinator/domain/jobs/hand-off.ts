import { BatonError } from '../../errors';
import type { ClaimedRow, Slot } from '../../store/jobs';
import type { Outcome } from './drafts';

/** Claims that wait, put aside for jobs that are being stored. */
export interface Hands {
  /** For each job whose claim it is; null: nobody waits for it. */
  slots: (Slot | null)[];
  /** The jobs were stored: those that came to be claimed are given out, each by its slot's index, and the other claims wait on. */
  settle(handed: ClaimedRow[]): void;
  /** Storing failed, or its answer was lost: the claims wait on, and it is looked for what they may have been given. */
  leave(): void;
}

/** Where claims wait. */
export interface Takers {
  /** @param laneIds of each job; null: it cannot be handed over. Returns null when nobody waits for any. */
  putAside(laneIds: (number | null)[]): Hands | null;
}

/** How a create reaches the claims that wait in this process, which are in the layer above. */
export class HandOff {
  private takers: Takers | null = null;

  serve(takers: Takers): void {
    this.takers = takers;
  }

  putAside(laneIds: (number | null)[]): Hands | null {
    return this.takers?.putAside(laneIds) ?? null;
  }
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
