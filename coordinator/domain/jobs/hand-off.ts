import { BatonError } from '../../errors';
import { describeError, type Logger } from '../../logger';
import type { ClaimedRow, Offer, Slot } from '../../store/jobs';
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

const NOTHING: ReadonlyMap<Draft, Outcome> = new Map();

/** The claims that are put aside for the jobs of one create, until it is known what was stored. */
export class Offering {
  private hands: Hands | null = null;
  private drafts: Draft[] = [];

  constructor(
    private readonly handOff: HandOff,
    private readonly log: Logger,
  ) {}

  /** Puts claims aside for those drafts that can be handed over. What was put aside before waits on. */
  open(drafts: Draft[]): Offer[] {
    this.close();
    this.drafts = offerable(drafts);
    this.hands = this.handOff.putAside(this.drafts.map(({ row }) => row.laneId));
    const slots = this.hands?.slots ?? [];
    return this.drafts.flatMap(({ row: { id: jobId } }, index) => {
      const slot = slots[index];
      return slot === undefined || slot === null ? [] : [{ ...slot, jobId }];
    });
  }

  /** Gives out what was stored and committed. Never throws: what is stored must not be told as refused, or it would be stored again. */
  settle(outcomes: ReadonlyMap<Draft, Outcome>): void {
    const { hands, drafts } = this;
    this.hands = null;
    if (hands === null) return;
    try {
      hands.settle(drafts.flatMap((draft, index) => handedRow(outcomes.get(draft), hands.slots[index] ?? null, index)));
    } catch (error) {
      this.log.error('jobs that were handed over wait for their lease to end', describeError(error));
    }
  }

  /** Nothing was stored, or nobody knows. */
  close(): void {
    this.settle(NOTHING);
  }
}

/**
 * Those drafts that can be handed over, in the order in which their queue will give them: by priority, and each user's
 * next one in turn. What waits for a time or a key goes the long way.
 */
function offerable(drafts: Draft[]): Draft[] {
  const turns = new Map<string, number>();
  return drafts
    .filter(
      ({ row: { runAt, delayMs, orderKey, concurrencyKey } }) =>
        runAt === undefined && delayMs === undefined && orderKey === undefined && concurrencyKey === undefined,
    )
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
function handedRow(outcome: Outcome | undefined, slot: Slot | null, index: number): ClaimedRow[] {
  if (outcome === undefined || outcome instanceof BatonError || outcome.inserted === null || slot === null) return [];
  const {
    created: { job },
    inserted: { lease },
  } = outcome;
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
