import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { AsyncScope, currentAttempt } from './attempt-scope';
import { within } from '../transport/backoff';
import { ClaimPoller } from './claim-poller';
import { monotonicMs } from '../transport/clock';
import { connectionOf, type Connection, type ConnectionOptions } from '../transport/config';
import type { JobDefinition } from '../client/define-job';
import { ConfigurationError } from '../transport/errors';
import { definitionOf } from '../client/creation';
import { gathering, type ManyHandler, type ManyOptions } from './handle-many';
import { workOf, type Handler, type HandlerObject, type NoGenerator, type Work } from './handler';
import { Heartbeats, type HeartbeatEvent } from '../leases/heartbeats';
import { Transport, type ApiRequest } from '../transport/transport';
import { ActiveJobs } from './active-jobs';
import { stderrLoggerFrom, withFields, withThreshold, type Logger, type LogThreshold } from './logger';
import { processMeter } from './process-meter';
import { claim as claimSchema, type ClaimInput, type Directives, type HeartbeatsInput, type Labels } from '../protocol';
import { Reporter } from './reporter';
import { fieldErrorsOf, type InputOf, type OutputOf, type Schema } from '../client/schema';
import { processSignals, type Signalled } from './signals';
import { defaultLogLevel, withSettings } from './runner-config';
import { SlotPool, type Concurrency } from './slot-pool';
import { TypePublisher } from './type-publisher';
import { SDK_VERSION } from '../transport/version';

export interface RunnerOptions extends ConnectionOptions {
  /**
   * How many jobs run at once: a fixed number, or between `min` and `max`, depending on work and event loop. Default 1
   * to 10.
   */
  concurrency?: Concurrency | undefined;
  /** Properties of this runner, for jobs that require them: `{ region: 'eu', gpu: true }`. */
  labels?: Labels | undefined;
  /** Default: all queues. */
  queues?: string[] | undefined;
  /** Prefix of the runner's id. Default: the host name. */
  name?: string | undefined;
  /** Shown in the list of runners. Default: the SDK's version. */
  version?: string | undefined;
  /** How long a job stays leased without a heartbeat, in milliseconds. Default 30 s. */
  leaseMs?: number | undefined;
  /**
   * How long a claim waits for work, in milliseconds; at most 50,000, of which the coordinator waits 45,000. Proxies in
   * between must allow it. Default: a random time from 35 to 40 s per runner.
   */
  waitMs?: number | undefined;
  /**
   * How long `stop` lets handlers finish before it aborts them and releases their jobs, in milliseconds. Default 20 s.
   */
  graceMs?: number | undefined;
  /**
   * How long a handler may run after its signal was aborted, before the attempt ends without it, in milliseconds.
   * Default 5 s.
   */
  abortGraceMs?: number | undefined;
  /** `false`: SIGTERM and SIGINT are not handled. Default: they stop the runner and then end the process. */
  signals?: boolean | undefined;
  /** Default: JSON lines on stderr. */
  logger?: Logger | undefined;
  /**
   * `debug` (each job), `info` (start, connection, stop), `warn` (failed attempts, outages), `error` (jobs that failed
   * for good, refusals) or `silent`. Default: the environment's `RUNNER_LOG_LEVEL`; else `info`, in development
   * `debug`, and all levels for a logger of your own.
   */
  logLevel?: LogThreshold | undefined;
}

type Takes<Arguments, Result> = Handler<Arguments, Result> | HandlerObject<Arguments, Result>;

type ClaimBody = Omit<ClaimInput, 'max' | 'claimId' | 'waitMs'>;

const GRACE_MS = 20_000;
const ABORT_GRACE_MS = 5000;
const FLUSH_MS = 5000;
const SELF_CALL_MS = 2000;

const LEAST_WAIT_MS = 35_000;
const WAIT_SPREAD_MS = 5000;

/**
 * Short enough for proxies that close connections after 50 s of silence, and for the runner to be seen every minute.
 * Random, because the polls of a fleet that start together would otherwise always end together.
 */
function usualWaitMs(): number {
  return LEAST_WAIT_MS + Math.floor(Math.random() * WAIT_SPREAD_MS);
}

/**
 * Claims jobs, runs their handlers, and reports how they ended.
 *
 * ```ts
 * const runner = new Runner({ concurrency: { min: 1, max: 20 } });
 * runner.handle(syncMovie, async ({ movieId }, job) => { … return movie; });
 * await runner.start();
 * ```
 */
