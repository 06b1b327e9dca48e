import type { Claim } from '@baton/runner-sdk/protocol';
import type { Context } from '../context';
import { claim as claimJobs } from '../domain/jobs/claim';
import { NOTHING_RESERVED, type Reservation } from '../domain/jobs/candidates/reservation';
import { promoteDueJobs } from '../domain/jobs/promotion';
import { describeError } from '../logger';
import type { Lane } from '../state/lanes';
import type { ClaimedRow } from '../store/jobs';
import { heads } from '../store/lanes';
import { ClaimGroups } from './claim-groups';
import { FEWEST_BESIDE, PATIENCE_MS } from './coalesce';
import type { DisconnectSignal } from './disconnect-signal';
import { KeyedWaits } from './keyed-waits';
import { Poller } from './poller';
import { RateLimitTimers } from './rate-limit-timers';
import { reserveClaims } from './reservation';
import { SharedTimeouts } from './shared-timeouts';
import { type FilledSlot, fillSlots, isWanted, slotOf, slotsWanted } from './slots';
import { UndeliveredJobs } from './undelivered-jobs';
import { type ClaimGroup, type SharedGrant, WaitingClaim } from './waiting-claim';

const POLL_MS = 1000;
const MOST_STATEMENTS = 4;
/** Shorter waits end exactly on time. */
const LEAST_SHARED_MS = 10_000;
/**
 * How long a claim of a draining runner waits for its empty answer, so that the runner does not poll in a tight loop.
 */
const DRAINING_WAIT_MS = 1000;

type Granted = ReadonlyMap<WaitingClaim, ClaimedRow[]>;

interface ClaimStatement {
  group: ClaimGroup;
  startedAtMs: number;
}

/**
 * Matches the claims that wait in this process to jobs that are ready.
 *
 * A waiting claim holds no connection, so an idle fleet costs the database one poll a second, whatever its size. Claims
 * of runners with the same capabilities form a group and share statements. A group gets a statement when one of its
 * lanes is ready, which a notification, the poll or a rate limit's timer tells. A job that is being created can also be
 * reserved for a claim directly. The only states are those of the claims (`WaitingClaim`): waiting > reserved > waiting
 * …, and answered at any time.
 *
 * What changes the state of a claim:
 * - `claim` admits it as waiting, and replaces an earlier request with the same claim id.
 * - `startStatement`, `findRepeated` and `reserve` reserve it; only a waiting claim can be reserved.
 * - `settle` releases it when the statement ends, exactly once: on success, on failure and on an unknown outcome.
 * - The end of its wait makes it due. A due claim is answered with no jobs once it is synced, is not reserved, and no
 *   upcoming statement has a job for it.
 * - Its client's disconnect, a later request with its claim id, a drain and `close` answer it with no jobs at once; if
 *   it was reserved, it is abandoned until `settle`.
 *
 * Invariants:
 * - At most one statement reserves a claim at a time, so a claim is never granted more than its `max`.
 * - A granted job is answered to exactly one request, or released: `deliver` decides.
 * - At most 4 claim statements run at once. A second one of the same group starts only when it has many slots to fill,
 *   or the first takes long. Groups start in turn, least recently served first.
 * - Nothing is reserved for a create before the poll has told which lanes are ready: the new job would overtake waiting
 *   ones.
 * - Claims may be answered, replaced or abandoned during every await, so their state is read after it, never kept
 *   across it.
 */
export class Dispatcher {
  readonly undelivered: UndeliveredJobs;
  private readonly groups: ClaimGroups;
  private readonly drainingPolls = new KeyedWaits();
  private readonly timeouts = new SharedTimeouts<WaitingClaim>(POLL_MS);
  private readonly rateLimits: RateLimitTimers;
  private readonly poller: Poller;
  /**
   * Claims that no poll has covered since they arrived, or since they may have been granted jobs that were not
   * delivered.
   */
  private readonly unsynced = new Set<WaitingClaim>();
  /** Groups with claims that arrived in this turn of the event loop. */
  private readonly arrivals = new Set<ClaimGroup>();
  private readonly statements = new Map<Promise<void>, ClaimStatement>();
  private readonly reservations = new Set<Promise<void>>();
  /** Whether the last poll succeeded and polling continues; `readyLanes` is then at most one poll old. */
  private isSynced = false;
  private isClosed = false;
  private patienceTimer: NodeJS.Timeout | undefined;

  constructor(private readonly context: Context) {
    this.groups = new ClaimGroups(context.lanes);
    this.undelivered = new UndeliveredJobs(context);
    this.rateLimits = new RateLimitTimers(context, POLL_MS, () => this.dispatchAll());
    this.poller = new Poller(POLL_MS, {
      poll: () => this.poll(),
      isNeeded: () => this.size > 0,
      onPeriod: () => this.expireWaits(),
      onPolled: () => this.dispatchAll(),
      onStop: () => this.forgetPoll(),
    });
    this.subscribe();
  }

