import type { Claim } from '@baton/runner-sdk/protocol';
import type { ClaimedRow } from '../store/jobs';
import type { ClaimClass } from './claim-classes';
import type { Leaving } from './gone';

/** One claim that waits. Thousands of them do, so it holds little. */
export class ParkedClaim {
  /** It was asked for without waiting, or its wait is over. */
  isDue = false;
  /** A look at the table that began after it came has ended, so an empty answer is true. */
  wasLookedFor = false;
  /** A statement under way may fill it. */
  isTaken = false;
  /** It was answered, or its client has gone: it waits no more. */
  isOver = false;
  private timer: NodeJS.Timeout | undefined;
  private readonly onGone = (): void => this.answer([]);

  constructor(
    readonly claim: Claim,
    readonly group: ClaimClass<ParkedClaim>,
    private readonly signal: Leaving,
    private readonly resolve: (jobs: ClaimedRow[]) => void,
    private readonly reject: (error: unknown) => void,
  ) {
    group.waiting.add(this);
    signal.addEventListener('abort', this.onGone);
    if (claim.waitMs === 0) this.fallDue();
  }

  /** @param onDue called when its wait is over */
  wait(onDue: (parked: ParkedClaim) => void): void {
    if (this.isDue) return;
    this.timer = setTimeout(() => {
      this.fallDue();
      onDue(this);
    }, this.claim.waitMs);
  }

  answer(jobs: ClaimedRow[]): void {
    this.leave();
    this.resolve(jobs);
  }

  fail(error: unknown): void {
    this.leave();
    this.reject(error);
  }

  private fallDue(): void {
    this.isDue = true;
    this.group.due.add(this);
  }

  private leave(): void {
    this.isOver = true;
    clearTimeout(this.timer);
    this.signal.removeEventListener('abort', this.onGone);
    this.group.waiting.delete(this);
    this.group.due.delete(this);
  }
}
