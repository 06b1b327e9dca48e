import { within } from './backoff';
import { monotonicMs } from './clock';
import { BatonError } from './errors';
import { errorText } from './error-like';
import { LogBuffer, sentLines } from './log-buffer';
import type { Directives, HeartbeatsInput, HeartbeatsReply, LogLevel } from './protocol';
import { returnSign, takeSign, type Sign, type Unsaid } from './sign';

export interface HeldJob {
  jobId: string;
  leaseToken: string;
  leaseMs: number;
  /** When the lease ends at the earliest, on the monotonic clock; of an unconfirmed one, when to stop asking. */
  leaseEndsAtMs: number;
  /** The lease may be over already: ask at once, and emit `confirmed` when the coordinator says that it stands. */
  isUnconfirmed: boolean;
}

export type KeeperEvent =
  | { kind: 'lost'; jobs: { leaseToken: string; code: string }[] }
  | { kind: 'confirmed'; leaseTokens: string[] }
  /** Checkpoints that are stored now; with a `code`, that were refused. */
  | { kind: 'stored'; checkpoints: { leaseToken: string; checkpointId: number; code?: string }[] }
  | { kind: 'directives'; directives: Directives }
  | { kind: 'notice'; level: LogLevel; message: string; fields: Record<string, unknown> };

export interface KeeperOptions {
  runnerId: string;
  send: (body: HeartbeatsInput, limits: { timeoutMs: number; budgetMs: number }) => Promise<HeartbeatsReply>;
  emit: (event: KeeperEvent) => void;
  /** Called before anything is judged, to `hold` and `letGo` what has changed meanwhile. */
  refresh?: () => void;
}

interface Held extends HeldJob, Unsaid {
  heldSinceMs: number;
  /** The coordinator has hinted that it may be cancelled: ask at once. */
  isToCheck: boolean;
}

interface Load {
  held: Held;
  sign: Sign;
}

/** What handlers say is sent this soon, and not sooner than several times what a beat takes. */
const EARLY_BEAT_MS = 1000;
const BEAT_SHARE = 4;
const LONGEST_EARLY_BEAT_MS = 5000;
const RETRY_BEAT_MS = 1000;
const IDLE_BEAT_MS = 5000;
const WITHDRAW_PATIENCE_MS = 2000;
const JOBS_PER_BEAT = 1000;
const BEAT_LENGTH = 4_000_000;
const FINAL_CODES = new Set(['lease_lost', 'job_cancelled', 'not_found', 'state_conflict']);
const REFUSED_SIGNS = new Set(['validation_failed', 'payload_too_large']);
/** Statuses that say nothing of what was sent. */
const AWAY = new Set([0, 429, 502, 503, 504]);

/**
 * Keeps the leases of one runner's jobs: one heartbeat for all of them, with what their handlers said. It alone judges
 * the local lease clock. A heartbeat that got no answer says nothing about the leases: they stand until their clock
 * ends. Runs in the heartbeat thread.
 */
export class LeaseKeeper {
  /** By lease token: a job that is claimed again may stand here twice, until its former attempt is told. */
  private readonly leases = new Map<string, Held>();
  private timer: NodeJS.Timeout | undefined;
  private wakesAtMs = Infinity;
  private beating: Promise<void> | null = null;
  private lastBeatAtMs = -Infinity;
  private lastBeatTookMs = 0;
  private notBeforeMs = -Infinity;
  private wantsEarlyBeat = false;
  /** Somebody waits for what is to be sent. */
  private wantsBeatNow = false;
  /** The last beat was refused, perhaps for its words: the next one keeps the leases without any. */
  private isSilent = false;
  private beatsWhenIdle = false;
  private isClosed = false;
  private heartbeatMs: number | undefined;
  private lastDirectives = '{}';

  constructor(private readonly options: KeeperOptions) {}

  hold(jobs: readonly HeldJob[]): void {
    for (const job of jobs) {
      const held = { ...job, logs: new LogBuffer(), heldSinceMs: monotonicMs(), isToCheck: false };
      this.leases.set(job.leaseToken, held);
      this.wakeBy(this.beating === null ? Math.min(this.beatDueAtMs(held), held.leaseEndsAtMs) : held.leaseEndsAtMs);
    }
  }

  letGo(jobs: readonly Pick<HeldJob, 'leaseToken'>[]): void {
    for (const { leaseToken } of jobs) this.leases.delete(leaseToken);
  }

  get isDraining(): boolean {
    return this.beatsWhenIdle;
  }

  /** For how long the oldest lease has been held, in milliseconds; `null`: there is none. */
  heldForMs(): number | null {
    let sinceMs = Infinity;
    for (const held of this.leases.values()) sinceMs = Math.min(sinceMs, held.heldSinceMs);
    return sinceMs === Infinity ? null : monotonicMs() - sinceMs;
  }

