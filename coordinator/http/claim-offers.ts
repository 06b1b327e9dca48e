import type { Context } from '../context';
import type { Hands, Takers } from '../domain/jobs/hand-off';
import type { Lane } from '../domain/jobs/lanes';
import { meets } from '../domain/jobs/requirements';
import type { ClaimedRow } from '../store/jobs';
import type { ClaimClass, ClaimClasses } from './claim-classes';
import { slotOf } from './claim-slots';
import type { ParkedClaim } from './parked-claim';

/** Claims of one class on their way through: each gets one job before any gets a second. */
interface Round {
  rest: Iterator<ParkedClaim>;
  hands: { parked: ParkedClaim; count: number }[];
  at: number;
}

/** Waiting claims that jobs are handed to while they are being created, so that both are one statement and one commit. */
export class ClaimOffers implements Takers {
  /** @param onSettled told of each class whose claims were put aside, with what each of them gets */
  constructor(
    private readonly context: Context,
    private readonly classes: ClaimClasses<ParkedClaim>,
    private readonly onSettled: (groups: Iterable<ClaimClass<ParkedClaim>>, taken: Set<ParkedClaim>, given: Map<ParkedClaim, ClaimedRow[]>) => void,
  ) {}

  putAside(laneIds: (number | null)[]): Hands | null {
    const rounds = new Map<ClaimClass<ParkedClaim>, Round>();
    const groupsOf = new Map<number, ClaimClass<ParkedClaim>[]>();
    const takers = laneIds.map((laneId) => {
      if (laneId === null) return null;
      let groups = groupsOf.get(laneId);
      if (groups === undefined) groupsOf.set(laneId, (groups = this.groupsFor(laneId)));
      for (const group of groups) {
        const taker = nextOf(group, rounds);
        if (taker !== null) return taker;
      }
      return null;
    });
    const taken = new Set(takers.filter((taker) => taker !== null));
    if (taken.size === 0) return null;
    return {
      slots: takers.map((taker) => (taker === null ? null : slotOf(taker.claim))),
      settle: (handed) => {
        const given = new Map<ParkedClaim, ClaimedRow[]>();
        for (const row of handed) {
          const taker = takers[row.slot];
          if (taker !== undefined && taker !== null) listOf(given, taker).push(row);
        }
        this.onSettled(rounds.keys(), taken, given);
      },
      leave: () => {
        for (const parked of taken) parked.wasLookedFor = false;
        this.onSettled(rounds.keys(), taken, new Map());
      },
    };
  }

  /** The classes whose runners may have a job of this lane at once, because nothing stands before it that they might take. */
  private groupsFor(laneId: number): ClaimClass<ParkedClaim>[] {
    const { ready, queues } = this.context;
    return [...this.classes.all()].filter((group) => {
      if (group.waiting.size === 0) return false;
      const lanes = this.classes.lanesOf(group);
      const lane: Lane | undefined = lanes.find(({ id }) => id === laneId);
      return lane !== undefined && meets(lane.prefers, group.taker.labels) && !queues.isLimited(lane.queue) && ready.ready(lanes).length === 0;
    });
  }
}

function listOf(given: Map<ParkedClaim, ClaimedRow[]>, taker: ParkedClaim): ClaimedRow[] {
  let rows = given.get(taker);
  if (rows === undefined) given.set(taker, (rows = []));
  return rows;
}

function nextOf(group: ClaimClass<ParkedClaim>, rounds: Map<ClaimClass<ParkedClaim>, Round>): ParkedClaim | null {
  let round = rounds.get(group);
  if (round === undefined) rounds.set(group, (round = { rest: group.waiting.values(), hands: [], at: 0 }));
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
