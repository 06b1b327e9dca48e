import type { Claim } from '@baton/runner-sdk/protocol';
import type { ClaimedRow, Slot } from '../store/jobs';
import type { WaitingClaim } from './waiting-claim';

const MOST_SLOTS = 500;

/** A claim, and one of the jobs that it takes. */
export interface FilledSlot {
  claim: WaitingClaim;
  slot: Slot;
}

/** The slots of one statement: one of each claim before a second of any, so that few jobs are spread over many runners. */
export function fillSlots(claims: WaitingClaim[]): FilledSlot[] {
  const batch: FilledSlot[] = [];
  let wanting = claims.slice(0, MOST_SLOTS).map((claim) => ({ claim, slot: slotOf(claim) }));
  for (let round = 1; wanting.length > 0 && batch.length < MOST_SLOTS; round += 1) {
    batch.push(...wanting.slice(0, MOST_SLOTS - batch.length));
    wanting = wanting.filter(({ claim }) => claim.claim.max > round);
  }
  return batch;
}

/** How many jobs these claims take together. */
export function slotsWanted(claims: WaitingClaim[]): number {
  return claims.reduce((sum, { claim }) => sum + claim.max, 0);
}

export function slotOf({ claim: { runnerId, claimId, leaseMs } }: WaitingClaim): Slot {
  return { runnerId, claimId: claimId ?? null, leaseMs };
}

/**
 * Whether a claim may have this job. Jobs that are granted again under a claim id may have been claimed with other types
 * and queues; those that the claim names now are the ones that its key allows now.
 */
export function isWanted({ type, queue }: Pick<ClaimedRow, 'type' | 'queue'>, { types, queues }: Claim): boolean {
  return types.includes(type) && (queues === undefined || queues.includes(queue));
}
