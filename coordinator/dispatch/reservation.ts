import type { Lane } from '../state/lanes';
import { meets } from '../state/requirements';
import { freeSlots } from './slots';
import type { ClaimGroup, WaitingClaim } from './waiting-claim';

/**
 * Reserves a waiting claim for each job that one may have, of the first group that may.
 * @param groups the group whose turn it is first; none has ready lanes, whose jobs these would overtake
 * @param isLimited whether limits of a queue must be counted, as only the statement of a claim does
 * @returns the reserved claims by the ids of the jobs
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

/** Jobs that prefer other runners are left in the table, where these have them first for a while. */
function isPreferred({ prefers }: Lane, { capabilities }: ClaimGroup): boolean {
  return meets(prefers, capabilities.labels);
}