export class Runner {
  /** Unique to this object: name, process id and some random characters. */
  readonly id: string;
  private readonly options: RunnerOptions;
  private readonly connection: Connection;
  private readonly logger: Logger;
  private readonly work = new Map<string, Work>();
  private readonly graceMs: number;
  private readonly pool: SlotPool;
  private readonly transport: Transport;
  private readonly heartbeats: Heartbeats;
  private readonly reporter: Reporter;
  private readonly claimPoller: ClaimPoller;
  private readonly activeJobs: ActiveJobs;
  private readonly typePublisher: TypePublisher;
  /** What the coordinator calls the published schemas. */
  private typeSet: string | undefined;
  private readonly onSample = (lagMs: number) => this.adapt(lagMs);
  private readonly signalled: Signalled = {
    stop: () => this.stop(),
    onAgain: (signal) => this.logger.warn('told to stop again: ending at once', { signal }),
    onLeft: (signal) =>
      this.logger.info(
        'stopped; others listen to the signal too, so the end of the process is left to them, for 30 s',
        {
          signal,
        },
      ),
  };
  private state: 'new' | 'running' | 'stopping' = 'new';
  private stopped: Promise<void> | null = null;
  private readonly stopping = new AbortController();
  private isDraining = false;
  private currentLabels: Labels | undefined;
  /** Fields of every claim, until the runner changes. */
  private claimFields: ClaimBody | null = null;

  /** Throws `ConfigurationError` when something is missing or out of range. */
  constructor(given: RunnerOptions = {}) {
    const options = withSettings(given);
    this.options = options;
    this.connection = connectionOf(options);
    this.currentLabels = options.labels;
    this.id = `${(options.name ?? hostname()).slice(0, 150)}.${process.pid}.${randomBytes(4).toString('hex')}`;
    this.logger = withFields(loggerOf(options), { runnerId: this.id });
    this.graceMs = durationOf('graceMs', options.graceMs, GRACE_MS);
    this.pool = new SlotPool(options.concurrency);
    this.transport = new Transport(this.connection);
    this.heartbeats = new Heartbeats(this.id, this.connection, (event) => this.onKeeperEvent(event));
    this.reporter = this.makeReports();
    this.claimPoller = this.makeClaims();
    this.activeJobs = this.makeInHand();
    this.typePublisher = this.makeTypePublisher();
  }

  /** The labels of this runner: the option, else `RUNNER_LABELS`, or those of `setLabels`. */
  get labels(): Labels {
    return { ...this.currentLabels };
  }

  /** Number of running jobs, and of slots. */
  get slots(): { busy: number; size: number } {
    return { busy: this.pool.busy, size: this.pool.size };
  }

  /**
   * Registers the handler of a kind of job: a function, or an object `{ handle, onProgress?, onComplete?, onError? }`.
   * What it returns is the job's result; what it throws is its failure. Throws `ConfigurationError` for a second
   * handler of a type, and for invalid handlers such as generator functions.
   */
  handle<Arguments extends Schema, Result extends Schema, Given extends Takes<OutputOf<Arguments>, InputOf<Result>>>(
    definition: JobDefinition<Arguments, Result>,
    handler: Given & NoGenerator<Given>,
  ): this;
  handle<Given extends Takes<unknown, unknown>>(type: string, handler: Given & NoGenerator<Given>): this;
  handle(target: string | JobDefinition, handler: unknown): this {
    const definition: JobDefinition = typeof target === 'string' ? { type: target, defaults: {} } : target;
    if (this.work.has(definition.type))
      throw new ConfigurationError(
        `there is a handler for ${definition.type} already; a type has one handler in a runner`,
      );
    this.work.set(definition.type, workOf(definition, handler));
    this.claimFields = null;
    if (this.state === 'running') this.typePublisher.publish(false);
    return this;
  }

  /**
   * Registers a handler that takes many jobs of a kind together, such as rows for one statement, and returns an outcome
   * for each: `runner.handleMany(saveRow, { max: 100, lingerMs: 50 }, (jobs) => insert(jobs.map(({ arguments: row }) =>
   * row)))`. Each job stays an attempt of its own, with its own lease, timeout, cancel and retry. Throws
   * `ConfigurationError`.
   */
  handleMany<Arguments extends Schema, Result extends Schema>(
    definition: JobDefinition<Arguments, Result>,
    options: ManyOptions,
    handler: ManyHandler<OutputOf<Arguments>, InputOf<Result>>,
  ): this;
  handleMany(type: string, options: ManyOptions, handler: ManyHandler): this;
  handleMany(target: string | JobDefinition, options: ManyOptions, handler: ManyHandler<never, unknown>): this {
    const definition = definitionOf(target);
    // It would wait for more than there is room for.
    const max = Math.min(options.max, this.pool.max);
    return this.handle(definition, gathering(definition, { ...options, max }, handler));
  }

  /** Starts claiming and returns. Throws `ConfigurationError` when the runner's options do not allow it to work. */
  async start(): Promise<void> {
    if (this.state !== 'new')
      throw new ConfigurationError('this runner was started already; make a new one to start again');
    this.assertClaimable();
    this.state = 'running';
    // The caller's async context must not be visible to jobs or the logger.
    await new AsyncScope().run(() => this.open());
  }

