import { within } from '../transport/backoff';
import { monotonicMs } from '../transport/clock';
import { BatonError } from '../transport/errors';
import { errorText } from '../transport/error-like';
import { LogBuffer, sentLines } from './log-buffer';
import type { Directives, HeartbeatsInput, HeartbeatsReply, LogLevel } from '../protocol';
import { restoreUpdate, takeUpdate, type JobUpdate, type PendingUpdates } from './job-update';

export interface Lease {
  jobId: string;
  leaseToken: string;
  leaseMs: number;
  /** When the lease expires at the earliest, on the monotonic clock; for an unconfirmed one, when to stop checking. */
  leaseEndsAtMs: number;
  /** The lease may have expired: check it at once, and emit `confirmed` if it is still valid. */
  isUnconfirmed: boolean;
}

export type KeeperEvent =
  | { kind: 'lost'; jobs: { leaseToken: string; code: string }[] }
  | { kind: 'confirmed'; leaseTokens: string[] }
  /** Checkpoints that were stored; with a `code`, that were refused. */
  | { kind: 'stored'; checkpoints: { leaseToken: string; checkpointId: number; code?: string }[] }
  | { kind: 'directives'; directives: Directives }
  | { kind: 'notice'; level: LogLevel; message: string; fields: Record<string, unknown> };

export interface KeeperOptions {
  runnerId: string;
  send: (body: HeartbeatsInput, limits: { timeoutMs: number; budgetMs: number }) => Promise<HeartbeatsReply>;
  emit: (event: KeeperEvent) => void;
  /** Called before anything is decided, to `hold` and `letGo` what has changed meanwhile. */
  refresh?: () => void;
}

interface LeaseState extends Lease, PendingUpdates {
  heldSinceMs: number;
  /** The coordinator has hinted that it may be cancelled: check it at once. */
  isToCheck: boolean;
}

interface Load {
  lease: LeaseState;
  update: JobUpdate;
}

/**
 * Updates of handlers are sent after this time, or after several times the duration of a heartbeat if that is longer.
 */
const EARLY_BEAT_MS = 1000;
const BEAT_SHARE = 4;
const LONGEST_EARLY_BEAT_MS = 5000;
const RETRY_BEAT_MS = 1000;
const IDLE_BEAT_MS = 5000;
const WITHDRAW_PATIENCE_MS = 2000;
const JOBS_PER_BEAT = 1000;
const BEAT_LENGTH = 4_000_000;
const FINAL_CODES = new Set(['lease_lost', 'job_cancelled', 'not_found', 'state_conflict']);
const REFUSED_UPDATES = new Set(['validation_failed', 'payload_too_large']);
/** Statuses that do not tell whether the request took effect. */
const AWAY = new Set([0, 429, 502, 503, 504]);

/**
 * Keeps the leases of one runner's jobs: one heartbeat for all of them, with their handlers' updates. It alone decides
 * by the local lease clock. A heartbeat without an answer tells nothing about the leases: they are kept until their
 * local clock expires. Runs in the heartbeat thread.
 */
export class LeaseKeeper {
  /** By lease token: a job that was claimed again may be in it twice, until its previous attempt has been told. */
  private readonly leases = new Map<string, LeaseState>();
  private timer: NodeJS.Timeout | undefined;
  private wakesAtMs = Infinity;
  private beating: Promise<void> | null = null;
  private lastBeatAtMs = -Infinity;
  private lastBeatTookMs = 0;
  private notBeforeMs = -Infinity;
  private wantsEarlyBeat = false;
  /** A handler waits for what is to be sent. */
  private wantsBeatNow = false;
  /** The last heartbeat was refused, perhaps because of its updates: the next one has none. */
  private isSilent = false;
  private beatsWhenIdle = false;
  private isClosed = false;
  private heartbeatMs: number | undefined;
  private lastDirectives = '{}';

  constructor(private readonly options: KeeperOptions) {}

