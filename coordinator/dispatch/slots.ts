import type { Claim } from '@baton/runner-sdk/protocol';
import type { ClaimedRow, Slot } from '../store/jobs';
import type { WaitingClaim } from './waiting-claim';

const MOST_SLOTS = 500;

/** A claim, and one of the jobs that it takes. */
export interface FilledSlot {
  claim: WaitingClaim;
  slot: Slot;
}

/**
 * Yields a waiting claim for each slot: one slot of every claim before a second of any, so that few jobs are spread
 * over many runners. The caller may reserve a claim when it gets its first slot.
 */
export function* freeSlots(claims: Iterable<WaitingClaim>): Generator<WaitingClaim> {
  let found: WaitingClaim[] = [];
  for (const claim of claims) {
    if (!claim.isWaiting) continue;
    found.push(claim);
    yield claim;
  }
  for (let taken = 1; found.length > 0; taken += 1) {
    found = found.filter(({ claim }) => claim.max > taken);
    yield* found;
  }
}

/** The slots of one statement. The slots of a claim are the same object. */
export function fillSlots(claims: WaitingClaim[]): FilledSlot[] {
  const batch: FilledSlot[] = [];
  const slots = new Map<WaitingClaim, Slot>();
  for (const claim of freeSlots(claims)) {
    const slot = slots.get(claim) ?? slotOf(claim);
    slots.set(claim, slot);
    if (batch.push({ claim, slot }) === MOST_SLOTS) break;
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
 * Whether a claim may have this job. A job granted again under a claim id may have been claimed with other types and
 * queues; the key now allows only those that the claim names now.
 */
export function isWanted({ type, queue }: Pick<ClaimedRow, 'type' | 'queue'>, { types, queues }: Claim): boolean {
  return types.includes(type) && (queues === undefined || queues.includes(queue));
}
