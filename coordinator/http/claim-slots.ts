import type { Claim } from '@baton/runner-sdk/protocol';
import type { Slot } from '../store/jobs';

const MOST_SLOTS = 500;

/** Slots in turns, so that few jobs are spread over many runners. */
export function fillSlots<Parked extends { claim: Claim }>(waiting: Parked[]): { parked: Parked; slot: Slot }[] {
  const batch: { parked: Parked; slot: Slot }[] = [];
  for (let round = 0; batch.length < MOST_SLOTS; round += 1) {
    const wanting = waiting.filter((parked) => parked.claim.max > round);
    if (wanting.length === 0) break;
    for (const parked of wanting) if (batch.length < MOST_SLOTS) batch.push({ parked, slot: slotOf(parked.claim) });
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
