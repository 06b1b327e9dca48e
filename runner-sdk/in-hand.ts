import { within } from './backoff';
import { Attempt, type AttemptOptions, type Ending } from './attempt';
import { monotonicMs } from './clock';
import type { Said } from './context';
import {
  AttemptCancelledError,
  BatonError,
  LeaseLostError,
  RunnerStoppingError,
  type AttemptAbortedError,
} from './errors';
import { messageOf } from './failure';
import { FailureLog } from './failure-log';
import type { NextTry, Work } from './handler';
import type { Heartbeats } from './heartbeats';
import { HookCalls } from './hooks';
import type { Transport } from './http';
import { sentLines } from './log-buffer';
import type { Logger } from './logger';
import type { AttemptMetrics, ProcessMeter } from './process-meter';
import type { ClaimedJob, CompleteReply } from './protocol';
import type { Completion, Reports } from './reports';
import type { Sign } from './sign';
import type { SlotPool } from './slot-pool';

export interface InHandOptions {
  work: ReadonlyMap<string, Work>;
  transport: Transport;
  heartbeats: Heartbeats;
  reports: Reports;
  pool: SlotPool;
  meter: ProcessMeter;
  logger: Logger;
  /** How long a handler that has stopped its own runner may take. */
  graceMs: number;
  abortGraceMs: number;
  /** A slot has come free. */
  onFree: () => void;
}

interface Held {
  attempt: Attempt;
  /** From when its claim's answer was here; the coordinator's own deadline is never later. */
  giveUpAtMs: number;
  isGivenBack: boolean;
  /** Its handler has called `stop`, and may wait for that: its result counts, so it is not aborted with the others. */
  hasCalledStop: boolean;
}

type Reported = Extract<Ending, { kind: 'completed' | 'failed' }>;

const FINAL_CALL_MS = 3000;
/** Thousands of jobs go back over the same few connections, so each has longer, as long as all others might take. */
const FINAL_CALL_EACH_MS = 5;

/** The jobs in this runner's hand, from the claim's answer to the report. */
export class InHand {
  private readonly held = new Map<string, Held>();
  private readonly attemptOptions: AttemptOptions;
  private isStopping = false;
  private readonly stopping = new AbortController();
  private finalCallMs = FINAL_CALL_MS;
  private whenEmpty: (() => void)[] = [];
  private readonly hooks: HookCalls;
  private readonly failures: FailureLog;

  constructor(private readonly options: InHandOptions) {
    const { abortGraceMs, heartbeats, logger } = options;
    this.hooks = new HookCalls(logger);
    this.failures = new FailureLog(logger);
    this.attemptOptions = {
      abortGraceMs,
      say: (said, attempt) => {
        heartbeats.say({ jobId: attempt.job.id, leaseToken: attempt.job.leaseToken }, said);
        if (said.kind === 'progress')
          this.hooks.call(attempt, 'onProgress', (hooks) => hooks.onProgress?.(progressOf(said), attempt.context));
      },
      onIgnoredAbort: (reason, job) =>
        logger.warn('a handler ignores its signal; its slot stays taken until it returns', {
          ...named(job),
          reason: reason.code,
        }),
    };
  }

  /** Takes claimed jobs: their leases are kept from now on. A runner that stops gives them back instead. */
  accept(jobs: ClaimedJob[], sentAtMs: number): void {
    const nowMs = monotonicMs();
    const leases = jobs.map(({ id, leaseToken, leaseMs }) => {
      // A poll that was parked for long may have been granted long ago: ask before the handler starts.
      const isUnconfirmed = sentAtMs + leaseMs - nowMs < leaseMs / 2;
      return {
        jobId: id,
        leaseToken,
        leaseMs,
        isUnconfirmed,
        leaseEndsAtMs: (isUnconfirmed ? nowMs : sentAtMs) + leaseMs,
      };
    });
    this.options.heartbeats.hold(leases);
    for (const job of jobs) this.take(job, nowMs);
    for (const { leaseToken, isUnconfirmed } of leases) if (!isUnconfirmed || this.isStopping) this.confirm(leaseToken);
  }

  /** The lease stands: the handler may start. */
  confirm(leaseToken: string): void {
    const held = this.held.get(leaseToken);
    if (held === undefined || held.attempt.hasStarted || held.isGivenBack) return;
    if (this.isStopping) void this.giveBack(held);
    else this.run(held);
  }

  /** The lease is over, by the coordinator's word or by its own clock. */
  lose(leaseToken: string, code: string): void {
    const held = this.held.get(leaseToken);
    if (held === undefined || held.isGivenBack) return;
    const reason =
      code === 'job_cancelled'
        ? new AttemptCancelledError()
        : new LeaseLostError(code === 'lease_expired' ? 'its clock ended without an answer to a heartbeat' : undefined);
    if (held.attempt.hasStarted) return held.attempt.abort(reason);
    this.logDropped(held.attempt.job, reason);
    this.forget(held);
    this.free();
  }

