import type { Lane } from '../state/lanes';
import { meets } from '../state/requirements';
import { freeSlots } from './slots';
import type { ClaimGroup, WaitingClaim } from './waiting-claim';

/**
 * Reserves for each job a waiting claim of the first group that can take it.
 * @param groups in turn order; none may have ready lanes, because the new jobs would overtake the jobs in them
 * @param isLimited whether the queue has limits, which only the statement of a claim can count
 * @returns the reserved claims by job id
 */
export function reserveClaims(
  jobs: { id: string; laneId: number }[],
  groups: ClaimGroup[],
  isLimited: (queue: string) => boolean,
): Map<string, WaitingClaim> {
  const free = groups.map((group) => ({ group, slots: freeSlots(group.waiting) }));
  const claims = new Map<string, WaitingClaim>();
  for (const { id, laneId } of jobs) {
    for (const { group, slots } of free) {
      const lane = group.lanes.get(laneId);
      if (lane === undefined || isLimited(lane.queue) || !isPreferred(lane, group)) continue;
      const next = slots.next();
      if (next.done === true) continue;
      next.value.reserve();
      group.lastTurnAtMs = performance.now();
      claims.set(id, next.value);
      break;
    }
  }
  return claims;
}

/** Jobs that prefer other runners are not reserved, so that those runners get the first chance to claim them. */
function isPreferred({ prefers }: Lane, { capabilities }: ClaimGroup): boolean {
  return meets(prefers, capabilities.labels);
}
