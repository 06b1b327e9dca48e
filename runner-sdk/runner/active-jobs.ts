import { within } from '../transport/backoff';
import { Attempt, type AttemptOptions, type AttemptOutcome } from './attempt';
import { monotonicMs } from '../transport/clock';
import type { HandlerOutput } from '../leases/handler-output';
import {
  AttemptCancelledError,
  BatonError,
  LeaseLostError,
  RunnerStoppingError,
  type AttemptAbortedError,
} from '../transport/errors';
import { messageOf } from '../transport/failure';
import { FailureLog } from './failure-log';
import type { NextTry, Work } from './handler';
import type { Heartbeats } from '../leases/heartbeats';
import { HookCalls } from './hooks';
import type { SuspendError } from '../transport/errors';
import type { ApiRequest, Transport } from '../transport/transport';
import { sentLines } from '../leases/log-buffer';
import type { Logger } from './logger';
import type { AttemptMetrics, ProcessMeter } from './process-meter';
import { type ClaimedJob, type CompleteReply, DEADLINE_FACTOR } from '../protocol';
import type { Completion, Reporter } from './reporter';
import type { JobUpdate } from '../leases/job-update';
import type { SlotPool } from './slot-pool';

export interface ActiveJobsOptions {
  work: ReadonlyMap<string, Work>;
  transport: Transport;
  heartbeats: Heartbeats;
  reporter: Reporter;
  pool: SlotPool;
  meter: ProcessMeter;
  logger: Logger;
  /** How long a handler that has stopped its own runner may still run, in milliseconds. */
  graceMs: number;
  abortGraceMs: number;
  /** Called when a slot becomes free. */
  onFree: () => void;
}

interface ActiveJob {
  attempt: Attempt;
  /** Counted from the arrival of the claim's answer; the coordinator's own deadline is never later. */
  giveUpAtMs: number;
  isGivenBack: boolean;
  /** Its handler has called `stop`, and may await it: its result counts, so it is not aborted with the others. */
  hasCalledStop: boolean;
}

type Reported = Extract<AttemptOutcome, { kind: 'completed' | 'failed' }>;

const FINAL_CALL_MS = 3000;
/** Thousands of jobs are released over the same few connections, so each may take as long as all others could. */
const FINAL_CALL_EACH_MS = 5;

/** The active jobs of a runner, from the claim's answer to the report. */
export class ActiveJobs {
  private readonly active = new Map<string, ActiveJob>();
  private readonly attemptOptions: AttemptOptions;
  private isStopping = false;
  private readonly stopping = new AbortController();
  private finalCallMs = FINAL_CALL_MS;
  private whenEmpty: (() => void)[] = [];
  private readonly hooks: HookCalls;
  private readonly failures: FailureLog;

  constructor(private readonly options: ActiveJobsOptions) {
    const { abortGraceMs, heartbeats, logger, transport } = options;
    this.hooks = new HookCalls(logger);
    this.failures = new FailureLog(logger);
    this.attemptOptions = {
      abortGraceMs,
      send: async <T>(request: ApiRequest) => (await transport.call<T>(request)).body,
      onOutput: (output, attempt) => {
        heartbeats.addOutput({ jobId: attempt.job.id, leaseToken: attempt.job.leaseToken }, output);
        if (output.kind === 'progress')
          this.hooks.call(attempt, 'onProgress', (hooks) => hooks.onProgress?.(progressOf(output), attempt.context));
      },
      onIgnoredAbort: (reason, job) =>
        logger.warn('a handler ignores its signal; its slot stays taken until it returns', {
          ...named(job),
          reason: reason.code,
        }),
    };
  }

