import type { Claim, Labels } from '@baton/runner-sdk/protocol';
import type { Context } from '../context';
import { claim as claimJobs } from '../domain/jobs/claim';
import type { Lane } from '../state/lanes';
import { placeAllDue } from '../domain/jobs/waiting';
import { describeError } from '../logger';
import type { ClaimedRow, Slot } from '../store/jobs';
import { heads } from '../store/lanes';
import { ClaimAnswers } from './claim-answers';
import { type ClaimGroup, ClaimGroups } from './claim-groups';
import { ClaimOffers } from './claim-offers';
import type { DisconnectSignal } from './disconnect-signal';
import { fillSlots, isWanted, slotOf, slotsWanted } from './slots';
import { HeldPolls } from './held-polls';
import { RateLimitTimers } from './rate-limit-timers';
import { WaitingClaim } from './waiting-claim';
import { SharedTimeouts } from './shared-timeouts';
import { UndeliveredJobs } from './undelivered-jobs';

const LOOK_EVERY_MS = 1000;
const MOST_STATEMENTS = 4;
/** So many slots must wait for another statement of their class to start beside one: fuller ones cost less a job. */
const FILL_BESIDE = 50;
/** But not longer than this: a statement may have to wait for somebody's lock. */
const PATIENCE_MS = 50;

/**
 * The claims of all runners that wait here. They hold no connection. Jobs that become ready are claimed for many of them
 * in one statement, at most four of which are under way; what is known about where ready jobs are comes from hints, and
 * once a second, while anybody waits, from a look at the table. So what an idle fleet costs the database does not grow
 * with its size.
 */
export class Dispatcher {
  readonly held = new HeldPolls();
  readonly unsent: UndeliveredJobs;
  private readonly classes: ClaimGroups<WaitingClaim>;
  private readonly answers: ClaimAnswers;
  private readonly offers: ClaimOffers;
  /** Those that came after the last look at the table began. */
  private readonly newcomers = new Set<WaitingClaim>();
  private readonly ends = new SharedTimeouts<WaitingClaim>(LOOK_EVERY_MS);
  private readonly pace: RateLimitTimers;
  private readonly fresh = new Set<ClaimGroup<WaitingClaim>>();
  private readonly underWay = new Set<Promise<void>>();
  private isClosed = false;
  private isLooking = false;
  /** The last look at the table told where jobs wait, and looks go on. */
  private isSighted = false;
  private lookTimer: NodeJS.Timeout | undefined;
  private impatience: NodeJS.Timeout | undefined;
  private readonly onDue = ({ group }: WaitingClaim): void => this.dispatchTo(group);

  constructor(private readonly context: Context) {
    this.classes = new ClaimGroups(context.lanes);
    this.unsent = new UndeliveredJobs(context);
    this.answers = new ClaimAnswers({
      unsent: this.unsent,
      isGivenNothing: (one) => this.isClosed || context.runnerRegistry.isDraining(one.claim.runnerId),
      lookAgainFor: (one) => this.lookAgainFor(one),
    });
    this.pace = new RateLimitTimers(context, LOOK_EVERY_MS, () => this.dispatch());
    this.offers = new ClaimOffers(context, {
      classes: this.classes,
      isSighted: () => this.isSighted,
      onSettled: (...settled) => this.settle(...settled),
    });
    context.handOff.serve(this.offers);
    context.notifications.on('ready', (lanes) => {
      this.context.readyLanes.markReady(lanes);
      void this.learn(lanes.map((lane) => lane.laneId));
    });
    context.notifications.on('freed', (queues) => {
      this.context.readyLanes.reopen(this.context.lanes.ofQueues(queues).map((lane) => lane.id));
      this.dispatch();
    });
    context.notifications.on('resync', () => {
      this.isSighted = false;
      void this.look();
    });
  }

  /** How many claims wait. */
  get size(): number {
    return this.classes.size;
  }

