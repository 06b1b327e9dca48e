import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Worker, type WorkerOptions } from 'node:worker_threads';
import { within } from '../transport/backoff';
import { monotonicMs } from '../transport/clock';
import type { Connection } from '../transport/config';
import type { HandlerOutput } from './handler-output';
import { AttemptCancelledError, BatonError, ConfigurationError, LeaseLostError } from '../transport/errors';
import { heartbeatThreadSource } from './heartbeat-thread-source';
import type { FromThread, HeartbeatThreadData, ToThread } from './heartbeat-thread';
import { SharedLeaseTable, NO_SLOT } from './shared-lease-table';
import type { Lease, KeeperEvent } from './lease-keeper';
import { LogBuffer } from './log-buffer';
import type { Json } from '../protocol';
import type { JobUpdate } from './job-update';
import type { StoredCheckpoint } from './stored-checkpoint';

/** However often handlers report, the thread gets their updates at most four times a second. */
const UPDATE_PERIOD_MS = 250;
const WITHDRAW_MS = 3000;
const RESTART_MS = 250;
const OPEN_MS = 10_000;

interface LeaseRef {
  jobId: string;
  leaseToken: string;
}

/** A lease, with its slot in the shared table if it has one. */
interface KeptLease {
  job: Lease;
  slot: number;
}

interface Outgoing {
  lease: LeaseRef;
  update: JobUpdate;
  logs: LogBuffer;
}

/** Checkpoints of one lease that are not stored yet, by number, and the value of the last one. */
interface Unstored {
  value: Json;
  lastId: number;
  waiting: Map<number, StoredCheckpoint>;
}

/** Events about a runner's leases. Stored checkpoints are handled here. */
export type HeartbeatEvent = Exclude<KeeperEvent, { kind: 'stored' }>;

/** Connects one runner to the heartbeat thread. */
export class Heartbeats {
  private readonly held = new Map<string, KeptLease>();
  private readonly outbox = new Map<string, Outgoing>();
  /** Tokens of jobs whose updates the thread may not have sent yet. */
  private readonly posted = new Set<string>();
  /** By lease token. */
  private readonly unstored = new Map<string, Unstored>();
  private nextCheckpointId = 1;
  private readonly requests = new Map<number, (update: JobUpdate) => void>();
  private nextRequestId = 1;
  private lastPostAtMs = -Infinity;
  private timer: NodeJS.Timeout | undefined;
  private onOpened: () => void = () => undefined;
  private runnerIndex = 0;
  private beatsWhenIdle = false;

  constructor(
    private readonly runnerId: string,
    private readonly connection: Connection,
    private readonly onEvent: (event: HeartbeatEvent) => void,
  ) {}

  /**
   * Resolves when the thread is ready, which on a busy machine takes longer than a short lease: a job claimed before
   * that could be lost before its first heartbeat.
   */
  async open(): Promise<void> {
    const opened = new Promise<true>((resolve) => (this.onOpened = () => resolve(true)));
    this.runnerIndex = sharedThread.join(
      this.runnerId,
      (message) => this.receive(message),
      () => this.reopen(),
    );
    this.postOpen([]);
    if (await within(OPEN_MS, opened)) return;
    this.onEvent({
      kind: 'notice',
      level: 'warn',
      message: 'the heartbeat thread has not started yet; jobs are claimed without it',
      fields: { waitedMs: OPEN_MS },
    });
  }

  /** Keeps these leases from now on, whatever the main thread does: when this returns, the thread can see them. */
  hold(jobs: readonly Lease[]): void {
    const unposted: Lease[] = [];
    for (const job of jobs) {
      // An unconfirmed lease must be checked at once.
      const slot = job.isUnconfirmed ? NO_SLOT : sharedThread.table.put(this.runnerIndex, job);
      this.held.set(job.leaseToken, { job, slot });
      if (slot === NO_SLOT) unposted.push(job);
    }
    if (unposted.length > 0) this.post({ runnerId: this.runnerId, kind: 'hold', jobs: unposted });
    else if (sharedThread.table.wakes()) this.post({ runnerId: this.runnerId, kind: 'look' });
  }

  letGo(leaseTokens: readonly string[]): void {
    const unposted: LeaseRef[] = [];
    for (const leaseToken of leaseTokens) {
      const kept = this.forget(leaseToken);
      if (kept?.slot === NO_SLOT) unposted.push({ jobId: kept.job.jobId, leaseToken });
    }
    if (unposted.length > 0) this.post({ runnerId: this.runnerId, kind: 'let_go', jobs: unposted });
  }