  /** Lets handlers finish for `graceMs`, then aborts them and gives their jobs back. Bounded, whatever the coordinator does. */
  async stop(graceMs: number): Promise<void> {
    this.isStopping = true;
    this.finalCallMs = FINAL_CALL_MS + FINAL_CALL_EACH_MS * this.held.size;
    this.stopping.abort(new Error('the runner stops'));
    for (const held of [...this.held.values()]) if (!held.attempt.hasStarted) void this.giveBack(held);
    await within(graceMs, this.allEnded());
    this.abortAll((held) => !held.hasCalledStop);
    const callersGraceMs = [...this.held.values()].some((held) => held.hasCalledStop)
      ? Math.max(this.options.graceMs - graceMs, 0)
      : 0;
    await within(callersGraceMs, this.allEnded());
    this.abortAll(() => true);
    await within(this.options.abortGraceMs + this.finalCallMs, this.allEnded());
  }

  /** `true` when it is the attempt of a job in hand: it has called `stop` itself, which cannot end before its handler. */
  noteStopBy(attempt: object | undefined): boolean {
    for (const held of this.held.values()) {
      if (held.attempt !== attempt) continue;
      held.hasCalledStop = true;
      this.options.logger.warn(
        'stop() was called by a handler, which it would wait for; it returns at once, and the runner stops when the handler has returned',
        named(held.attempt.job),
      );
      return true;
    }
    return false;
  }

  /** Resolved when all callbacks of handlers have returned, or have had their time. */
  hooksSettled(): Promise<void> {
    return this.hooks.settled();
  }

  /** Resolved when no job is in hand any more, those included that are taken meanwhile. */
  async allEnded(): Promise<void> {
    while (this.held.size > 0) await new Promise<void>((resolve) => this.whenEmpty.push(resolve));
  }

  private abortAll(isMeant: (held: Held) => boolean): void {
    for (const held of this.held.values()) if (isMeant(held)) held.attempt.abort(new RunnerStoppingError());
  }

  private take(job: ClaimedJob, nowMs: number): void {
    const attempt = new Attempt(job, this.workOf(job), this.attemptOptions);
    this.held.set(job.leaseToken, {
      attempt,
      giveUpAtMs: nowMs + 1.25 * job.timeoutMs,
      isGivenBack: false,
      hasCalledStop: false,
    });
  }

  private workOf(job: ClaimedJob): Work {
    return (
      this.options.work.get(job.type) ?? {
        definition: {},
        handler: () => Promise.reject(new Error(`this runner has no handler for ${job.type}`)),
      }
    );
  }

  private run(held: Held): void {
    const stopMeasuring = this.options.meter.measure();
    void held.attempt.run().then((ending) => {
      const measured = stopMeasuring();
      const { metrics: custom } = held.attempt;
      this.finish(held, ending, custom === null ? measured : { ...measured, custom });
    });
  }

  private finish(held: Held, ending: Ending, metrics: AttemptMetrics): void {
    const { id: jobId, leaseToken } = held.attempt.job;
    this.logEnding(held.attempt.job, ending, metrics);
    if (ending.kind !== 'completed' || this.options.heartbeats.hasSaid(leaseToken))
      return void this.tell(held, ending, metrics).then(() => this.leave(held));
    // Nothing was said: there is nothing to wait for.
    const { result } = ending;
    this.push(
      held,
      ending,
      result === undefined
        ? { jobId, leaseToken, outcome: 'completed', metrics }
        : { jobId, leaseToken, outcome: 'completed', result, metrics },
    );
    this.leave(held);
  }

  private leave(held: Held): void {
    this.forget(held);
    if (held.attempt.hasReturned) this.free();
    else void held.attempt.returned().then(() => this.free());
  }

  private async tell(held: Held, ending: Ending, metrics: AttemptMetrics): Promise<void> {
    const { job } = held.attempt;
    const lease = { jobId: job.id, leaseToken: job.leaseToken };
    if (ending.kind === 'dropped') return this.logDropped(job, ending.reason);
    const said = await this.options.heartbeats.withdraw(lease);
    if (ending.kind === 'snoozed') return this.release(held, ending.delayMs, said);
    if (ending.kind === 'released') return this.release(held, 0, said);
    if (ending.kind === 'failed') await this.saveCheckpoint(held, said);
    const logs =
      said.logs !== undefined && said.logs.length > 0 ? { logs: sentLines(said.logs.slice(-1000), monotonicMs()) } : {};
    const progress = said.progress === undefined ? {} : { progress: said.progress };
    const outcome: Pick<Completion, 'outcome' | 'result' | 'error'> =
      ending.kind === 'failed'
        ? { outcome: 'failed', error: ending.error }
        : { outcome: 'completed', ...(ending.result !== undefined && { result: ending.result }) };
    this.push(held, ending, { ...lease, ...outcome, metrics, ...progress, ...logs });
  }

  private push({ attempt, giveUpAtMs }: Held, ending: Reported, completion: Completion): void {
    // Most have nothing to tell of the answer, and thousands end in a second.
    const isHeard = ending.kind === 'failed' || attempt.hooks !== undefined;
    const onAnswer = isHeard ? (reply: CompleteReply | null) => this.afterReport(attempt, ending, reply) : null;
    this.options.reports.push({ completion, attempt: attempt.job.attempt, giveUpAtMs, onAnswer });
  }