  hold(jobs: readonly Lease[]): void {
    for (const job of jobs) {
      const lease = { ...job, logs: new LogBuffer(), heldSinceMs: monotonicMs(), isToCheck: false };
      this.leases.set(job.leaseToken, lease);
      this.wakeBy(this.beating === null ? Math.min(this.beatDueAtMs(lease), lease.leaseEndsAtMs) : lease.leaseEndsAtMs);
    }
  }

  letGo(jobs: readonly Pick<Lease, 'leaseToken'>[]): void {
    for (const { leaseToken } of jobs) this.leases.delete(leaseToken);
  }

  get isDraining(): boolean {
    return this.beatsWhenIdle;
  }

  /** Age of the oldest lease, in milliseconds; `null`: there is none. */
  heldForMs(): number | null {
    let sinceMs = Infinity;
    for (const lease of this.leases.values()) sinceMs = Math.min(sinceMs, lease.heldSinceMs);
    return sinceMs === Infinity ? null : monotonicMs() - sinceMs;
  }

  /** Checks at once the leases of these jobs, or all. */
  check(jobs: readonly string[] | 'all'): void {
    const named = jobs === 'all' ? null : new Set(jobs);
    for (const lease of this.leases.values()) if (named?.has(lease.jobId) ?? true) lease.isToCheck = true;
    this.schedule();
  }

  /** Applies the coordinator's directives, and passes on what has changed. */
  applyDirectives(directives: Directives): void {
    this.heartbeatMs = directives.heartbeatMs;
    const text = JSON.stringify(directives);
    if (text === this.lastDirectives && !this.beatsWhenIdle) return;
    this.lastDirectives = text;
    this.emit({ kind: 'directives', directives });
  }

  /** All in one call, since finding what is due next walks over all leases. */
  addUpdates(updates: readonly { leaseToken: string; update: JobUpdate }[]): void {
    for (const { leaseToken, update } of updates) this.update(leaseToken, update);
    this.schedule();
  }

  /**
   * Takes back updates that were not sent, once the heartbeat in flight has ended or hung for a while; the lease itself
   * is still kept.
   */
  async withdraw(leaseToken: string): Promise<JobUpdate> {
    if (this.beating !== null) await within(WITHDRAW_PATIENCE_MS, this.beating);
    const lease = this.leases.get(leaseToken);
    return lease === undefined ? {} : takeUpdate(lease);
  }

  /** Sends a heartbeat every 5 s even without jobs, to receive the coordinator's directives. */
  setIdleBeat(isOn: boolean): void {
    this.beatsWhenIdle = isOn;
    this.schedule();
  }

  close(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
  }

  private update(leaseToken: string, update: JobUpdate): void {
    const lease = this.leases.get(leaseToken);
    if (lease === undefined) return;
    lease.logs.addAll(update.logs ?? []);
    this.wantsEarlyBeat = true;
    if (update.isUrgent === true) this.wantsBeatNow = true;
    if (update.progress !== undefined) lease.progress = update.progress;
    if (update.checkpoint !== undefined) lease.checkpoint = update.checkpoint;
    if (update.checkpointId !== undefined) lease.checkpointId = update.checkpointId;
  }

  private schedule(): void {
    clearTimeout(this.timer);
    this.wakesAtMs = Infinity;
    // A hanging heartbeat must not hide that a lease expires.
    this.wakeBy(Math.min(this.beating === null ? this.nextBeatAtMs() : Infinity, this.nextEndAtMs()));
  }

  private wakeBy(dueAtMs: number): void {
    if (this.isClosed || dueAtMs >= this.wakesAtMs) return;
    clearTimeout(this.timer);
    this.wakesAtMs = dueAtMs;
    this.timer = setTimeout(() => this.wake(), Math.max(0, dueAtMs - monotonicMs()));
  }

  private nextBeatAtMs(): number {
    let dueAtMs = this.beatsWhenIdle ? this.lastBeatAtMs + IDLE_BEAT_MS : Infinity;
    if (this.wantsEarlyBeat && this.leases.size > 0) dueAtMs = Math.min(dueAtMs, this.earlyBeatAtMs());
    for (const lease of this.leases.values()) dueAtMs = Math.min(dueAtMs, this.beatDueAtMs(lease));
    return Math.max(dueAtMs, this.notBeforeMs);
  }

