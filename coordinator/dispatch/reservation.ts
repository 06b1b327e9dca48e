import { meets } from '../state/requirements';
import type { Lane } from '../state/lanes';
import type { ClaimGroup, WaitingClaim } from './waiting-claim';

/**
 * Reserves a waiting claim for each job that one may have, of the first group that may.
 * @param groups the group whose turn it is first; none has jobs in the table to claim, which these would overtake
 * @param isLimited whether a queue's limits must be counted, which only a claim's own statement does
 * @returns the reserved claims by the ids of the jobs
 */
export function reserveClaims(
  jobs: { id: string; laneId: number }[],
  groups: ClaimGroup[],
  isLimited: (queue: string) => boolean,
): Map<string, WaitingClaim> {
  const candidates = groups.map((group) => new GroupSlots(group));
  const claims = new Map<string, WaitingClaim>();
  for (const { id, laneId } of jobs) {
    for (const slots of candidates) {
      const lane = slots.group.lanes.get(laneId);
      if (lane === undefined || isLimited(lane.queue) || !isPreferred(lane, slots.group)) continue;
      const claim = slots.take();
      if (claim === undefined) continue;
      claims.set(id, claim);
      break;
    }
  }
  return claims;
}

/** Jobs that prefer other runners are left in the table, where these have them first for a while. */
function isPreferred({ prefers }: Lane, { capabilities }: ClaimGroup): boolean {
  return meets(prefers, capabilities.labels);
}

/** The free slots of a group's waiting claims: one of each claim before a second of any. */
class GroupSlots {
  private readonly untouched: Iterator<WaitingClaim>;
  /** Reserved claims with slots left; the next one to take from is in front. */
  private readonly reserved: { claim: WaitingClaim; slots: number }[] = [];

  constructor(readonly group: ClaimGroup) {
    this.untouched = group.waiting.values();
  }

  take(): WaitingClaim | undefined {
    const next = this.reserveNext() ?? this.reserved.shift();
    if (next === undefined) return undefined;
    if (next.slots > 1) this.reserved.push({ ...next, slots: next.slots - 1 });
    this.group.lastTurnAtMs = performance.now();
    return next.claim;
  }

  private reserveNext(): { claim: WaitingClaim; slots: number } | undefined {
    for (let next = this.untouched.next(); next.done !== true; next = this.untouched.next()) {
      const claim = next.value;
      if (!claim.isWaiting) continue;
      claim.reserve();
      return { claim, slots: claim.claim.max };
    }
    return undefined;
  }
}