  private async open(): Promise<void> {
    if (this.options.signals !== false) processSignals.listen(this.signalled);
    await this.heartbeats.open();
    if (this.stopped !== null) return;
    processMeter.start(this.onSample);
    void this.sayHello();
    this.typePublisher.publish(false);
    this.logger.info('runner started', { types: [...this.work.keys()], version: this.options.version ?? SDK_VERSION });
    this.claimPoller.wake();
  }

  /**
   * Changes the runner's labels. They apply from the next claim on, and the waiting claim is sent again; running jobs
   * continue. Throws `ConfigurationError` when the labels are out of range, and keeps the previous ones.
   */
  setLabels(labels: Labels): void {
    const former = this.currentLabels;
    this.currentLabels = { ...labels };
    this.claimFields = null;
    try {
      this.assertClaimIsValid();
    } catch (error) {
      this.currentLabels = former;
      this.claimFields = null;
      throw error;
    }
    this.claimPoller.renew();
  }

  /**
   * Stops claiming at once, lets handlers finish within `graceMs`, then aborts them and releases their jobs, sends the
   * remaining reports, and closes. Ends in bounded time even if the coordinator does not answer. Called again, it
   * returns the same promise. Called by a handler of this runner it resolves at once, because the runner waits for that
   * handler: it stops when the handler has returned, and the result counts.
   */
  stop({ graceMs }: { graceMs?: number } = {}): Promise<void> {
    const isCalledByHandler = this.activeJobs.noteStopBy(currentAttempt());
    this.stopped ??= new AsyncScope().run(() => this.shutDown(this.graceOf(graceMs)));
    return isCalledByHandler ? Promise.resolve() : this.stopped;
  }

  /** Logs that the coordinator is reachable and accepts the key. */
  private async sayHello(): Promise<void> {
    try {
      await this.callAboutItself({}, { budgetMs: Infinity, signal: this.stopping.signal });
      this.logger.info('connected to the coordinator', { url: this.connection.urls.join(', ') });
    } catch {
      // Failing claims report what is wrong, and are retried.
    }
  }

  /** Reports the stop, so that the runner is listed as stopped and not as lost. */
  private async sayGoodbye(): Promise<void> {
    try {
      await this.callAboutItself({ goodbye: true }, { budgetMs: 0 });
    } catch {
      // It is listed as lost then.
    }
  }

  private async callAboutItself(
    more: { goodbye?: true },
    limits: Pick<ApiRequest, 'budgetMs' | 'signal'>,
  ): Promise<void> {
    const body: HeartbeatsInput = { runnerId: this.id, jobs: [], ...more };
    await this.transport.call({
      ...{ method: 'POST', path: '/jobs/heartbeat', body, expects: 'jobs', timeoutMs: SELF_CALL_MS },
      ...limits,
    });
  }

  /** A stop must not fail because of an invalid grace, so that falls back to the runner's own. */
  private graceOf(graceMs: number | undefined): number {
    if (graceMs === undefined) return this.graceMs;
    if (typeof graceMs === 'number' && graceMs >= 0) return graceMs;
    this.logger.warn("graceMs is no number of milliseconds; the runner's own is taken", {
      given: String(graceMs),
      graceMs: this.graceMs,
    });
    return this.graceMs;
  }

  private async shutDown(graceMs: number): Promise<void> {
    const wasRunning = this.state === 'running';
    this.state = 'stopping';
    this.stopping.abort();
    if (wasRunning) {
      this.logger.info('runner stopping: no more claims', { busy: this.pool.busy, graceMs });
      await Promise.all([this.claimPoller.stop(), this.activeJobs.stop(graceMs)]);
      await within(FLUSH_MS / 2, this.reporter.flushed());
      this.reporter.flushNow();
      await within(FLUSH_MS, this.reporter.flushed());
      this.reporter.stop();
      await within(FLUSH_MS, this.claimPoller.recovered());
      // Jobs from the claim of a last report, or from a late grant, are being released.
      await within(FLUSH_MS, this.activeJobs.allEnded());
      await this.activeJobs.hooksSettled();
      processMeter.stop(this.onSample);
      await this.heartbeats.close();
      await this.sayGoodbye();
    }
    processSignals.ignore(this.signalled);
    await this.transport.close();
    if (wasRunning) this.logger.info('runner stopped');
  }

  private adapt(lagMs: number): void {
    this.pool.tick(lagMs, monotonicMs());
    this.claimPoller.wake();
  }

