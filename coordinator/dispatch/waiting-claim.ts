import type { Claim } from '@baton/runner-sdk/protocol';
import type { Lane, LaneCatalog, RunnerCapabilities } from '../state/lanes';
import type { ClaimedRow } from '../store/jobs';
import type { DisconnectSignal } from './disconnect-signal';

/**
 * - `waiting`: nothing is under way for it. It may be reserved, or answered.
 * - `reserved`: one statement may grant it jobs, a claim or a create. That statement ends with `release`.
 * - `abandoned`: answered while reserved, because its client disconnected or sent the claim again. What it is granted goes
 *   to the request that replaces it, or back to the queue.
 * - `answered`: the end.
 */
type State = 'waiting' | 'reserved' | 'abandoned' | 'answered';

/** One request that waits for jobs. There are thousands, so it holds little. */
export class WaitingClaim {
  state: State = 'waiting';
  /** Set while an earlier request with the same claim id is under way: they share what they are granted. */
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

  /** Its wait is over: it is answered as soon as it is certain that there is nothing for it. */
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
  /** In the order in which they came. */
  readonly waiting = new Set<WaitingClaim>();
  /** Those that are answered as soon as it is certain that there is nothing for them. */
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

  /** The lanes that its runners take jobs from, by their ids. */
  get lanes(): ReadonlyMap<number, Lane> {
    if (this.catalogVersion !== this.catalog.version) {
      this.lanesById = new Map(this.catalog.takenBy(this.capabilities).map((lane) => [lane.id, lane]));
      this.catalogVersion = this.catalog.version;
    }
    return this.lanesById;
  }

  /** To be called when the claim was answered, so that it waits no more. */
  remove(claim: WaitingClaim): void {
    this.waiting.delete(claim);
    this.due.delete(claim);
    this.onRemoved(claim);
  }
}

/** What the requests of one claim id were granted while more than one of them was under way. */
export class SharedGrant {
  /** The last one that came. The others are answered already. */
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

  /** Whether jobs were granted that no request was answered with. */
  get hasUndelivered(): boolean {
    return this.undelivered.size > 0;
  }

  /** What was granted and no request was answered with. It is the caller's from now on. */
  takeUndelivered(): ClaimedRow[] {
    const jobs = [...this.undelivered.values()];
    this.undelivered.clear();
    return jobs;
  }
}
