import type { Claim } from '@baton/runner-sdk/protocol';
import type { LaneCatalog, RunnerCapabilities } from '../state/lanes';
import { ClaimGroup, SharedGrant, type WaitingClaim } from './waiting-claim';

const MOST_GROUPS = 1000;

/** Waiting claims, grouped by the capabilities of their runners. */
export class ClaimGroups {
  private readonly groups = new Map<string, ClaimGroup>();
  /** By claim id: its latest request, while that request or an earlier one with the same id is under way. */
  private readonly byClaimId = new Map<string, WaitingClaim>();

  constructor(private readonly catalog: LaneCatalog) {}

  /** How many claims wait. */
  get size(): number {
    return this.all().reduce((sum, group) => sum + group.waiting.size, 0);
  }

  of({ types, queues, labels }: Claim): ClaimGroup {
    const key = JSON.stringify([
      [...types].sort(),
      queues === undefined ? null : [...queues].sort(),
      Object.entries(labels).sort(),
    ]);
    let group = this.groups.get(key);
    if (group === undefined) {
      if (this.groups.size >= MOST_GROUPS) this.dropIdle();
      this.groups.set(key, (group = this.open({ types, queues, labels })));
    }
    return group;
  }

  all(): ClaimGroup[] {
    return [...this.groups.values()];
  }

  /**
   * Groups with waiting claims, least recently served first, so that the backlog of one group does not starve the
   * others.
   */
  inTurn(): ClaimGroup[] {
    return this.all()
      .filter((group) => group.waiting.size > 0)
      .sort((one, other) => one.lastTurnAtMs - other.lastTurnAtMs);
  }

  waiting(): WaitingClaim[] {
    return this.all().flatMap((group) => [...group.waiting].filter((claim) => claim.isWaiting));
  }

  due(): WaitingClaim[] {
    return this.all().flatMap((group) => [...group.due].filter((claim) => claim.isWaiting));
  }

  /**
   * Replaces an earlier request with the same claim id, which is answered with no jobs: its connection may be dead, and
   * a job sent down a dead connection would be stuck until its lease expires.
   */
  replaceEarlier(claim: WaitingClaim): void {
    const key = keyOf(claim);
    if (key === null) return;
    const earlier = this.byClaimId.get(key);
    this.byClaimId.set(key, claim);
    if (earlier === undefined) return;
    earlier.answer([]);
    if (isUnderWay(earlier)) (earlier.shared ?? new SharedGrant(earlier)).add(claim);
  }

  /** Forgets the claim id once none of its requests is under way. Call it after a request was answered or released. */
  forget(claim: WaitingClaim): void {
    const key = keyOf(claim);
    const latest = claim.shared?.latest ?? claim;
    if (key === null || isUnderWay(latest) || this.byClaimId.get(key) !== latest) return;
    this.byClaimId.delete(key);
  }

  private open(capabilities: RunnerCapabilities): ClaimGroup {
    return new ClaimGroup(capabilities, this.catalog, (claim) => this.forget(claim));
  }

  private dropIdle(): void {
    for (const [key, group] of this.groups) if (group.waiting.size === 0) this.groups.delete(key);
  }
}

/**
 * Whether the claim is open, or a statement may still grant jobs to it or to an earlier request with the same claim id.
 */
function isUnderWay(claim: WaitingClaim): boolean {
  return claim.isOpen || claim.isReserved || claim.shared?.isPending === true;
}

function keyOf({ claim: { runnerId, claimId } }: WaitingClaim): string | null {
  return claimId === undefined ? null : JSON.stringify([runnerId, claimId]);
}