  addOutput(lease: LeaseRef, output: HandlerOutput): void {
    // A handler may report while it learns that its lease is lost: nothing would withdraw that update.
    if (!this.held.has(lease.leaseToken)) {
      if (output.kind === 'checkpoint') output.stored.reject(new LeaseLostError());
      return;
    }
    const outgoing = this.outbox.get(lease.leaseToken) ?? { lease, update: {}, logs: new LogBuffer() };
    this.outbox.set(lease.leaseToken, outgoing);
    if (output.kind === 'log') outgoing.logs.add(output.line);
    if (output.kind === 'checkpoint') {
      outgoing.update.checkpoint = output.value;
      outgoing.update.checkpointId = this.awaitStored(lease, output.value, output.stored);
    }
    if (output.kind === 'progress')
      outgoing.update.progress = {
        percent: output.percent,
        ...(output.message !== undefined && { message: output.message }),
      };
    if (output.kind === 'urgent') {
      outgoing.update.isUrgent = true;
      this.postUpdates();
    } else this.postUpdatesSoon();
  }

  private awaitStored({ leaseToken }: LeaseRef, value: Json, checkpoint: StoredCheckpoint): number {
    const lastId = this.nextCheckpointId++;
    const waiting = this.unstored.get(leaseToken)?.waiting ?? new Map<number, StoredCheckpoint>();
    this.unstored.set(leaseToken, { value, lastId, waiting: waiting.set(lastId, checkpoint) });
    return lastId;
  }

  /** A later checkpoint replaces earlier ones. */
  private settleStored(leaseToken: string, upTo: number, failure: Error | null): void {
    const waiting = this.unstored.get(leaseToken)?.waiting;
    if (waiting === undefined) return;
    for (const [id, checkpoint] of waiting) {
      if (id > upTo) break;
      waiting.delete(id);
      if (failure === null) checkpoint.resolve();
      else checkpoint.reject(failure);
    }
    if (waiting.size === 0) this.unstored.delete(leaseToken);
  }

  /** `false`: there is nothing to withdraw. */
  hasPendingOutput(leaseToken: string): boolean {
    return this.outbox.has(leaseToken) || this.posted.has(leaseToken);
  }

  /** Takes back the updates of this job's handler that are not sent yet, to be sent with its report. */
  async withdraw(lease: LeaseRef): Promise<JobUpdate> {
    const outgoing = this.outbox.get(lease.leaseToken);
    this.outbox.delete(lease.leaseToken);
    const fresh: JobUpdate = outgoing === undefined ? {} : { ...outgoing.update, logs: outgoing.logs.takeAll() };
    if (!this.posted.delete(lease.leaseToken)) return fresh;
    const requestId = this.nextRequestId++;
    const answer = new Promise<JobUpdate>((resolve) => this.requests.set(requestId, resolve));
    this.post({ runnerId: this.runnerId, kind: 'withdraw', requestId, ...lease });
    const older = (await within(WITHDRAW_MS, answer)) ?? {};
    this.requests.delete(requestId);
    // It may be lost with a thread that died, or with a heartbeat that hangs.
    const unstored = this.unstored.get(lease.leaseToken);
    if (unstored !== undefined) older.checkpoint = unstored.value;
    return { ...older, ...fresh, logs: [...(older.logs ?? []), ...(fresh.logs ?? [])] };
  }

  setIdleBeat(isOn: boolean): void {
    this.beatsWhenIdle = isOn;
    this.post({ runnerId: this.runnerId, kind: 'idle_beat', isOn });
  }

  async close(): Promise<void> {
    clearTimeout(this.timer);
    this.onOpened();
    for (const leaseToken of [...this.held.keys()]) this.forget(leaseToken);
    this.post({ runnerId: this.runnerId, kind: 'close' });
    await sharedThread.leave(this.runnerId);
  }

  private postUpdatesSoon(): void {
    const waitMs = this.lastPostAtMs + UPDATE_PERIOD_MS - monotonicMs();
    // Posted directly when it is due: a handler that blocks the event loop would never let a timer fire.
    if (waitMs <= 0) return this.postUpdates();
    this.timer ??= setTimeout(() => this.postUpdates(), waitMs).unref();
  }

  private postUpdates(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.lastPostAtMs = monotonicMs();
    const updates = [...this.outbox.values()].map(({ lease, update, logs }) => ({
      ...lease,
      update: logs.isEmpty ? update : { ...update, logs: logs.takeAll() },
    }));
    this.outbox.clear();
    for (const { leaseToken } of updates) this.posted.add(leaseToken);
    if (updates.length > 0) this.post({ runnerId: this.runnerId, kind: 'updates', updates });
  }

  private receive(message: FromThread): void {
    if (message.kind === 'opened') return this.onOpened();
    if (message.kind === 'withdrawn') return this.requests.get(message.requestId)?.(message.update);
    if (message.kind === 'stored') {
      for (const { leaseToken, checkpointId, code } of message.checkpoints)
        this.settleStored(leaseToken, checkpointId, code === undefined ? null : refusedCheckpoint(code));
      return;
    }
    if (message.kind === 'lost')
      for (const { leaseToken, code } of message.jobs) {
        this.settleStored(
          leaseToken,
          Infinity,
          code === 'job_cancelled' ? new AttemptCancelledError() : new LeaseLostError(),
        );
        this.forget(leaseToken);
      }
    this.onEvent(message);
  }

