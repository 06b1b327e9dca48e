import type { Claim } from '@baton/runner-sdk/protocol';
import type { LaneCatalog, RunnerCapabilities } from '../state/lanes';
import { ClaimGroup, SharedGrant, type WaitingClaim } from './waiting-claim';

const MOST_GROUPS = 1000;

/** The claims that wait, grouped by what their runners take. */
export class ClaimGroups {
  private readonly groups = new Map<string, ClaimGroup>();
  /** The last request of each claim id, as long as it or an earlier one of that claim id is under way. */
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

  /** Those with claims that wait, the one whose last turn is longest ago first: a backlog of one must not starve others. */
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
   * The claim replaces the request that brought the same claim id before, which is answered with nothing: its connection
   * may be dead, and a job sent down it would be stuck until its lease expires.
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

  /** Forgets the claim's id when none of its requests is under way. To be called when one was answered or released. */
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

/** Whether the claim is open, or a statement may grant jobs to it or to an earlier request with its claim id. */
function isUnderWay(claim: WaitingClaim): boolean {
  return claim.isOpen || claim.isReserved || claim.shared?.isPending === true;
}

function keyOf({ claim: { runnerId, claimId } }: WaitingClaim): string | null {
  return claimId === undefined ? null : JSON.stringify([runnerId, claimId]);
}
