import type { Context } from '../context';
import type { Hands, Takers } from '../domain/jobs/hand-off';
import { meets } from '../state/requirements';
import type { ClaimedRow } from '../store/jobs';
import type { ClaimGroup, ClaimGroups } from './claim-groups';
import { slotOf } from './slots';
import type { WaitingClaim } from './waiting-claim';

/** Claims of one class on their way through: each gets one job before any gets a second. */
interface Round {
  group: ClaimGroup<WaitingClaim>;
  rest: Iterator<WaitingClaim>;
  hands: { parked: WaitingClaim; count: number }[];
  at: number;
}

export interface OfferingsOf {
  classes: ClaimGroups<WaitingClaim>;
  /** Whether it is known by now which lanes have jobs in turn: before, everything would be overtaken. */
  isSighted: () => boolean;
  /** Told of the claims that were put aside, of their classes, and of what each of them gets. */
  onSettled: (
    groups: ClaimGroup<WaitingClaim>[],
    taken: Set<WaitingClaim>,
    given: Map<WaitingClaim, ClaimedRow[]>,
  ) => void;
}

/** Waiting claims that jobs are handed to while they are being created, so that both are one statement and one commit. */
export class ClaimOffers implements Takers {
  /** How many creates have claims put aside, and who waits until none has. */
  private aside = 0;
  private waiters: (() => void)[] = [];

  constructor(
    private readonly context: Context,
    private readonly options: OfferingsOf,
  ) {}

  /** Resolves when no claim is put aside. */
  settled(): Promise<void> {
    return this.aside === 0 ? Promise.resolve() : new Promise((resolve) => this.waiters.push(resolve));
  }

  putAside(laneIds: number[]): Hands | null {
    if (!this.options.isSighted()) return null;
    const rounds = this.rounds();
    if (rounds.length === 0) return null;
    const takers = laneIds.map((laneId) => this.takerOf(laneId, rounds));
    const taken = new Set(takers.filter((taker) => taker !== null));
    if (taken.size === 0) return null;
    this.aside += 1;
    return {
      slots: takers.map((taker) => (taker === null ? null : slotOf(taker.claim))),
      settle: (handed) => {
        this.takeBack();
        const given = new Map<WaitingClaim, ClaimedRow[]>();
        for (const row of handed) {
          const taker = takers[row.slot] ?? null;
          if (taker === null) continue;
          const rows = given.get(taker);
          if (rows === undefined) given.set(taker, [row]);
          else rows.push(row);
        }
        this.options.onSettled(
          rounds.map(({ group }) => group),
          taken,
          given,
        );
      },
    };
  }

  private takeBack(): void {
    this.aside -= 1;
    if (this.aside > 0) return;
    for (const resolve of this.waiters) resolve();
    this.waiters = [];
  }

  /** The classes with claims that wait, whose turn is first in front, but for those that might have jobs that wait already. */
  private rounds(): Round[] {
    const { classes } = this.options;
    return classes
      .inTurn()
      .filter((group) => this.context.readyLanes.among(classes.lanesOf(group)).length === 0)
      .map((group) => ({ group, rest: group.waiting.values(), hands: [], at: 0 }));
  }

  private takerOf(laneId: number, rounds: Round[]): WaitingClaim | null {
    for (const round of rounds) {
      const lane = round.group.laneById.get(laneId);
      if (
        lane === undefined ||
        !meets(lane.prefers, round.group.taker.labels) ||
        this.context.queueSettings.isLimited(lane.queue)
      )
        continue;
      const taker = nextOf(round);
      if (taker === null) continue;
      round.group.hadTurnAtMs = performance.now();
      return taker;
    }
    return null;
  }
}

function nextOf(round: Round): WaitingClaim | null {
  for (let next = round.rest.next(); next.done !== true; next = round.rest.next()) {
    const parked = next.value;
    if (parked.isTaken) continue;
    parked.isTaken = true;
    round.hands.push({ parked, count: 1 });
    return parked;
  }
  for (let tries = round.hands.length; tries > 0; tries -= 1) {
    const hand = round.hands[round.at++ % round.hands.length];
    if (hand === undefined || hand.count >= hand.parked.claim.max) continue;
    hand.count += 1;
    return hand.parked;
  }
  return null;
}