  /** A new thread has replaced one that died: it checks every lease. */
  private reopen(): void {
    const nowMs = monotonicMs();
    const jobs = [...this.held.values()].map(({ job }) => ({
      ...job,
      leaseEndsAtMs: nowMs + job.leaseMs,
      isUnconfirmed: true,
    }));
    this.postOpen(jobs);
    this.emitUnstored();
    this.onEvent({
      kind: 'notice',
      level: 'error',
      message: 'the heartbeat thread died and was started again',
      fields: { jobs: jobs.length },
    });
  }

  /** Sends checkpoints again that the dead thread may not have sent, and that handlers may await. */
  private emitUnstored(): void {
    for (const [leaseToken, { value, lastId }] of this.unstored) {
      const jobId = this.held.get(leaseToken)?.job.jobId;
      if (jobId === undefined) continue;
      const outgoing = this.outbox.get(leaseToken) ?? {
        lease: { jobId, leaseToken },
        update: {},
        logs: new LogBuffer(),
      };
      Object.assign(outgoing.update, { checkpoint: value, checkpointId: lastId, isUrgent: true });
      this.outbox.set(leaseToken, outgoing);
    }
    this.postUpdates();
  }

  /** In one message, so that the thread does not treat unconfirmed leases by their state in the table. */
  private postOpen(jobs: Lease[]): void {
    this.post({
      runnerId: this.runnerId,
      kind: 'open',
      connection: this.connection,
      runnerIndex: this.runnerIndex,
      beatsWhenIdle: this.beatsWhenIdle,
      jobs,
    });
  }

  private forget(leaseToken: string): KeptLease | undefined {
    const kept = this.held.get(leaseToken);
    this.held.delete(leaseToken);
    this.outbox.delete(leaseToken);
    this.posted.delete(leaseToken);
    this.settleStored(leaseToken, Infinity, new Error('the attempt ended before its checkpoint was stored'));
    if (kept !== undefined && kept.slot !== NO_SLOT) sharedThread.table.clear(kept.slot);
    return kept;
  }

  private post(message: ToThread): void {
    sharedThread.post(message);
  }
}

function refusedCheckpoint(code: string): Error {
  return new BatonError({ code, status: 0, detail: 'the coordinator refused the checkpoint' });
}

interface ConnectedRunner {
  receive: (message: FromThread) => void;
  reopen: () => void;
}

/** The heartbeat thread of the process: started for its first runner, ended with its last. */
class SharedThread {
  readonly table = new SharedLeaseTable();
  private readonly runners = new Map<string, ConnectedRunner>();
  private worker: Worker | null = null;
  private joined = 0;

  /** @returns the index of the runner in the shared table */
  join(runnerId: string, receive: ConnectedRunner['receive'], reopen: ConnectedRunner['reopen']): number {
    this.runners.set(runnerId, { receive, reopen });
    this.worker ??= this.start();
    this.joined += 1;
    return this.joined;
  }

  async leave(runnerId: string): Promise<void> {
    this.runners.delete(runnerId);
    if (this.runners.size > 0) return;
    const worker = this.worker;
    this.worker = null;
    await worker?.terminate();
  }

  post(message: ToThread): void {
    this.worker?.postMessage(message);
  }

  private start(): Worker {
    // None of the main thread's flags: loaders and test runners set some that a thread must not have.
    const workerData: HeartbeatThreadData = { table: this.table.memory };
    const worker = startThread({ name: 'baton-heartbeats', execArgv: [], workerData });
    worker.unref();
    worker.on('message', (message: FromThread) => this.runners.get(message.runnerId)?.receive(message));
    worker.on('error', () => undefined);
    worker.on('exit', () => this.restart(worker));
    return worker;
  }

  private restart(dead: Worker): void {
    const start = () => {
      if (this.worker !== dead) return;
      this.worker = this.start();
      for (const runner of this.runners.values()) runner.reopen();
    };
    setTimeout(start, RESTART_MS).unref();
  }
}

const sharedThread = new SharedThread();

/**
 * Starts the built thread: it is beside this file if that is built too, and under `dist` if this runs from TypeScript
 * source. A bundler does not include it, so then it is run from its source, which was compiled into the bundle.
 */
function startThread(options: WorkerOptions): Worker {
  // Bundles of ES modules have no `__dirname`.
  const folder = typeof __dirname === 'undefined' ? null : __dirname;
  const places =
    folder === null
      ? []
      : [join(folder, 'heartbeat-thread.js'), join(folder, '..', 'dist', 'leases', 'heartbeat-thread.js')];
  const found = places.find((place) => existsSync(place));
  if (found !== undefined) return new Worker(found, options);
  if (heartbeatThreadSource !== null) return new Worker(heartbeatThreadSource, { ...options, eval: true });
  throw new ConfigurationError(
    `the heartbeat thread is not built: none of ${places.join(', ')} exists; run npm run build`,
  );
}