  private earlyBeatAtMs(): number {
    if (this.wantsBeatNow) return -Infinity;
    const apartMs = Math.max(EARLY_BEAT_MS, this.lastBeatTookMs * BEAT_SHARE);
    return this.lastBeatAtMs + Math.min(apartMs, LONGEST_EARLY_BEAT_MS);
  }

  private beatDueAtMs(lease: LeaseState): number {
    if (lease.isUnconfirmed || lease.isToCheck) return -Infinity;
    const renewedAtMs = lease.leaseEndsAtMs - lease.leaseMs;
    return renewedAtMs + Math.min(this.heartbeatMs ?? lease.leaseMs / 3, lease.leaseMs / 2);
  }

  private nextEndAtMs(): number {
    let endAtMs = Infinity;
    for (const lease of this.leases.values()) endAtMs = Math.min(endAtMs, lease.leaseEndsAtMs);
    return endAtMs;
  }

  private wake(): void {
    this.options.refresh?.();
    this.dropEnded();
    if (this.beating === null && this.nextBeatAtMs() <= monotonicMs()) {
      this.beating = this.beat().finally(() => {
        this.beating = null;
        this.dropEnded();
        this.schedule();
      });
    }
    this.schedule();
  }

  private dropEnded(): void {
    const nowMs = monotonicMs();
    const ended = [...this.leases.values()].filter((lease) => nowMs >= lease.leaseEndsAtMs);
    if (ended.length > 0) this.lose(ended.map((lease) => ({ lease, code: 'lease_expired' })));
  }

  private async beat(): Promise<void> {
    const sentAtMs = monotonicMs();
    this.lastBeatAtMs = sentAtMs;
    this.wantsEarlyBeat = false;
    this.wantsBeatNow = false;
    const loads = this.pack(sentAtMs);
    if (loads.length === 0 && !this.beatsWhenIdle) return;
    const shortestLeaseMs = Math.min(30_000, ...loads.map(({ lease }) => lease.leaseMs));
    try {
      const limits = { timeoutMs: Math.min(10_000, shortestLeaseMs / 4), budgetMs: shortestLeaseMs / 3 };
      const reply = await this.options.send(
        { runnerId: this.options.runnerId, jobs: loads.map((load) => entryOf(load, sentAtMs)) },
        limits,
      );
      this.lastBeatTookMs = monotonicMs() - sentAtMs;
      this.notBeforeMs = -Infinity;
      this.isSilent = false;
      this.apply(loads, reply, sentAtMs);
    } catch (error) {
      this.recover(loads, error);
    }
  }

  /**
   * Leases whose heartbeat is due or nearly due; others would only cost the coordinator writes. They go before leases
   * that only have updates, because many large updates could let other leases expire.
   */
  private pack(nowMs: number): Load[] {
    const near: LeaseState[] = [];
    const talking: LeaseState[] = [];
    for (const lease of this.leases.values()) {
      if (this.beatDueAtMs(lease) - nowMs < lease.leaseMs / 6) near.push(lease);
      else if (lease.progress !== undefined || lease.checkpoint !== undefined || !lease.logs.isEmpty)
        talking.push(lease);
    }
    const loads: Load[] = [];
    let length = 0;
    for (const lease of this.isSilent ? near : [...near, ...talking]) {
      if (loads.length === JOBS_PER_BEAT || length > BEAT_LENGTH) {
        this.wantsEarlyBeat = true;
        break;
      }
      lease.isToCheck = false;
      const update = this.isSilent ? {} : takeUpdate(lease);
      length += 200 + JSON.stringify(update).length;
      loads.push({ lease, update });
    }
    return loads;
  }

