import type { ClaimedRow } from '../store/jobs';
import { isWanted } from './claim-slots';
import type { ParkedClaim } from './parked-claim';
import type { UnsentJobs } from './unsent-jobs';

export interface AnswersOf {
  unsent: UnsentJobs;
  /** Whether it is to be given no more jobs. */
  isGivenNothing: (parked: ParkedClaim) => boolean;
}

/** What claims are told when no statement fills them any more. */
export class ClaimAnswers {
  constructor(private readonly options: AnswersOf) {}

  /** Answers claims with what they got; those that got nothing wait on, unless they were to be answered meanwhile. */
  give(taken: Iterable<ParkedClaim>, given: Map<ParkedClaim, ClaimedRow[]>): void {
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

  /** Nobody hears it. Its jobs run under the claim id of the same claim, which is answered with them unless it is being given others. */
  private passOn(parked: ParkedClaim, successor: ParkedClaim, jobs: ClaimedRow[]): void {
    successor.inherited = [...successor.inherited, ...parked.unheard(jobs)];
    if (!successor.isTaken && successor.inherited.length > 0) this.hand(successor);
    parked.answer([]);
  }

  /** Answers a claim with what it inherited. What it may not have, because its key or the claim names less by now, is given back. */
  private hand(parked: ParkedClaim): void {
    const wanted = parked.inherited.filter((job) => isWanted(job, parked.claim));
    if (wanted.length > 0) parked.answer(wanted);
    this.options.unsent.giveBack(parked.unheard([]));
    parked.inherited = [];
  }
}