  /**
   * Resolves with jobs as soon as there are some, and with none when the wait is over. After `signal` was aborted
   * nothing is claimed for it any more, and what a statement under way still brings is given back.
   */
  take(claim: Claim, signal: DisconnectSignal): Promise<ClaimedRow[]> {
    if (this.isClosed || signal.aborted) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      const parked = new WaitingClaim(claim, this.classes.of(claim), signal, resolve, reject);
      parked.wait(this.ends, this.onDue);
      this.newcomers.add(parked);
      if (this.lookTimer === undefined) {
        this.lookTimer = setInterval(() => this.endWaits(), LOOK_EVERY_MS);
        void this.look();
      }
      this.dispatchSoon(parked.group);
    });
  }

  /** Answers those that wait for this runner, so that it hears what it was told. */
  answerEmpty(isMeant: (claim: Claim) => boolean): void {
    for (const parked of this.classes.waiting()) if (!parked.isTaken && isMeant(parked.claim)) parked.answer([]);
  }

  /** Answers all that wait, now and from now on, with nothing. */
  async close(): Promise<void> {
    this.isClosed = true;
    clearInterval(this.lookTimer);
    this.lookTimer = undefined;
    this.pace.close();
    clearTimeout(this.impatience);
    this.answerEmpty(() => true);
    this.held.close();
    await this.unsent.settled();
  }

  /** Resolves when the statements under way, and creates that claims are put aside for, have ended, and what they brought for clients who have gone is given back. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.underWay, this.offers.settled()]);
    this.pace.close();
    await this.unsent.settled();
  }

  /** At the end of this turn: claims that come in one, as those do that rode on reports stored together, share a statement. */
  private dispatchSoon(group: ClaimGroup<WaitingClaim>): void {
    if (this.fresh.size === 0) {
      setImmediate(() => {
        const groups = [...this.fresh];
        this.fresh.clear();
        for (const one of groups) this.dispatchTo(one);
      });
    }
    this.fresh.add(group);
  }

  /** Starts what statements can be started, and answers those whose wait ended without a job. */
  private dispatch(): void {
    for (const group of this.classes.inTurn()) this.dispatchTo(group);
  }

  private dispatchTo(group: ClaimGroup<WaitingClaim>): void {
    while (this.underWay.size < MOST_STATEMENTS && group.waiting.size > 0) {
      const lanes = this.context.readyLanes.among(this.classes.lanesOf(group));
      if (lanes.length === 0) break;
      const free = [...group.waiting].filter((one) => !one.isTaken);
      if (free.length === 0 || (this.isBusy(group) && slotsWanted(free) < FILL_BESIDE)) break;
      this.start(group, lanes, group.taker.labels, free);
    }
    if (group.due.size > 0) this.settleEmpty(group);
  }

  private settleEmpty(group: ClaimGroup<WaitingClaim>): void {
    const due = [...group.due].filter((one) => !one.isTaken);
    if (due.length === 0 || this.isServed(group)) return;
    let needsLook = false;
    for (const parked of due) {
      if (parked.wasLookedFor) parked.answer([]);
      else needsLook = true;
    }
    // Those that wait for a free statement are told by it.
    if (needsLook && this.underWay.size < MOST_STATEMENTS) void this.look();
  }

  /** Jobs are in turn for it, and only the statements under way keep it waiting: the first that ends takes it along. */
  private isServed(group: ClaimGroup<WaitingClaim>): boolean {
    return this.underWay.size > 0 && this.context.readyLanes.among(this.classes.lanesOf(group)).length > 0;
  }

  private isBusy({ statements, startedAtMs }: ClaimGroup<WaitingClaim>): boolean {
    if (statements === 0 || performance.now() - startedAtMs >= PATIENCE_MS) return false;
    this.impatience ??= setTimeout(() => {
      this.impatience = undefined;
      this.dispatch();
    }, PATIENCE_MS).unref();
    return true;
  }

  private start(group: ClaimGroup<WaitingClaim>, lanes: Lane[], labels: Labels, waiting: WaitingClaim[]): void {
    const batch = fillSlots(waiting);
    const taken = new Set(batch.map(({ parked }) => parked));
    for (const parked of taken) parked.isTaken = true;
    group.statements += 1;
    group.startedAtMs = group.hadTurnAtMs = performance.now();
    const work = this.claimFor(lanes, labels, batch, taken).finally(() => {
      this.underWay.delete(work);
      group.statements -= 1;
      this.dispatch();
    });
    this.underWay.add(work);
  }

  private async claimFor(
    lanes: Lane[],
    labels: Labels,
    batch: { parked: WaitingClaim; slot: Slot }[],
    taken: Set<WaitingClaim>,
  ): Promise<void> {
    try {
      const rows = await claimJobs(
        this.context,
        lanes,
        labels,
        batch.map(({ slot }) => slot),
      );
      const given = new Map<WaitingClaim, ClaimedRow[]>();
      for (const row of rows) {
        const parked = batch[row.slot]?.parked;
        if (parked === undefined) continue;
        let jobs = given.get(parked);
        if (jobs === undefined) given.set(parked, (jobs = []));
        if (isWanted(row, parked.claim)) jobs.push(row);
      }
      if (rows.length < batch.length) this.pace.comeBack(lanes);
      this.answers.give(taken, given);
    } catch (error) {
      this.answers.fail(taken, error);
    }
  }

  private lookAgainFor(parked: WaitingClaim): void {
    parked.wasLookedFor = false;
    this.newcomers.add(parked);
  }

  /** Claims that were put aside for a create. One that got nothing was not looked up meanwhile, or got what nobody heard of. */
  private settle(
    groups: ClaimGroup<WaitingClaim>[],
    taken: Set<WaitingClaim>,
    given: Map<WaitingClaim, ClaimedRow[]>,
  ): void {
    for (const parked of taken) if (!given.has(parked) && !parked.isOver) this.lookAgainFor(parked);
    this.answers.give(taken, given);
    for (const group of groups) this.dispatchTo(group);
  }

  private async learn(laneIds: number[]): Promise<void> {
    try {
      await this.context.lanes.learn(laneIds);
    } catch (error) {
      this.context.log.warn('could not read new lanes', describeError(error));
    }
    this.dispatch();
  }

  private endWaits(): void {
    const over = this.ends.over();
    for (const parked of over) parked.fallDue();
    for (const group of new Set(over.map((parked) => parked.group))) this.dispatchTo(group);
    void this.look();
  }

  /** Looks at the table: where jobs wait, and whether claims that wait here were answered before. */
  private async look(): Promise<void> {
    if (this.isLooking) return;
    if (this.classes.size === 0) {
      this.newcomers.clear();
      clearInterval(this.lookTimer);
      this.lookTimer = undefined;
      this.isSighted = false;
      return;
    }
    this.isLooking = true;
    const newcomers = [...this.newcomers];
    const due = this.classes.due();
    try {
      // Who does not wait is told the truth of this moment, not of the last round of the loop that places due jobs.
      if (due.length > 0) await placeAllDue(this.context);
      const before = this.context.readyLanes.versions();
      const found = await heads(this.context.db);
      await this.context.lanes.learn(found.map((head) => head.laneId));
      this.context.readyLanes.sync(found, before);
      this.isSighted = true;
      await this.answerRepeated(newcomers.filter((one) => !one.isTaken));
    } catch (error) {
      this.isSighted = false;
      for (const parked of due) if (!parked.isTaken) parked.fail(error);
      this.context.log.warn('could not look for waiting jobs', describeError(error));
    } finally {
      this.isLooking = false;
      for (const parked of newcomers) if (parked.isOver) this.newcomers.delete(parked);
    }
    this.dispatch();
  }

  /**
   * Claims with a claim id that have not been looked for yet: their answer may have been lost. One that is being filled, or
   * put aside, is none of them, and looked for the next time.
   */
  private async answerRepeated(free: WaitingClaim[]): Promise<void> {
    // Before the statement: what they may be given after it has looked is looked for again.
    for (const parked of free) {
      parked.wasLookedFor = true;
      this.newcomers.delete(parked);
    }
    const asked = free.filter((one) => one.claim.claimId !== undefined && !one.isOver);
    if (asked.length === 0) return;
    const taken = new Set(asked);
    for (const parked of taken) parked.isTaken = true;
    await this.claimFor(
      [],
      {},
      asked.map((parked) => ({ parked, slot: slotOf(parked.claim) })),
      taken,
    );
  }
}