  /** How many claims wait. */
  get size(): number {
    return this.groups.size;
  }

  /** Whether the table is polled, as it is while claims wait. */
  get isPolling(): boolean {
    return this.poller.isRunning;
  }

  /**
   * Resolves with jobs as soon as there are any; with none when the wait is over, the runner is draining or the process
   * stops. After `signal` is aborted nothing is claimed for it, and jobs that a running statement grants it are
   * released.
   */
  async claim(claim: Claim, signal: DisconnectSignal): Promise<ClaimedRow[]> {
    if (this.context.runnerRegistry.isDraining(claim.runnerId)) {
      await this.drainingPolls.wait(claim.runnerId, Math.min(claim.waitMs, DRAINING_WAIT_MS), signal);
      return [];
    }
    if (this.isClosed || signal.aborted) return [];
    return new Promise((resolve) => this.admit(new WaitingClaim(claim, this.groups.of(claim), signal, resolve)));
  }

  /**
   * Reserves waiting claims for jobs that are about to be stored, so that a create and its claim are one statement and
   * one commit.
   */
  reserve(jobs: { id: string; laneId: number }[]): Reservation {
    if (!this.isSynced) return NOTHING_RESERVED;
    const groups = this.groups.inTurn().filter((group) => this.readyLanes(group).length === 0);
    const claims = reserveClaims(jobs, groups, (queue) => this.context.queueSettings.isLimited(queue));
    if (claims.size === 0) return NOTHING_RESERVED;
    let onSettled = (): void => undefined;
    const settled = new Promise<void>((resolve) => (onSettled = resolve));
    this.reservations.add(settled);
    return {
      offers: [...claims].map(([jobId, claim]) => ({ ...slotOf(claim), jobId })),
      settle: (stored) => {
        if (!this.reservations.delete(settled)) return;
        this.settleReservation(claims, stored);
        onSettled();
      },
    };
  }

  /** Answers all current and later claims with no jobs. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.poller.stop();
    this.rateLimits.close();
    clearTimeout(this.patienceTimer);
    for (const claim of this.groups.waiting()) claim.answer([]);
    this.drainingPolls.close();
    await this.undelivered.settled();
  }

  /** Resolves when no statement that may grant jobs is running, and all undelivered jobs are released. */
  async settled(): Promise<void> {
    await Promise.all([...this.statements.keys(), ...this.reservations, this.poller.settled()]);
    await this.undelivered.settled();
  }

  private subscribe(): void {
    const { notifications, readyLanes, lanes } = this.context;
    notifications.on('ready', (ready) => {
      readyLanes.markReady(ready);
      void this.learnLanes(ready.map(({ laneId }) => laneId));
    });
    notifications.on('freed', (queues) => {
      readyLanes.reopen(lanes.ofQueues(queues).map(({ id }) => id));
      this.dispatchAll();
    });
    notifications.on('resync', () => {
      this.isSynced = false;
      this.poller.poll();
    });
    notifications.on('runners', () => void this.answerDraining());
  }

  private admit(claim: WaitingClaim): void {
    this.groups.replaceEarlier(claim);
    this.startTimeout(claim);
    this.unsynced.add(claim);
    if (!this.poller.isRunning) {
      this.poller.start();
      this.poller.poll();
    }
    this.dispatchSoon(claim.group);
  }

  private startTimeout(claim: WaitingClaim): void {
    const { waitMs } = claim.claim;
    if (waitMs === 0) claim.fallDue();
    else if (waitMs >= LEAST_SHARED_MS) claim.timeout = this.timeouts.add(claim, waitMs);
    else {
      claim.timeout = setTimeout(() => {
        claim.fallDue();
        this.dispatch(claim.group);
      }, waitMs);
    }
  }

  private expireWaits(): void {
    const expired = this.timeouts.takeExpired();
    for (const claim of expired) claim.fallDue();
    for (const group of new Set(expired.map((claim) => claim.group))) this.dispatch(group);
  }

  /** Whether a claim that got no jobs may keep waiting. */
  private mayReceive({ claim }: WaitingClaim): boolean {
    return !this.isClosed && !this.context.runnerRegistry.isDraining(claim.runnerId);
  }

  /** Dispatches at the end of this turn of the event loop, so that claims that arrive in one turn share a statement. */
  private dispatchSoon(group: ClaimGroup): void {
    if (this.arrivals.size === 0) {
      setImmediate(() => {
        const groups = [...this.arrivals];
        this.arrivals.clear();
        for (const one of groups) this.dispatch(one);
      });
    }
    this.arrivals.add(group);
  }

  private dispatchAll(): void {
    for (const group of this.groups.inTurn()) this.dispatch(group);
  }

