import type { Claim } from '@baton/runner-sdk/protocol';
import type { ClaimedRow, Slot } from '../store/jobs';

const MOST_SLOTS = 500;

/** Slots in turns, so that few jobs are spread over many runners. */
export function fillSlots<Parked extends { claim: Claim }>(waiting: Parked[]): { parked: Parked; slot: Slot }[] {
  const batch: { parked: Parked; slot: Slot }[] = [];
  let wanting = waiting.slice(0, MOST_SLOTS).map((parked) => ({ parked, slot: slotOf(parked.claim) }));
  for (let round = 1; wanting.length > 0 && batch.length < MOST_SLOTS; round += 1) {
    for (const one of wanting) if (batch.length < MOST_SLOTS) batch.push(one);
    wanting = wanting.filter(({ parked }) => parked.claim.max > round);
  }
  return batch;
}

/** How many jobs these would take together. */
export function slotsWanted(waiting: { claim: Claim }[]): number {
  return waiting.reduce((sum, { claim }) => sum + claim.max, 0);
}

export function slotOf({ runnerId, claimId, leaseMs }: Claim): Slot {
  return { runnerId, claimId: claimId ?? null, leaseMs };
}

/**
 * Whether a claim may have this job. One that is given again, under its claim id, was claimed when the key, or the claim,
 * may have named other types and queues; what it names now is what its key allows now.
 */
export function isWanted({ type, queue }: Pick<ClaimedRow, 'type' | 'queue'>, { types, queues }: Claim): boolean {
  return types.includes(type) && (queues === undefined || queues.includes(queue));
}