  private onKeeperEvent(event: HeartbeatEvent): void {
    switch (event.kind) {
      case 'lost':
        return event.jobs.forEach(({ leaseToken, code }) => this.activeJobs.lose(leaseToken, code));
      case 'confirmed':
        return event.leaseTokens.forEach((leaseToken) => this.activeJobs.confirm(leaseToken));
      case 'directives':
        return this.follow(event.directives);
      case 'notice':
        return this.logger[event.level](event.message, event.fields);
    }
  }

  /** `drain`: no more claims, and a slow heartbeat to learn when that is over. */
  private follow(directives: Directives): void {
    if (directives.publishTypes === true && this.state === 'running') this.typePublisher.publish(true);
    const shouldDrain = directives.drain === true;
    if (shouldDrain === this.isDraining || this.state !== 'running') return;
    this.isDraining = shouldDrain;
    this.logger.info(
      shouldDrain ? 'told to drain: no more claims until told otherwise' : 'no longer told to drain: claiming again',
    );
    this.heartbeats.setIdleBeat(shouldDrain);
    this.claimPoller.setPaused(shouldDrain);
  }

  private claimBody(): ClaimBody {
    this.claimFields ??= this.makeClaimFields();
    return this.claimFields;
  }

  private makeClaimFields(): ClaimBody {
    const { queues, leaseMs, version } = this.options;
    const fields: ClaimBody = { runnerId: this.id, types: [...this.work.keys()], version: version ?? SDK_VERSION };
    if (queues !== undefined) fields.queues = queues;
    if (this.currentLabels !== undefined) fields.labels = this.currentLabels;
    if (leaseMs !== undefined) fields.leaseMs = leaseMs;
    if (this.typeSet !== undefined) fields.typeSet = this.typeSet;
    return fields;
  }

  private assertClaimable(): void {
    if (this.work.size === 0)
      throw new ConfigurationError('this runner has no handlers: call runner.handle(definition, handler) before start');
    this.assertClaimIsValid();
  }

  private assertClaimIsValid(): void {
    // Labels may be set before the first handler.
    const types = this.work.size === 0 ? ['any'] : [...this.work.keys()];
    const checked = claimSchema.safeParse({ ...this.claimBody(), types, waitMs: this.options.waitMs });
    if (checked.success) return;
    throw new ConfigurationError(
      `the runner is set up wrongly: ${fieldErrorsOf(checked.error)
        .map((fault) => `${fault.path}: ${fault.message}`)
        .join('; ')}`,
    );
  }

  private makeReports(): Reporter {
    return new Reporter({
      transport: this.transport,
      logger: this.logger,
      prepareClaim: (calls) => this.claimPoller.prepare(0, calls),
      finishClaim: (claim, jobs) => this.claimPoller.finish(claim, jobs),
      recoverClaim: (claim) => this.claimPoller.recoverClaim(claim),
      onDirectives: (directives) => this.follow(directives),
      onDone: (leaseTokens) => this.heartbeats.letGo(leaseTokens),
      onIdle: () => this.claimPoller.wake(),
    });
  }

  private makeClaims(): ClaimPoller {
    return new ClaimPoller({
      transport: this.transport,
      pool: this.pool,
      logger: this.logger,
      waitMs: this.options.waitMs ?? usualWaitMs(),
      claim: () => this.claimBody(),
      isReporting: () => this.reporter.isBusy,
      accept: (jobs, sentAtMs) => this.activeJobs.accept(jobs, sentAtMs),
      onDirectives: (directives) => this.follow(directives),
    });
  }

  private makeTypePublisher(): TypePublisher {
    return new TypePublisher({
      transport: this.transport,
      logger: this.logger,
      runnerId: this.id,
      work: this.work,
      signal: this.stopping.signal,
      onPublished: (typeSet) => {
        this.typeSet = typeSet;
        this.claimFields = null;
      },
    });
  }

  private makeInHand(): ActiveJobs {
    const { transport, heartbeats, reporter, pool, logger, work } = this;
    return new ActiveJobs({
      transport,
      heartbeats,
      reporter,
      pool,
      meter: processMeter,
      logger,
      work,
      graceMs: this.graceMs,
      abortGraceMs: durationOf('abortGraceMs', this.options.abortGraceMs, ABORT_GRACE_MS),
      onFree: () => this.claimPoller.wake(),
    });
  }
}

/** Infinity is a valid duration; NaN, which a timer treats as 0, is not. */
function durationOf(name: string, given: number | undefined, byDefault: number): number {
  if (given === undefined) return byDefault;
  if (typeof given === 'number' && given >= 0) return given;
  throw new ConfigurationError(`${name} must be a number of milliseconds, 0 or more; it is ${String(given)}`);
}

function loggerOf({ logger, logLevel }: RunnerOptions): Logger {
  if (logger === undefined) return stderrLoggerFrom(logLevel ?? defaultLogLevel());
  return logLevel === undefined ? logger : withThreshold(logger, logLevel);
}