  /** Asks at once whether the leases of these jobs, or all, still stand. */
  check(jobs: readonly string[] | 'all'): void {
    const named = jobs === 'all' ? null : new Set(jobs);
    for (const held of this.leases.values()) if (named?.has(held.jobId) ?? true) held.isToCheck = true;
    this.schedule();
  }

  /** What the coordinator has said beside a beat. */
  heed(directives: Directives): void {
    this.direct(directives);
  }

  /** All at once, since each look for what is due next walks over all leases. */
  signAll(signs: readonly { leaseToken: string; sign: Sign }[]): void {
    for (const { leaseToken, sign } of signs) this.sign(leaseToken, sign);
    this.schedule();
  }

  /** Takes back what was not sent, once the beat in flight is over or has hung for a while; the lease itself is still kept. */
  async withdraw(leaseToken: string): Promise<Sign> {
    if (this.beating !== null) await within(WITHDRAW_PATIENCE_MS, this.beating);
    const held = this.leases.get(leaseToken);
    return held === undefined ? {} : takeSign(held);
  }

  /** Beats every 5 s though there is no job, so that the coordinator's directives are heard. */
  setIdleBeat(isOn: boolean): void {
    this.beatsWhenIdle = isOn;
    this.schedule();
  }

  close(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
  }

  private sign(leaseToken: string, sign: Sign): void {
    const held = this.leases.get(leaseToken);
    if (held === undefined) return;
    held.logs.addAll(sign.logs ?? []);
    this.wantsEarlyBeat = true;
    if (sign.isUrgent === true) this.wantsBeatNow = true;
    if (sign.progress !== undefined) held.progress = sign.progress;
    if (sign.checkpoint !== undefined) held.checkpoint = sign.checkpoint;
    if (sign.checkpointId !== undefined) held.checkpointId = sign.checkpointId;
  }

  private schedule(): void {
    clearTimeout(this.timer);
    this.wakesAtMs = Infinity;
    // A beat that hangs must not hide that a lease ends.
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
    for (const held of this.leases.values()) dueAtMs = Math.min(dueAtMs, this.beatDueAtMs(held));
    return Math.max(dueAtMs, this.notBeforeMs);
  }

  private earlyBeatAtMs(): number {
    if (this.wantsBeatNow) return -Infinity;
    const apartMs = Math.max(EARLY_BEAT_MS, this.lastBeatTookMs * BEAT_SHARE);
    return this.lastBeatAtMs + Math.min(apartMs, LONGEST_EARLY_BEAT_MS);
  }

  private beatDueAtMs(held: Held): number {
    if (held.isUnconfirmed || held.isToCheck) return -Infinity;
    const renewedAtMs = held.leaseEndsAtMs - held.leaseMs;
    return renewedAtMs + Math.min(this.heartbeatMs ?? held.leaseMs / 3, held.leaseMs / 2);
  }

  private nextEndAtMs(): number {
    let endAtMs = Infinity;
    for (const held of this.leases.values()) endAtMs = Math.min(endAtMs, held.leaseEndsAtMs);
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
    const ended = [...this.leases.values()].filter((held) => nowMs >= held.leaseEndsAtMs);
    if (ended.length > 0) this.lose(ended.map((held) => ({ held, code: 'lease_expired' })));
  }

