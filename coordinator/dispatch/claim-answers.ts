import type { ClaimedRow } from '../store/jobs';
import { isWanted } from './slots';
import type { WaitingClaim } from './waiting-claim';
import type { UndeliveredJobs } from './undelivered-jobs';

export interface AnswersOf {
  unsent: UndeliveredJobs;
  /** Whether it is to be given no more jobs. */
  isGivenNothing: (parked: WaitingClaim) => boolean;
  /** Told of a claim that may have been given jobs under its claim id since it was looked for. */
  lookAgainFor: (parked: WaitingClaim) => void;
}

/** What claims are told when no statement fills them any more. */
export class ClaimAnswers {
  constructor(private readonly options: AnswersOf) {}

  /** Answers claims with what they got; those that got nothing wait on, unless they were to be answered meanwhile. */
  give(taken: Iterable<WaitingClaim>, given: Map<WaitingClaim, ClaimedRow[]>): void {
    const { unsent, isGivenNothing } = this.options;
    for (const parked of taken) {
      parked.release();
      const jobs = given.get(parked);
      const { successor } = parked;
      if (successor !== null) this.passOn(parked, successor, jobs ?? []);
      else if (parked.isOver || parked.isReplaced) {
        unsent.giveBack(parked.unheard(jobs ?? []));
        parked.answer([]);
      } else if (jobs !== undefined || isGivenNothing(parked)) {
        parked.answer(jobs ?? []);
        unsent.giveBack(parked.unheard([]));
      } else if (parked.inherited.length > 0) this.hand(parked);
    }
  }

  /** The statement that was to fill them failed, and may have been committed for all that. */
  fail(taken: Iterable<WaitingClaim>, error: unknown): void {
    for (const parked of taken) {
      const { successor } = parked;
      parked.release();
      parked.fail(error);
      if (successor === null) this.options.unsent.giveBack(parked.unheard([]));
      else this.passOn(parked, successor, []);
    }
  }

  /** Nobody hears it. Its jobs run under the claim id of the same claim, which is answered with them unless it is being given others. */
  private passOn(parked: WaitingClaim, successor: WaitingClaim, jobs: ClaimedRow[]): void {
    const unheard = parked.unheard(jobs);
    successor.inherited = [...successor.inherited, ...unheard];
    // Nothing, or nobody knows: then the table does.
    if (unheard.length === 0) this.options.lookAgainFor(successor);
    else if (!successor.isTaken) this.hand(successor);
    parked.answer([]);
  }

  /** Answers a claim with what it inherited. What it may not have, because its key or the claim names less by now, is given back. */
  private hand(parked: WaitingClaim): void {
    const wanted = parked.inherited.filter((job) => isWanted(job, parked.claim));
    if (wanted.length > 0) parked.answer(wanted);
    this.options.unsent.giveBack(parked.unheard([]));
    parked.inherited = [];
  }
}