  /** Accepts claimed jobs: their leases are kept from now on. A stopping runner releases them instead. */
  accept(jobs: ClaimedJob[], sentAtMs: number): void {
    const nowMs = monotonicMs();
    const leases = jobs.map(({ id, leaseToken, leaseMs }) => {
      // A long poll may have been granted long ago: check the lease before the handler starts.
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

  /** The lease is valid: the handler may start. */
  confirm(leaseToken: string): void {
    const active = this.active.get(leaseToken);
    if (active === undefined || active.attempt.hasStarted || active.isGivenBack) return;
    if (this.isStopping) void this.giveBack(active);
    else this.run(active);
  }

  /** The lease is lost, as told by the coordinator or by the local clock. */
  lose(leaseToken: string, code: string): void {
    const active = this.active.get(leaseToken);
    if (active === undefined || active.isGivenBack) return;
    const reason =
      code === 'job_cancelled'
        ? new AttemptCancelledError()
        : new LeaseLostError(code === 'lease_expired' ? 'its clock ended without an answer to a heartbeat' : undefined);
    if (active.attempt.hasStarted) return active.attempt.abort(reason);
    this.logDropped(active.attempt.job, reason);
    this.forget(active);
    this.free();
  }

  /**
   * Lets handlers finish for `graceMs`, then aborts them and releases their jobs. Ends in bounded time, whatever the
   * coordinator does.
   */
  async stop(graceMs: number): Promise<void> {
    this.isStopping = true;
    this.finalCallMs = FINAL_CALL_MS + FINAL_CALL_EACH_MS * this.active.size;
    this.stopping.abort(new Error('the runner stops'));
    for (const active of [...this.active.values()]) if (!active.attempt.hasStarted) void this.giveBack(active);
    await within(graceMs, this.allEnded());
    this.abortAll((active) => !active.hasCalledStop);
    const callersGraceMs = [...this.active.values()].some((active) => active.hasCalledStop)
      ? Math.max(this.options.graceMs - graceMs, 0)
      : 0;
    await within(callersGraceMs, this.allEnded());
    this.abortAll(() => true);
    await within(this.options.abortGraceMs + this.finalCallMs, this.allEnded());
  }

  /**
   * `true` when it is the attempt of an active job: it has called `stop` itself, which cannot end before its handler.
   */
  noteStopBy(attempt: object | undefined): boolean {
    for (const active of this.active.values()) {
      if (active.attempt !== attempt) continue;
      active.hasCalledStop = true;
      this.options.logger.warn(
        'stop() was called by a handler, which it would wait for; it returns at once, and the runner stops when the handler has returned',
        named(active.attempt.job),
      );
      return true;
    }
    return false;
  }

  /** Resolves when all callbacks of handlers have returned, or have timed out. */
  hooksSettled(): Promise<void> {
    return this.hooks.settled();
  }

  /** Resolves when no job is active any more, including those accepted meanwhile. */
  async allEnded(): Promise<void> {
    while (this.active.size > 0) await new Promise<void>((resolve) => this.whenEmpty.push(resolve));
  }

  private abortAll(isMeant: (active: ActiveJob) => boolean): void {
    for (const active of this.active.values()) if (isMeant(active)) active.attempt.abort(new RunnerStoppingError());
  }

  private take(job: ClaimedJob, nowMs: number): void {
    const attempt = new Attempt(job, this.workOf(job), this.attemptOptions);
    this.active.set(job.leaseToken, {
      attempt,
      giveUpAtMs: nowMs + DEADLINE_FACTOR * job.timeoutMs,
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

  private run(active: ActiveJob): void {
    const stopMeasuring = this.options.meter.measure();
    void active.attempt.run().then((outcome) => {
      const measured = stopMeasuring();
      const { metrics: custom } = active.attempt;
      this.finish(active, outcome, custom === null ? measured : { ...measured, custom });
    });
  }

  private finish(active: ActiveJob, outcome: AttemptOutcome, metrics: AttemptMetrics): void {
    const { id: jobId, leaseToken } = active.attempt.job;
    this.logOutcome(active.attempt.job, outcome, metrics);
    if (outcome.kind !== 'completed' || this.options.heartbeats.hasPendingOutput(leaseToken))
      return void this.tell(active, outcome, metrics).then(() => this.leave(active));
    // No output is pending, so there is nothing to wait for.
    const { result } = outcome;
    this.push(
      active,
      outcome,
      result === undefined
        ? { jobId, leaseToken, outcome: 'completed', metrics }
        : { jobId, leaseToken, outcome: 'completed', result, metrics },
    );
    this.leave(active);
  }

  private leave(active: ActiveJob): void {
    this.forget(active);
    if (active.attempt.hasReturned) this.free();
    else void active.attempt.returned().then(() => this.free());
  }

  private async tell(active: ActiveJob, outcome: AttemptOutcome, metrics: AttemptMetrics): Promise<void> {
    const { job } = active.attempt;
    const lease = { jobId: job.id, leaseToken: job.leaseToken };
    if (outcome.kind === 'dropped') return this.logDropped(job, outcome.reason);
    const pending = await this.options.heartbeats.withdraw(lease);
    if (outcome.kind === 'snoozed') return this.release(active, outcome.delayMs, pending);
    if (outcome.kind === 'released') return this.release(active, 0, pending);
    if (outcome.kind === 'suspended') return this.suspend(active, outcome.until, pending, metrics);
    if (outcome.kind === 'failed') await this.saveCheckpoint(active, pending);
    const logs =
      pending.logs !== undefined && pending.logs.length > 0
        ? { logs: sentLines(pending.logs.slice(-1000), monotonicMs()) }
        : {};
    const progress = pending.progress === undefined ? {} : { progress: pending.progress };
    const reported: Pick<Completion, 'outcome' | 'result' | 'error'> =
      outcome.kind === 'failed'
        ? { outcome: 'failed', error: outcome.error }
        : { outcome: 'completed', ...(outcome.result !== undefined && { result: outcome.result }) };
    this.push(active, outcome, { ...lease, ...reported, metrics, ...progress, ...logs });
  }

  private push({ attempt, giveUpAtMs }: ActiveJob, outcome: Reported, completion: Completion): void {
    // Most attempts do not need the answer, and thousands end in a second.
    const isHeard = outcome.kind === 'failed' || attempt.hooks !== undefined;
    const onAnswer = isHeard ? (reply: CompleteReply | null) => this.afterReport(attempt, outcome, reply) : null;
    this.options.reporter.push({ completion, attempt: attempt.job.attempt, giveUpAtMs, onAnswer });
  }

  /** The coordinator has answered the report, or could not be reached. */
  private afterReport(attempt: Attempt, outcome: Reported, reply: CompleteReply | null): void {
    if (outcome.kind === 'completed') {
      if (reply?.status === 'completed')
        this.hooks.call(attempt, 'onComplete', (hooks) => hooks.onComplete?.(outcome.result, attempt.context));
      return;
    }
    this.failures.add(attempt.job, outcome.error, reply);
    const next: NextTry = {
      willRetry: reply === null ? null : reply.status === 'pending',
      retryAt: reply?.runAt === undefined ? null : new Date(reply.runAt),
    };
    this.hooks.call(attempt, 'onError', (hooks) =>
      hooks.onError?.(outcome.thrown ?? outcome.error, attempt.context, next),
    );
  }

  private logOutcome(job: ClaimedJob, outcome: AttemptOutcome, { durationMs }: AttemptMetrics): void {
    const { logger } = this.options;
    if (outcome.kind === 'failed' && outcome.warning !== undefined) logger.warn(outcome.warning, named(job));
    // For failed attempts the log line includes what happens next.
    if (outcome.kind === 'completed') logger.debug('an attempt completed', { ...named(job), durationMs });
    else if (outcome.kind === 'snoozed')
      logger.debug('an attempt was snoozed', { ...named(job), durationMs, delayMs: outcome.delayMs });
    else if (outcome.kind === 'suspended')
      logger.debug('an attempt waits for something to end', { ...named(job), durationMs, until: outcome.until });
    else if (outcome.kind === 'released') logger.info('an attempt was given back', { ...named(job), durationMs });
  }

  /** Saves the last checkpoint for the next attempt, because a report of a failure cannot contain one. */
  private async saveCheckpoint(active: ActiveJob, { checkpoint, progress }: JobUpdate): Promise<void> {
    if (checkpoint === undefined) return;
    const body = { leaseToken: active.attempt.job.leaseToken, checkpoint, ...(progress && { progress }) };
    await this.finalCall(active, 'heartbeat', body, 'the last checkpoint before a failure could not be saved');
  }

  private async giveBack(active: ActiveJob): Promise<void> {
    if (active.isGivenBack) return;
    active.isGivenBack = true;
    await this.release(active, 0, {});
    this.forget(active);
    this.free();
  }

  private async release(active: ActiveJob, delayMs: number, { checkpoint, logs }: JobUpdate): Promise<void> {
    const { leaseToken } = active.attempt.job;
    const more = {
      ...(checkpoint !== undefined && { checkpoint }),
      ...(logs !== undefined && logs.length > 0 && { logs: sentLines(logs.slice(-1000), monotonicMs()) }),
    };
    const plain = { leaseToken, delayMs };
    const complaint = 'a job could not be given back; it comes back when its lease ends';
    const status = await this.finalCall(active, 'release', { ...plain, ...more }, complaint);
    // The pending output may be too large; the job must still be released.
    if (status === 400 || status === 413) await this.finalCall(active, 'release', plain, complaint);
    this.options.heartbeats.letGo([leaseToken]);
  }

  /** One that the coordinator will not let wait has failed: it would run again and again otherwise. */
  private async suspend(
    active: ActiveJob,
    until: SuspendError['until'],
    { checkpoint, logs }: JobUpdate,
    metrics: AttemptMetrics,
  ): Promise<void> {
    const { id: jobId, leaseToken } = active.attempt.job;
    const more = {
      ...(checkpoint !== undefined && { checkpoint }),
      ...(logs !== undefined && logs.length > 0 && { logs: sentLines(logs.slice(-1000), monotonicMs()) }),
    };
    const plain = { leaseToken, delayMs: 0, until };
    const complaint = 'a job could not be given back until something has ended';
    let status = await this.finalCall(active, 'release', { ...plain, ...more }, complaint);
    if (status === 400 || status === 413) status = await this.finalCall(active, 'release', plain, complaint);
    if (status !== 400) return this.options.heartbeats.letGo([leaseToken]);
    const message = `it cannot wait for ${JSON.stringify(until)}: that is no id, or it waits for this job itself`;
    const error = { message, code: 'dependency_cycle', retryable: false };
    this.push(active, { kind: 'failed', error }, { jobId, leaseToken, outcome: 'failed', error, metrics });
  }

  private async finalCall(
    active: ActiveJob,
    verb: 'heartbeat' | 'release',
    body: object,
    complaint: string,
  ): Promise<number> {
    const jobId = active.attempt.job.id;
    const signal = this.isStopping ? {} : { signal: this.stopping.signal };
    const expects = verb === 'release' ? 'status' : 'leaseExpiresAt';
    try {
      await this.options.transport.call({
        method: 'POST',
        path: `/jobs/${jobId}/${verb}`,
        body,
        expects,
        timeoutMs: this.finalCallMs,
        budgetMs: this.budgetMs(active),
        untilEnd: true,
        ...signal,
      });
      return 200;
    } catch (error) {
      // It was sent with more time than is left now.
      if (error === this.stopping.signal.reason) return this.finalCall(active, verb, body, complaint);
      this.options.logger.warn(complaint, { jobId, error: messageOf(error) });
      return error instanceof BatonError ? error.status : 0;
    }
  }

  /**
   * A runner that keeps running can wait for the end of an outage as long as the lease could; half of the time until
   * the deadline is left for the report that follows.
   */
  private budgetMs({ attempt, giveUpAtMs }: ActiveJob): number {
    if (this.isStopping) return this.finalCallMs;
    return Math.max(this.finalCallMs, Math.min(attempt.job.leaseMs, (giveUpAtMs - monotonicMs()) / 2));
  }

  private logDropped(job: ClaimedJob, reason: AttemptAbortedError): void {
    const write = reason instanceof AttemptCancelledError ? this.options.logger.info : this.options.logger.warn;
    write(`an attempt was dropped: ${reason.message}`, { ...named(job), reason: reason.code });
  }

  private forget(active: ActiveJob): void {
    this.active.delete(active.attempt.job.leaseToken);
    if (this.active.size === 0) for (const resolve of this.whenEmpty.splice(0)) resolve();
  }

  private free(): void {
    this.options.pool.leave();
    this.options.onFree();
  }
}

function progressOf({ percent, message }: HandlerOutput & { kind: 'progress' }): { percent: number; message?: string } {
  return message === undefined ? { percent } : { percent, message };
}

function named(job: ClaimedJob): Record<string, unknown> {
  return { jobId: job.id, type: job.type, attempt: job.attempt };
}
