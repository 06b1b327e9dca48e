import type { Claim } from '@baton/runner-sdk/protocol';
import type { Lane, LaneCatalog, RunnerCapabilities } from '../state/lanes';
import type { ClaimedRow } from '../store/jobs';
import type { DisconnectSignal } from './disconnect-signal';

/**
 * - `waiting`: no statement is under way for it. It may be reserved, or answered.
 * - `reserved`: one statement, a claim or a create, may grant it jobs. It ends with `release`.
 * - `abandoned`: answered while reserved, because its client disconnected or sent the claim again. Jobs that it is
 *   granted go to the request that replaces it, or back to the queue.
 * - `answered`: final.
 */
type State = 'waiting' | 'reserved' | 'abandoned' | 'answered';

/** One request that waits for jobs. There are thousands, so it is kept small. */
export class WaitingClaim {
  state: State = 'waiting';
  /** Set while an earlier request with the same claim id is under way: the two share what they are granted. */
  shared: SharedGrant | null = null;
  /** Ends the wait: a timer of its own, or the set of `SharedTimeouts` that it is in. */
  timeout: NodeJS.Timeout | Set<WaitingClaim> | undefined;
  private readonly onDisconnect = (): void => this.answer([]);

  constructor(
    readonly claim: Claim,
    readonly group: ClaimGroup,
    private readonly signal: DisconnectSignal,
    private readonly resolve: (jobs: ClaimedRow[] | PromiseLike<ClaimedRow[]>) => void,
  ) {
    group.waiting.add(this);
    signal.addEventListener('abort', this.onDisconnect);
  }

  get isWaiting(): boolean {
    return this.state === 'waiting';
  }

  /** Whether a statement may grant it jobs. */
  get isReserved(): boolean {
    return this.state === 'reserved' || this.state === 'abandoned';
  }

  /** Whether its client still waits for the answer. */
  get isOpen(): boolean {
    return this.state === 'waiting' || this.state === 'reserved';
  }

  /** Marks its wait as over: it is answered as soon as it is certain that there is no job for it. */
  fallDue(): void {
    this.group.due.add(this);
  }

  reserve(): void {
    this.state = 'reserved';
  }

  release(): void {
    this.state = this.state === 'reserved' ? 'waiting' : 'answered';
  }

  answer(jobs: ClaimedRow[]): void {
    if (!this.isOpen) return;
    this.close();
    this.shared?.markDelivered(jobs);
    this.resolve(jobs);
  }

  fail(error: unknown): void {
    if (!this.isOpen) return;
    this.close();
    this.resolve(Promise.reject(error));
  }

  private close(): void {
    this.state = this.isReserved ? 'abandoned' : 'answered';
    if (this.timeout instanceof Set) this.timeout.delete(this);
    else clearTimeout(this.timeout);
    this.signal.removeEventListener('abort', this.onDisconnect);
    this.group.remove(this);
  }
}

/** Claims of runners with the same capabilities, which one statement can serve. */
export class ClaimGroup {
  /** In order of arrival. */
  readonly waiting = new Set<WaitingClaim>();
  /** Claims whose wait is over; answered as soon as it is certain that there are no jobs for them. */
  readonly due = new Set<WaitingClaim>();
  /** When a statement was last started for it, or a job was handed to one of its claims; on the monotonic clock. */
  lastTurnAtMs = 0;
  private lanesById = new Map<number, Lane>();
  private catalogVersion = -1;

  constructor(
    readonly capabilities: RunnerCapabilities,
    private readonly catalog: LaneCatalog,
    private readonly onRemoved: (claim: WaitingClaim) => void,
  ) {}

  /** The lanes that its runners can take jobs from, by id. */
  get lanes(): ReadonlyMap<number, Lane> {
    if (this.catalogVersion !== this.catalog.version) {
      this.lanesById = new Map(this.catalog.takenBy(this.capabilities).map((lane) => [lane.id, lane]));
      this.catalogVersion = this.catalog.version;
    }
    return this.lanesById;
  }

  /** Call it when the claim was answered. */
  remove(claim: WaitingClaim): void {
    this.waiting.delete(claim);
    this.due.delete(claim);
    this.onRemoved(claim);
  }
}

/** What several requests with one claim id are granted while more than one of them is under way. */
export class SharedGrant {
  /** The most recent request. The others are already answered. */
  latest: WaitingClaim;
  private readonly requests: WaitingClaim[];
  private readonly deliveredTokens = new Set<string>();
  private readonly undelivered = new Map<string, ClaimedRow>();

  constructor(first: WaitingClaim) {
    this.latest = first;
    this.requests = [first];
    first.shared = this;
  }

  /** Whether a statement may still grant jobs to any of the requests. */
  get isPending(): boolean {
    return this.requests.some((request) => request.isReserved);
  }

  add(request: WaitingClaim): void {
    request.shared = this;
    this.latest = request;
    this.requests.push(request);
  }

  grant(jobs: ClaimedRow[]): void {
    for (const job of jobs) if (!this.deliveredTokens.has(job.leaseToken)) this.undelivered.set(job.leaseToken, job);
  }

  markDelivered(jobs: ClaimedRow[]): void {
    for (const { leaseToken } of jobs) {
      this.deliveredTokens.add(leaseToken);
      this.undelivered.delete(leaseToken);
    }
  }

  /** Whether there are granted jobs that no request was answered with. */
  get hasUndelivered(): boolean {
    return this.undelivered.size > 0;
  }

  /**
   * Removes and returns the granted jobs that no request was answered with. The caller must deliver or release them.
   */
  takeUndelivered(): ClaimedRow[] {
    const jobs = [...this.undelivered.values()];
    this.undelivered.clear();
    return jobs;
  }
}