  private async beat(): Promise<void> {
    const sentAtMs = monotonicMs();
    this.lastBeatAtMs = sentAtMs;
    this.wantsEarlyBeat = false;
    this.wantsBeatNow = false;
    const loads = this.pack(sentAtMs);
    if (loads.length === 0 && !this.beatsWhenIdle) return;
    const shortestLeaseMs = Math.min(30_000, ...loads.map(({ held }) => held.leaseMs));
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
   * Those whose beat is due or near; all others would only make the coordinator write more. They go before those that only
   * have something to say, or many that say much would let the leases of the others end.
   */
  private pack(nowMs: number): Load[] {
    const near: Held[] = [];
    const talking: Held[] = [];
    for (const held of this.leases.values()) {
      if (this.beatDueAtMs(held) - nowMs < held.leaseMs / 6) near.push(held);
      else if (held.progress !== undefined || held.checkpoint !== undefined || !held.logs.isEmpty) talking.push(held);
    }
    const loads: Load[] = [];
    let length = 0;
    for (const held of this.isSilent ? near : [...near, ...talking]) {
      if (loads.length === JOBS_PER_BEAT || length > BEAT_LENGTH) {
        this.wantsEarlyBeat = true;
        break;
      }
      held.isToCheck = false;
      const sign = this.isSilent ? {} : takeSign(held);
      length += 200 + JSON.stringify(sign).length;
      loads.push({ held, sign });
    }
    return loads;
  }

  private apply(loads: readonly Load[], reply: HeartbeatsReply, sentAtMs: number): void {
    const answers = new Map(reply.jobs.map((answer) => [answer.jobId, answer]));
    const isInOrder = loads.every(({ held }, index) => reply.jobs[index]?.jobId === held.jobId);
    const lost: { held: Held; code: string }[] = [];
    const confirmed: string[] = [];
    const stored: { leaseToken: string; checkpointId: number; code?: string }[] = [];
    for (const [index, { held, sign }] of loads.entries()) {
      const answer = isInOrder ? reply.jobs[index] : answers.get(held.jobId);
      if (answer !== undefined && 'leaseExpiresAt' in answer) {
        held.leaseEndsAtMs = sentAtMs + held.leaseMs;
        if (sign.checkpointId !== undefined)
          stored.push({ leaseToken: held.leaseToken, checkpointId: sign.checkpointId });
        if (held.isUnconfirmed) confirmed.push(held.leaseToken);
        held.isUnconfirmed = false;
      } else if (answer !== undefined && FINAL_CODES.has(answer.code)) {
        lost.push({ held, code: answer.code });
      } else if (answer !== undefined && REFUSED_SIGNS.has(answer.code)) {
        this.notice('warn', 'the coordinator refused progress, logs or a checkpoint; they are dropped', {
          jobId: held.jobId,
          code: answer.code,
        });
        if (sign.checkpointId !== undefined)
          stored.push({ leaseToken: held.leaseToken, checkpointId: sign.checkpointId, code: answer.code });
        this.putOff(held);
      } else {
        returnSign(held, sign);
        this.putOff(held);
      }
    }
    if (stored.length > 0) this.emit({ kind: 'stored', checkpoints: stored });
    if (confirmed.length > 0) this.emit({ kind: 'confirmed', leaseTokens: confirmed });
    this.lose(lost);
    this.direct(reply.directives ?? {});
  }

  /** A lease that was not extended is asked for again, but not at once. */
  private putOff({ leaseMs }: Held): void {
    this.notBeforeMs = monotonicMs() + Math.min(RETRY_BEAT_MS, leaseMs / 6);
  }

  /** No answer: unknown. A refusal of the whole beat: the leases matter more than what was said, which is dropped. */
  private recover(loads: readonly Load[], error: unknown): void {
    const status = error instanceof BatonError ? error.status : 0;
    const wasRefused = status === 400 || status === 413;
    this.isSilent = !AWAY.has(status);
    if (!wasRefused) for (const { held, sign } of loads) returnSign(held, sign);
    const refused = loads.flatMap(({ held: { leaseToken }, sign: { checkpointId } }) =>
      wasRefused && checkpointId !== undefined ? [{ leaseToken, checkpointId, code: 'validation_failed' }] : [],
    );
    if (refused.length > 0) this.emit({ kind: 'stored', checkpoints: refused });
    this.notBeforeMs =
      monotonicMs() + Math.min(RETRY_BEAT_MS, ...loads.map(({ held }) => held.leaseMs / 6)) * Math.random();
    const message = wasRefused
      ? 'a heartbeat was refused; its progress, logs and checkpoints are dropped'
      : 'a heartbeat got no answer; the leases stand until their clocks end';
    this.notice('warn', message, { error: errorText(error), jobs: loads.length });
  }

  private lose(lost: readonly { held: Held; code: string }[]): void {
    const current = lost.filter(({ held }) => this.leases.get(held.leaseToken) === held);
    for (const { held } of current) this.leases.delete(held.leaseToken);
    if (current.length === 0) return;
    this.emit({ kind: 'lost', jobs: current.map(({ held, code }) => ({ leaseToken: held.leaseToken, code })) });
  }

  private direct(directives: Directives): void {
    this.heartbeatMs = directives.heartbeatMs;
    const text = JSON.stringify(directives);
    if (text === this.lastDirectives && !this.beatsWhenIdle) return;
    this.lastDirectives = text;
    this.emit({ kind: 'directives', directives });
  }

  private emit(event: KeeperEvent): void {
    if (!this.isClosed) this.options.emit(event);
  }

  private notice(level: LogLevel, message: string, fields: Record<string, unknown>): void {
    this.emit({ kind: 'notice', level, message, fields });
  }
}

function entryOf({ held, sign }: Load, nowMs: number): HeartbeatsInput['jobs'][number] {
  const { progress, checkpoint, logs } = sign;
  return {
    ...{ jobId: held.jobId, leaseToken: held.leaseToken },
    ...(progress && { progress }),
    ...(checkpoint !== undefined && { checkpoint }),
    ...(logs && { logs: sentLines(logs, nowMs) }),
  };
}
