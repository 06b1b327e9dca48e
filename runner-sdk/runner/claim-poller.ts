import { randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { backoffMs, pause, type Backoff } from '../transport/backoff';
import { monotonicMs } from '../transport/clock';
import { BatonError } from '../transport/errors';
import { messageOf } from '../transport/failure';
import type { Transport } from '../transport/transport';
import type { Logger } from './logger';
import type { ClaimedJob, ClaimInput, ClaimReply, Directives } from '../protocol';
import type { SlotPool } from './slot-pool';

/** A claim in flight: its slots are reserved until `finish`. */
export interface ClaimInFlight {
  body: ClaimInput & { max: number; claimId: string };
  /** When it was first sent, on the monotonic clock: the leases of its jobs may have started then. */
  sentAtMs: number;
}

interface Poll {
  claim: ClaimInFlight;
  control: AbortController;
  isAnswered: boolean;
  /** It was aborted to be sent again with the runner's new fields. */
  isRenewed: boolean;
  done: Promise<void>;
}

export interface ClaimPollerOptions {
  transport: Transport;
  pool: SlotPool;
  logger: Logger;
  waitMs: number;
  /** The claim without the fields that differ each time. */
  claim: () => Omit<ClaimInput, 'max' | 'claimId' | 'waitMs'>;
  /** While reports are under way, the next claim is sent with them. */
  isReporting: () => boolean;
  accept: (jobs: ClaimedJob[], sentAtMs: number) => void;
  onDirectives: (directives: Directives) => void;
}

const JOBS_PER_CLAIM = 500;
const SLACK_MS = 10_000;
const RECOVERY_MS = 2000;
/** The coordinator's default: after it, granted jobs have gone to other runners. */
const LEASE_MS = 30_000;
const CLAIM_BACKOFF: Backoff = { baseMs: 200, maxMs: 15_000 };
const REFUSED_BACKOFF: Backoff = { baseMs: 5000, maxMs: 30_000 };
const EMPTY_BACKOFF: Backoff = { baseMs: 50, maxMs: 5000 };

/**
 * Polls for jobs: one long poll at a time, never for more jobs than there are free slots. A claim is retried with the
 * same `claimId` until an answer arrives, so that a lost answer loses no job.
 */
export class ClaimPoller {
  private poll: Poll | null = null;
  private isPaused = false;
  private isStopped = false;
  private quickEmpties = 0;
  private refusals = 0;
  private readonly recoveries = new Set<Promise<void>>();

  constructor(private readonly options: ClaimPollerOptions) {}

  /** Call it whenever slots may have become free. */
  wake(): void {
    if (this.poll !== null || this.options.isReporting()) return;
    const claim = this.prepare(this.options.waitMs);
    if (claim === null) return;
    const poll: Poll = {
      claim,
      control: new AbortController(),
      isAnswered: false,
      isRenewed: false,
      done: Promise.resolve(),
    };
    this.poll = poll;
    poll.done = this.run(poll);
  }

  /** Reserves the free slots, or one of `shares` equal parts of them, for a claim; `null` when there are none. */
  prepare(waitMs = 0, shares = 1): ClaimInFlight | null {
    const max = Math.min(JOBS_PER_CLAIM, Math.ceil(this.options.pool.free / shares));
    if (max === 0 || this.isPaused || this.isStopped) return null;
    this.options.pool.reserve(max);
    return { body: { ...this.options.claim(), max, waitMs, claimId: randomUUID() }, sentAtMs: monotonicMs() };
  }

  /** The claim was answered, or abandoned (no jobs): its slots are busy or free again. */
  finish(claim: ClaimInFlight, jobs: ClaimedJob[]): void {
    this.options.pool.settle(claim.body.max, jobs.length);
    if (jobs.length > 0) this.options.accept(jobs, claim.sentAtMs);
  }

  /**
   * Retries, under its `claimId`, a claim whose answer was lost with the reports it was sent with. Its slots stay
   * reserved.
   */
  recoverClaim(claim: ClaimInFlight): void {
    const recovery = this.fetchGrant(claim, this.isStopped ? RECOVERY_MS : (claim.body.leaseMs ?? LEASE_MS)).then(
      (jobs) => {
        this.recoveries.delete(recovery);
        this.finish(claim, jobs);
        this.wake();
      },
    );
    this.recoveries.add(recovery);
  }

  /** Resolves when no claim is being recovered any more, including claims of reports that were aborted in this turn. */
  async recovered(): Promise<void> {
    await setImmediate();
    await Promise.all(this.recoveries);
  }

  setPaused(isPaused: boolean): void {
    this.isPaused = isPaused;
    this.wake();
  }

  /**
   * The runner's fields have changed: the long poll is sent again, under its `claimId`, so that a grant in flight is
   * kept.
   */
  renew(): void {
    if (this.poll === null || this.poll.isAnswered || this.isStopped) return;
    this.poll.isRenewed = true;
    this.poll.control.abort();
  }

  /** Stops polling. A grant in flight to the long poll is fetched, and `accept` releases its jobs. */
  async stop(): Promise<void> {
    this.isStopped = true;
    const poll = this.poll;
    if (poll === null) return;
    poll.control.abort();
    await poll.done;
    if (!poll.isAnswered) await this.fetchLastGrant(poll.claim);
  }

  private async run(poll: Poll): Promise<void> {
    const { claim } = poll;
    let jobs: ClaimedJob[] = [];
    let restMs = 0;
    try {
      const reply = await this.ask(poll);
      poll.isAnswered = true;
      jobs = reply.jobs;
      this.options.onDirectives(reply.directives ?? {});
      restMs = this.restAfter(claim, jobs.length);
    } catch (error) {
      if (!poll.control.signal.aborted) restMs = this.restAfterRefusal(error);
    }
    this.finish(claim, jobs);
    await pause(restMs, poll.control.signal).catch(() => undefined);
    this.poll = null;
    this.wake();
  }

  private async ask(poll: Poll): Promise<ClaimReply> {
    for (;;) {
      try {
        return await this.send(poll.claim, poll.control.signal);
      } catch (error) {
        if (!poll.isRenewed || this.isStopped) throw error;
        poll.isRenewed = false;
        poll.control = new AbortController();
        poll.claim.body = { ...poll.claim.body, ...this.options.claim() };
      }
    }
  }

  private async send(claim: ClaimInFlight, signal: AbortSignal): Promise<ClaimReply> {
    const { logger } = this.options;
    let wasDown = false;
    const onRetry = (failure: BatonError, failures: number) => {
      if (failures === 1)
        logger.warn('no answer to a claim; it is sent again until one comes', { error: failure.message });
      wasDown = true;
    };
    const timeoutMs = (claim.body.waitMs ?? 0) + SLACK_MS;
    const reply = await this.options.transport.call<ClaimReply>({
      ...{ method: 'POST', path: '/jobs/claim', body: claim.body, expects: 'jobs', timeoutMs, budgetMs: Infinity },
      ...{ backoff: CLAIM_BACKOFF, signal, onRetry },
    });
    if (wasDown) logger.info('claims are answered again');
    return reply.body;
  }

  /** A coordinator that answers an empty poll at once (for example because it drains) is not polled again at once. */
  private restAfter(claim: ClaimInFlight, count: number): number {
    const wasQuick = count === 0 && monotonicMs() - claim.sentAtMs < Math.min(1000, this.options.waitMs / 2);
    this.quickEmpties = wasQuick ? this.quickEmpties + 1 : 0;
    this.refusals = 0;
    return wasQuick ? backoffMs(this.quickEmpties, EMPTY_BACKOFF) : 0;
  }

  private restAfterRefusal(error: unknown): number {
    this.refusals += 1;
    this.options.logger.error(
      isOfOtherProtocol(error)
        ? 'the coordinator does not speak the protocol of this SDK: upgrade the side that is behind'
        : "the coordinator refuses claims; check the key, its role, and the runner's types and queues",
      { error: messageOf(error) },
    );
    return backoffMs(this.refusals, REFUSED_BACKOFF);
  }

  private async fetchLastGrant(claim: ClaimInFlight): Promise<void> {
    this.options.pool.reserve(claim.body.max);
    this.finish(claim, await this.fetchGrant(claim, RECOVERY_MS));
  }

  private async fetchGrant(claim: ClaimInFlight, budgetMs: number): Promise<ClaimedJob[]> {
    try {
      const reply = await this.options.transport.call<ClaimReply>({
        ...{ method: 'POST', path: '/jobs/claim', body: { ...claim.body, waitMs: 0 }, expects: 'jobs' },
        ...{ timeoutMs: RECOVERY_MS, budgetMs, untilEnd: true },
      });
      return reply.body.jobs;
    } catch (error) {
      this.options.logger.debug('could not ask for a grant on its way', {
        error: messageOf(error),
      });
      return [];
    }
  }
}

function isOfOtherProtocol(error: unknown): boolean {
  return error instanceof BatonError && error.code === 'unsupported_protocol';
}