  /** Starts the statements that may start now, and answers due claims that none of them serves. */
  private dispatch(group: ClaimGroup): void {
    while (this.startStatement(group));
    if (group.due.size > 0) this.answerDue(group);
  }

  private startStatement(group: ClaimGroup): boolean {
    if (this.statements.size >= MOST_STATEMENTS || group.waiting.size === 0) return false;
    const lanes = this.readyLanes(group);
    const claims = lanes.length === 0 ? [] : [...group.waiting].filter((claim) => claim.isWaiting);
    if (claims.length === 0 || this.mustShare(group, claims)) return false;
    const startedAtMs = (group.lastTurnAtMs = performance.now());
    const done = this.claimFor(lanes, group.capabilities.labels, fillSlots(claims)).finally(() => {
      this.statements.delete(done);
      this.dispatchAll();
    });
    this.statements.set(done, { group, startedAtMs });
    return true;
  }

  /**
   * Whether these claims want too few slots for a statement beside the group's running one. They share the next
   * statement then, unless the running one takes long.
   */
  private mustShare(group: ClaimGroup, claims: WaitingClaim[]): boolean {
    const latestMs = performance.now() - PATIENCE_MS;
    const isBeside = [...this.statements.values()].some((one) => one.group === group && one.startedAtMs > latestMs);
    if (!isBeside || slotsWanted(claims) >= FEWEST_BESIDE) return false;
    this.patienceTimer ??= setTimeout(() => {
      this.patienceTimer = undefined;
      this.dispatchAll();
    }, PATIENCE_MS).unref();
    return true;
  }

  private readyLanes(group: ClaimGroup): Lane[] {
    return this.context.readyLanes.among(group.lanes.values());
  }

  private answerDue(group: ClaimGroup): void {
    const due = [...group.due].filter((claim) => claim.isWaiting);
    if (due.length === 0 || this.isServedNext(group)) return;
    const isUnsynced = due.some((claim) => this.unsynced.has(claim));
    for (const claim of due) if (!this.unsynced.has(claim)) claim.answer([]);
    // When no further statement may start, the first that ends dispatches again.
    if (isUnsynced && this.statements.size < MOST_STATEMENTS) this.poller.poll();
  }

  /** Whether the group has ready lanes, and only waits for a statement to end. */
  private isServedNext(group: ClaimGroup): boolean {
    return this.statements.size > 0 && this.readyLanes(group).length > 0;
  }

  /** Claims jobs for these slots in one statement. Never rejects. */
  private async claimFor(lanes: Lane[], labels: Claim['labels'], batch: FilledSlot[]): Promise<void> {
    const claims = new Set(batch.map(({ claim }) => claim));
    for (const claim of claims) claim.reserve();
    const slots = batch.map(({ slot }) => slot);
    let rows: ClaimedRow[];
    let isByteLimited: boolean;
    try {
      ({ rows, isByteLimited } = await claimJobs(this.context, lanes, labels, slots));
    } catch (error) {
      return this.failAll(claims, error);
    }
    if (!isByteLimited && rows.length < batch.length && !this.isClosed) this.rateLimits.start(lanes);
    const granted = new Map<WaitingClaim, ClaimedRow[]>();
    for (const row of rows) {
      const claim = batch[row.slot]?.claim;
      if (claim !== undefined) grant(granted, claim, isWanted(row, claim.claim) ? [row] : []);
    }
    // Jobs granted earlier under their claim ids may not have fitted into this result: the next poll looks again.
    if (isByteLimited) for (const claim of claims) if (claim.isOpen && !granted.has(claim)) this.unsynced.add(claim);
    this.settle(claims, granted);
  }

  private settleReservation(claims: Map<string, WaitingClaim>, stored: ClaimedRow[]): void {
    const granted = new Map<WaitingClaim, ClaimedRow[]>();
    for (const row of stored) {
      const claim = claims.get(row.id);
      if (claim !== undefined) grant(granted, claim, [row]);
    }
    const reserved = new Set(claims.values());
    // The poll skips reserved claims, and the outcome of the create may be unknown.
    for (const claim of reserved) if (claim.isOpen && !granted.has(claim)) this.unsynced.add(claim);
    this.settle(reserved, granted);
    for (const group of new Set([...reserved].map((claim) => claim.group))) this.dispatch(group);
  }

  /** Releases the claims when their statement has ended, and delivers what it granted them. */
  private settle(claims: Iterable<WaitingClaim>, granted: Granted): void {
    for (const claim of claims) {
      claim.release();
      this.deliver(claim, granted.get(claim));
      this.groups.forget(claim);
    }
  }

  /** The statement failed, but it may have been committed. */
  private failAll(claims: Set<WaitingClaim>, error: unknown): void {
    for (const claim of claims) claim.fail(error);
    this.settle(claims, new Map());
  }

