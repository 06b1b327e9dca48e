import type { Claim } from '@baton/runner-sdk/protocol';
import type { ClaimedRow } from '../store/jobs';
import type { ClaimGroup } from './claim-groups';
import type { DisconnectSignal } from './disconnect-signal';
import type { SharedTimeouts } from './shared-timeouts';

/** Shorter waits end on their moment. */
const LEAST_SHARED_MS = 10_000;
const NONE: readonly ClaimedRow[] = [];

/** One claim that waits. Thousands of them do, so it holds little. */
export class WaitingClaim {
  /** It was asked for without waiting, or its wait is over. */
  isDue = false;
  /** A look at the table that began after it came has ended, so an empty answer is true. */
  wasLookedFor = false;
  /** A statement under way may fill it. */
  isTaken = false;
  /** It was answered, or its client has gone: it waits no more. */
  isOver = false;
  /** What former polls of it were given while a statement might fill this one: it may be answered with the same. */
  inherited = NONE;
  /** The same claim, that was sent again while this one waited or a statement might fill it. */
  private heir: WaitingClaim | null = null;
  private answered = NONE;
  /** By which it is known when it is sent again; null: without a claim id it never is. */
  private readonly name: string | null;
  private timer: NodeJS.Timeout | undefined;
  private sharers: Set<WaitingClaim> | undefined;
  private readonly onGone = (): void => this.answer([]);

  constructor(
    readonly claim: Claim,
    readonly group: ClaimGroup<WaitingClaim>,
    private readonly signal: DisconnectSignal,
    private readonly resolve: (jobs: ClaimedRow[]) => void,
    private readonly reject: (error: unknown) => void,
  ) {
    group.waiting.add(this);
    this.name = claim.claimId === undefined ? null : JSON.stringify([claim.runnerId, claim.claimId]);
    if (this.name !== null) this.takePlace(this.name);
    signal.addEventListener('abort', this.onGone);
    if (claim.waitMs === 0) this.fallDue();
  }

  /** The same claim, sent again, that waits in its place; null: none does. */
  get successor(): WaitingClaim | null {
    return this.heirs().find((one) => !one.isOver) ?? null;
  }

  /** It was sent again, whatever became of that: nobody reads its own answer. */
  get isReplaced(): boolean {
    return this.heir !== null;
  }

  /** Those of the jobs that it was given, or has inherited, with which neither it nor the same claim, sent again, was answered: they run under one claim id. */
  unheard(jobs: ClaimedRow[]): ClaimedRow[] {
    const heard = new Set([this, ...this.heirs()].flatMap((one) => one.answered.map((job) => job.leaseToken)));
    return [...jobs, ...this.inherited].filter((job) => !heard.has(job.leaseToken));
  }

  /** @param onDue called when its wait is over, unless that ends with others' */
  wait(ends: SharedTimeouts<WaitingClaim>, onDue: (parked: WaitingClaim) => void): void {
    if (this.isDue) return;
    if (this.claim.waitMs >= LEAST_SHARED_MS) {
      this.sharers = ends.add(this, this.claim.waitMs);
      return;
    }
    this.timer = setTimeout(() => {
      this.fallDue();
      onDue(this);
    }, this.claim.waitMs);
  }

  /** Its wait is over: it is to be answered, with nothing if there is nothing. */
  fallDue(): void {
    this.isDue = true;
    this.group.due.add(this);
  }

  answer(jobs: ClaimedRow[]): void {
    if (!this.isOver) this.answered = jobs;
    this.leave();
    this.resolve(jobs);
  }

  fail(error: unknown): void {
    this.leave();
    this.reject(error);
  }

  /** No statement fills it any more. */
  release(): void {
    this.isTaken = false;
    if (this.isOver) this.forget();
  }

  private leave(): void {
    this.isOver = true;
    clearTimeout(this.timer);
    this.sharers?.delete(this);
    this.signal.removeEventListener('abort', this.onGone);
    this.group.waiting.delete(this);
    this.group.due.delete(this);
    if (!this.isTaken) this.forget();
  }

  private forget(): void {
    if (this.name !== null && this.group.named.get(this.name) === this) this.group.named.delete(this.name);
  }

  private takePlace(name: string): void {
    const former = this.group.named.get(name);
    this.group.named.set(name, this);
    if (former === undefined) return;
    former.heir = this;
    // Its connection may be dead, and what it were given would wait there for its lease to end.
    if (!former.isTaken) former.answer([]);
  }

  private heirs(): WaitingClaim[] {
    const heirs: WaitingClaim[] = [];
    for (let one = this.heir; one !== null; one = one.heir) heirs.push(one);
    return heirs;
  }
}