  private apply(loads: readonly Load[], reply: HeartbeatsReply, sentAtMs: number): void {
    const answers = new Map(reply.jobs.map((answer) => [answer.jobId, answer]));
    const isInOrder = loads.every(({ lease }, index) => reply.jobs[index]?.jobId === lease.jobId);
    const lost: { lease: LeaseState; code: string }[] = [];
    const confirmed: string[] = [];
    const stored: { leaseToken: string; checkpointId: number; code?: string }[] = [];
    for (const [index, { lease, update }] of loads.entries()) {
      const answer = isInOrder ? reply.jobs[index] : answers.get(lease.jobId);
      if (answer !== undefined && 'leaseExpiresAt' in answer) {
        lease.leaseEndsAtMs = sentAtMs + lease.leaseMs;
        if (update.checkpointId !== undefined)
          stored.push({ leaseToken: lease.leaseToken, checkpointId: update.checkpointId });
        if (lease.isUnconfirmed) confirmed.push(lease.leaseToken);
        lease.isUnconfirmed = false;
      } else if (answer !== undefined && FINAL_CODES.has(answer.code)) {
        lost.push({ lease, code: answer.code });
      } else if (answer !== undefined && REFUSED_UPDATES.has(answer.code)) {
        this.notice('warn', 'the coordinator refused progress, logs or a checkpoint; they are dropped', {
          jobId: lease.jobId,
          code: answer.code,
        });
        if (update.checkpointId !== undefined)
          stored.push({ leaseToken: lease.leaseToken, checkpointId: update.checkpointId, code: answer.code });
        this.putOff(lease);
      } else {
        restoreUpdate(lease, update);
        this.putOff(lease);
      }
    }
    if (stored.length > 0) this.emit({ kind: 'stored', checkpoints: stored });
    if (confirmed.length > 0) this.emit({ kind: 'confirmed', leaseTokens: confirmed });
    this.lose(lost);
    this.applyDirectives(reply.directives ?? {});
  }

  /** A lease that was not extended is retried, but not at once. */
  private putOff({ leaseMs }: LeaseState): void {
    this.notBeforeMs = monotonicMs() + Math.min(RETRY_BEAT_MS, leaseMs / 6);
  }

  /**
   * Without an answer the outcome is unknown. If the whole heartbeat was refused, its updates are dropped, because the
   * leases matter more.
   */
  private recover(loads: readonly Load[], error: unknown): void {
    const status = error instanceof BatonError ? error.status : 0;
    const wasRefused = status === 400 || status === 413;
    this.isSilent = !AWAY.has(status);
    if (!wasRefused) for (const { lease, update } of loads) restoreUpdate(lease, update);
    const refused = loads.flatMap(({ lease: { leaseToken }, update: { checkpointId } }) =>
      wasRefused && checkpointId !== undefined ? [{ leaseToken, checkpointId, code: 'validation_failed' }] : [],
    );
    if (refused.length > 0) this.emit({ kind: 'stored', checkpoints: refused });
    this.notBeforeMs =
      monotonicMs() + Math.min(RETRY_BEAT_MS, ...loads.map(({ lease }) => lease.leaseMs / 6)) * Math.random();
    const message = wasRefused
      ? 'a heartbeat was refused; its progress, logs and checkpoints are dropped'
      : 'a heartbeat got no answer; the leases stand until their clocks end';
    this.notice('warn', message, { error: errorText(error), jobs: loads.length });
  }

  private lose(lost: readonly { lease: LeaseState; code: string }[]): void {
    const current = lost.filter(({ lease }) => this.leases.get(lease.leaseToken) === lease);
    for (const { lease } of current) this.leases.delete(lease.leaseToken);
    if (current.length === 0) return;
    this.emit({ kind: 'lost', jobs: current.map(({ lease, code }) => ({ leaseToken: lease.leaseToken, code })) });
  }

  private emit(event: KeeperEvent): void {
    if (!this.isClosed) this.options.emit(event);
  }

  private notice(level: LogLevel, message: string, fields: Record<string, unknown>): void {
    this.emit({ kind: 'notice', level, message, fields });
  }
}

function entryOf({ lease, update }: Load, nowMs: number): HeartbeatsInput['jobs'][number] {
  const { progress, checkpoint, logs } = update;
  return {
    ...{ jobId: lease.jobId, leaseToken: lease.leaseToken },
    ...(progress && { progress }),
    ...(checkpoint !== undefined && { checkpoint }),
    ...(logs && { logs: sentLines(logs, nowMs) }),
  };
}