  /** @param jobs what the claim was granted; undefined: the statement granted it nothing, or its outcome is unknown */
  private deliver(claim: WaitingClaim, jobs: ClaimedRow[] | undefined): void {
    if (claim.shared !== null) this.deliverShared(claim, claim.shared, jobs);
    else if (!claim.isOpen) this.undelivered.giveBack(jobs ?? []);
    else if (jobs !== undefined) claim.answer(jobs);
    else if (!this.mayReceive(claim)) claim.answer([]);
  }

  /**
   * Jobs granted to an earlier request go to the latest one with its claim id; if that one is already answered, they
   * are released.
   */
  private deliverShared(claim: WaitingClaim, shared: SharedGrant, jobs: ClaimedRow[] | undefined): void {
    const { latest } = shared;
    shared.grant(jobs ?? []);
    if (latest === claim && jobs !== undefined) claim.answer(jobs);
    if (!latest.isOpen) this.undelivered.giveBack(shared.takeUndelivered());
    // The earlier request may have been granted jobs although its outcome is unknown: the next poll finds them by the
    // claim id.
    else if (latest !== claim && !shared.hasUndelivered) this.unsynced.add(latest);
    // While the latest request is reserved, its own statement delivers them.
    else if (latest.isWaiting) this.handOver(latest, shared.takeUndelivered());
  }

  /** Releases jobs that the claim may not have, because it names fewer types or queues than the earlier request did. */
  private handOver(claim: WaitingClaim, jobs: ClaimedRow[]): void {
    const wanted = jobs.filter((job) => isWanted(job, claim.claim));
    if (wanted.length > 0) claim.answer(wanted);
    else if (!this.mayReceive(claim)) claim.answer([]);
    this.undelivered.giveBack(jobs.filter((job) => !wanted.includes(job)));
  }

  /** Reads which lanes are ready, and which jobs were granted earlier under the claim ids of unsynced claims. */
  private async poll(): Promise<void> {
    const unsynced = [...this.unsynced];
    const due = this.groups.due();
    try {
      // An empty answer must be true now, not as of the last round of the loop that promotes due jobs.
      if (due.length > 0) await promoteDueJobs(this.context);
      await this.syncReadyLanes();
      this.isSynced = true;
      await this.findRepeated(unsynced.filter((claim) => claim.isWaiting));
    } catch (error) {
      this.isSynced = false;
      for (const claim of due) if (claim.isWaiting) claim.fail(error);
      this.context.log.warn('could not poll for jobs', describeError(error));
    }
    for (const claim of unsynced) if (!claim.isOpen) this.unsynced.delete(claim);
  }

  private async syncReadyLanes(): Promise<void> {
    const { db, lanes, readyLanes } = this.context;
    const since = readyLanes.now;
    const found = await heads(db);
    await lanes.learn(found.map(({ laneId }) => laneId));
    readyLanes.sync(found, since);
    this.rateLimits.start(found.flatMap(({ laneId, queue, isClosed }) => (isClosed ? [{ id: laneId, queue }] : [])));
  }

  /**
   * Gives claims the jobs that an earlier request with the same claim id was granted: its answer may have been lost.
   */
  private async findRepeated(claims: WaitingClaim[]): Promise<void> {
    // Removed before the statement: a claim that becomes unsynced while it runs must be polled for again.
    for (const claim of claims) this.unsynced.delete(claim);
    const named = claims.filter(({ claim }) => claim.claimId !== undefined);
    if (named.length === 0) return;
    await this.claimFor(
      [],
      {},
      named.map((claim) => ({ claim, slot: slotOf(claim) })),
    );
  }

  private forgetPoll(): void {
    this.isSynced = false;
    this.unsynced.clear();
  }

  private async learnLanes(laneIds: number[]): Promise<void> {
    try {
      await this.context.lanes.learn(laneIds);
    } catch (error) {
      this.context.log.warn('could not read new lanes', describeError(error));
    }
    this.dispatchAll();
  }

  /** Answers the claims of runners that are to drain, and ends the waits of those that may take jobs again. */
  private async answerDraining(): Promise<void> {
    const { runnerRegistry, log } = this.context;
    try {
      await runnerRegistry.readDraining();
    } catch (error) {
      log.warn('could not read which runners are draining', describeError(error));
    }
    for (const claim of this.groups.waiting()) if (!this.mayReceive(claim)) claim.answer([]);
    for (const runnerId of this.drainingPolls.keys())
      if (!runnerRegistry.isDraining(runnerId)) this.drainingPolls.wake(runnerId);
  }
}

function grant(granted: Map<WaitingClaim, ClaimedRow[]>, claim: WaitingClaim, jobs: ClaimedRow[]): void {
  const known = granted.get(claim);
  if (known === undefined) granted.set(claim, jobs);
  else known.push(...jobs);
}