  /** The coordinator has judged the report, or was not to be had. */
  private afterReport(attempt: Attempt, ending: Reported, reply: CompleteReply | null): void {
    if (ending.kind === 'completed') {
      if (reply?.status === 'completed')
        this.hooks.call(attempt, 'onComplete', (hooks) => hooks.onComplete?.(ending.result, attempt.context));
      return;
    }
    this.failures.add(attempt.job, ending.error, reply);
    const next: NextTry = {
      willRetry: reply === null ? null : reply.status === 'pending',
      retryAt: reply?.runAt === undefined ? null : new Date(reply.runAt),
    };
    this.hooks.call(attempt, 'onError', (hooks) =>
      hooks.onError?.(ending.thrown ?? ending.error, attempt.context, next),
    );
  }

  private logEnding(job: ClaimedJob, ending: Ending, { durationMs }: AttemptMetrics): void {
    const { logger } = this.options;
    if (ending.kind === 'failed' && ending.warning !== undefined) logger.warn(ending.warning, named(job));
    // Of failed ones the line comes with what comes next.
    if (ending.kind === 'completed') logger.debug('an attempt completed', { ...named(job), durationMs });
    else if (ending.kind === 'snoozed')
      logger.debug('an attempt was snoozed', { ...named(job), durationMs, delayMs: ending.delayMs });
    else if (ending.kind === 'released') logger.info('an attempt was given back', { ...named(job), durationMs });
  }

  /** The next attempt is to find the last checkpoint, and a failure's report has no place for one. */
  private async saveCheckpoint(held: Held, { checkpoint, progress }: Sign): Promise<void> {
    if (checkpoint === undefined) return;
    const body = { leaseToken: held.attempt.job.leaseToken, checkpoint, ...(progress && { progress }) };
    await this.finalCall(held, 'heartbeat', body, 'the last checkpoint before a failure could not be saved');
  }

  private async giveBack(held: Held): Promise<void> {
    if (held.isGivenBack) return;
    held.isGivenBack = true;
    await this.release(held, 0, {});
    this.forget(held);
    this.free();
  }

  private async release(held: Held, delayMs: number, { checkpoint, logs }: Sign): Promise<void> {
    const { leaseToken } = held.attempt.job;
    const more = {
      ...(checkpoint !== undefined && { checkpoint }),
      ...(logs !== undefined && logs.length > 0 && { logs: sentLines(logs.slice(-1000), monotonicMs()) }),
    };
    const plain = { leaseToken, delayMs };
    const complaint = 'a job could not be given back; it comes back when its lease ends';
    const status = await this.finalCall(held, 'release', { ...plain, ...more }, complaint);
    // What was said may be too large; the job must go back all the same.
    if (status === 400 || status === 413) await this.finalCall(held, 'release', plain, complaint);
    this.options.heartbeats.letGo([leaseToken]);
  }

  private async finalCall(held: Held, verb: 'heartbeat' | 'release', body: object, complaint: string): Promise<number> {
    const jobId = held.attempt.job.id;
    const signal = this.isStopping ? {} : { signal: this.stopping.signal };
    const expects = verb === 'release' ? 'status' : 'leaseExpiresAt';
    try {
      await this.options.transport.call({
        method: 'POST',
        path: `/jobs/${jobId}/${verb}`,
        body,
        expects,
        timeoutMs: this.finalCallMs,
        budgetMs: this.budgetMs(held),
        untilEnd: true,
        ...signal,
      });
      return 200;
    } catch (error) {
      // It had more time than there is now.
      if (error === this.stopping.signal.reason) return this.finalCall(held, verb, body, complaint);
      this.options.logger.warn(complaint, { jobId, error: messageOf(error) });
      return error instanceof BatonError ? error.status : 0;
    }
  }

  /**
   * A runner that works on can wait out an outage, for as long as the lease would; half of what is left until the deadline
   * is for the report that follows.
   */
  private budgetMs({ attempt, giveUpAtMs }: Held): number {
    if (this.isStopping) return this.finalCallMs;
    return Math.max(this.finalCallMs, Math.min(attempt.job.leaseMs, (giveUpAtMs - monotonicMs()) / 2));
  }

  private logDropped(job: ClaimedJob, reason: AttemptAbortedError): void {
    const write = reason instanceof AttemptCancelledError ? this.options.logger.info : this.options.logger.warn;
    write(`an attempt was dropped: ${reason.message}`, { ...named(job), reason: reason.code });
  }

  private forget(held: Held): void {
    this.held.delete(held.attempt.job.leaseToken);
    if (this.held.size === 0) for (const resolve of this.whenEmpty.splice(0)) resolve();
  }

  private free(): void {
    this.options.pool.leave();
    this.options.onFree();
  }
}

function progressOf({ percent, message }: Said & { kind: 'progress' }): { percent: number; message?: string } {
  return message === undefined ? { percent } : { percent, message };
}

function named(job: ClaimedJob): Record<string, unknown> {
  return { jobId: job.id, type: job.type, attempt: job.attempt };
}
