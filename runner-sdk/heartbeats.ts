import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Worker, type WorkerOptions } from 'node:worker_threads';
import { within } from './backoff';
import { monotonicMs } from './clock';
import type { Connection } from './config';
import type { Said } from './context';
import { AttemptCancelledError, BatonError, ConfigurationError, LeaseLostError } from './errors';
import { heartbeatThreadSource } from './heartbeat-thread-source';
import type { FromThread, HeartbeatThreadData, ToThread } from './heartbeat-thread';
import { LeaseBoard, NO_SLOT } from './lease-board';
import type { HeldJob, KeeperEvent } from './lease-keeper';
import { LogBuffer } from './log-buffer';
import type { Json } from './protocol';
import type { Sign } from './sign';
import type { StoredCheckpoint } from './stored-checkpoint';

/** Handlers may talk as often as they like: the thread hears of it at most four times a second. */
const SIGN_PERIOD_MS = 250;
const WITHDRAW_MS = 3000;
const RESTART_MS = 250;
const OPEN_MS = 10_000;

interface Lease {
  jobId: string;
  leaseToken: string;
}

/** A lease that is kept, with its place on the board if it has one. */
interface Kept {
  job: HeldJob;
  slot: number;
}

interface Outgoing {
  lease: Lease;
  sign: Sign;
  logs: LogBuffer;
}

/** Checkpoints of one lease that are not stored yet, each with its number, and the last one's value. */
interface Unstored {
  value: Json;
  lastId: number;
  waiting: Map<number, StoredCheckpoint>;
}

/** What a runner hears of its leases. Which checkpoints are stored is settled here. */
export type HeartbeatEvent = Exclude<KeeperEvent, { kind: 'stored' }>;

/** One runner's line to the heartbeat thread. */
export class Heartbeats {
  private readonly held = new Map<string, Kept>();
  private readonly outbox = new Map<string, Outgoing>();
  /** Tokens of jobs of which the thread may hold words that are not sent yet. */
  private readonly signed = new Set<string>();
  /** By lease token. */
  private readonly unstored = new Map<string, Unstored>();
  private nextCheckpointId = 1;
  private readonly tickets = new Map<number, (sign: Sign) => void>();
  private nextTicket = 1;
  private lastPostAtMs = -Infinity;
  private timer: NodeJS.Timeout | undefined;
  private onOpened: () => void = () => undefined;
  private member = 0;
  private beatsWhenIdle = false;

  constructor(
    private readonly runnerId: string,
    private readonly connection: Connection,
    private readonly onEvent: (event: HeartbeatEvent) => void,
  ) {}

  /**
   * Resolves when the thread listens, which on a busy machine takes longer than a short lease: a job claimed before
   * could be lost before its first heartbeat.
   */
  async open(): Promise<void> {
    const opened = new Promise<true>((resolve) => (this.onOpened = () => resolve(true)));
    this.member = sharedThread.join(
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
  hold(jobs: readonly HeldJob[]): void {
    const unposted: HeldJob[] = [];
    for (const job of jobs) {
      // One in doubt is to be asked for at once.
      const slot = job.isUnconfirmed ? NO_SLOT : sharedThread.board.put(this.member, job);
      this.held.set(job.leaseToken, { job, slot });
      if (slot === NO_SLOT) unposted.push(job);
    }
    if (unposted.length > 0) this.post({ runnerId: this.runnerId, kind: 'hold', jobs: unposted });
    else if (sharedThread.board.wakes()) this.post({ runnerId: this.runnerId, kind: 'look' });
  }

  letGo(leaseTokens: readonly string[]): void {
    const unposted: Lease[] = [];
    for (const leaseToken of leaseTokens) {
      const kept = this.forget(leaseToken);
      if (kept?.slot === NO_SLOT) unposted.push({ jobId: kept.job.jobId, leaseToken });
    }
    if (unposted.length > 0) this.post({ runnerId: this.runnerId, kind: 'let_go', jobs: unposted });
  }

  say(lease: Lease, said: Said): void {
    // A handler that speaks as it hears that its lease is lost: nobody would take its words back.
    if (!this.held.has(lease.leaseToken)) {
      if (said.kind === 'checkpoint') said.stored.reject(new LeaseLostError());
      return;
    }
    const outgoing = this.outbox.get(lease.leaseToken) ?? { lease, sign: {}, logs: new LogBuffer() };
    this.outbox.set(lease.leaseToken, outgoing);
    if (said.kind === 'log') outgoing.logs.add(said.line);
    if (said.kind === 'checkpoint') {
      outgoing.sign.checkpoint = said.value;
      outgoing.sign.checkpointId = this.awaitStored(lease, said.value, said.stored);
    }
    if (said.kind === 'progress')
      outgoing.sign.progress = { percent: said.percent, ...(said.message !== undefined && { message: said.message }) };
    if (said.kind === 'urgent') {
      outgoing.sign.isUrgent = true;
      this.postSigns();
    } else this.postSignsSoon();
  }

  private awaitStored({ leaseToken }: Lease, value: Json, checkpoint: StoredCheckpoint): number {
    const lastId = this.nextCheckpointId++;
    const waiting = this.unstored.get(leaseToken)?.waiting ?? new Map<number, StoredCheckpoint>();
    this.unstored.set(leaseToken, { value, lastId, waiting: waiting.set(lastId, checkpoint) });
    return lastId;
  }

  /** A later checkpoint takes the place of those before it. */
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
  hasSaid(leaseToken: string): boolean {
    return this.outbox.has(leaseToken) || this.signed.has(leaseToken);
  }

  /** What was said of this job and not sent yet, to be sent with its report. */
  async withdraw(lease: Lease): Promise<Sign> {
    const outgoing = this.outbox.get(lease.leaseToken);
    this.outbox.delete(lease.leaseToken);
    const fresh: Sign = outgoing === undefined ? {} : { ...outgoing.sign, logs: outgoing.logs.takeAll() };
    if (!this.signed.delete(lease.leaseToken)) return fresh;
    const ticket = this.nextTicket++;
    const answer = new Promise<Sign>((resolve) => this.tickets.set(ticket, resolve));
    this.post({ runnerId: this.runnerId, kind: 'withdraw', ticket, ...lease });
    const older = (await within(WITHDRAW_MS, answer)) ?? {};
    this.tickets.delete(ticket);
    // It may be lost with a thread that died, or with a beat that hangs.
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

  private postSignsSoon(): void {
    const waitMs = this.lastPostAtMs + SIGN_PERIOD_MS - monotonicMs();
    // At once when it is due: a handler that blocks the event loop would never let a timer fire.
    if (waitMs <= 0) return this.postSigns();
    this.timer ??= setTimeout(() => this.postSigns(), waitMs).unref();
  }

  private postSigns(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.lastPostAtMs = monotonicMs();
    const signs = [...this.outbox.values()].map(({ lease, sign, logs }) => ({
      ...lease,
      sign: logs.isEmpty ? sign : { ...sign, logs: logs.takeAll() },
    }));
    this.outbox.clear();
    for (const { leaseToken } of signs) this.signed.add(leaseToken);
    if (signs.length > 0) this.post({ runnerId: this.runnerId, kind: 'signs', signs });
  }

  private receive(message: FromThread): void {
    if (message.kind === 'opened') return this.onOpened();
    if (message.kind === 'withdrawn') return this.tickets.get(message.ticket)?.(message.sign);
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

  /** The thread died and a new one stands: it asks of each lease whether it still stands. */
  private reopen(): void {
    const nowMs = monotonicMs();
    const jobs = [...this.held.values()].map(({ job }) => ({
      ...job,
      leaseEndsAtMs: nowMs + job.leaseMs,
      isUnconfirmed: true,
    }));
    this.postOpen(jobs);
    this.sayUnstored();
    this.onEvent({
      kind: 'notice',
      level: 'error',
      message: 'the heartbeat thread died and was started again',
      fields: { jobs: jobs.length },
    });
  }

  /** Checkpoints that the dead thread may not have sent, for which handlers may wait. */
  private sayUnstored(): void {
    for (const [leaseToken, { value, lastId }] of this.unstored) {
      const jobId = this.held.get(leaseToken)?.job.jobId;
      if (jobId === undefined) continue;
      const outgoing = this.outbox.get(leaseToken) ?? { lease: { jobId, leaseToken }, sign: {}, logs: new LogBuffer() };
      Object.assign(outgoing.sign, { checkpoint: value, checkpointId: lastId, isUrgent: true });
      this.outbox.set(leaseToken, outgoing);
    }
    this.postSigns();
  }

  /** In one message, lest the thread judge leases in doubt by what stands of them on the board. */
  private postOpen(jobs: HeldJob[]): void {
    this.post({
      runnerId: this.runnerId,
      kind: 'open',
      connection: this.connection,
      member: this.member,
      beatsWhenIdle: this.beatsWhenIdle,
      jobs,
    });
  }

  private forget(leaseToken: string): Kept | undefined {
    const kept = this.held.get(leaseToken);
    this.held.delete(leaseToken);
    this.outbox.delete(leaseToken);
    this.signed.delete(leaseToken);
    this.settleStored(leaseToken, Infinity, new Error('the attempt ended before its checkpoint was stored'));
    if (kept !== undefined && kept.slot !== NO_SLOT) sharedThread.board.clear(kept.slot);
    return kept;
  }

  private post(message: ToThread): void {
    sharedThread.post(message);
  }
}

function refusedCheckpoint(code: string): Error {
  return new BatonError({ code, status: 0, detail: 'the coordinator refused the checkpoint' });
}

interface Member {
  receive: (message: FromThread) => void;
  reopen: () => void;
}

/** The one heartbeat thread of the process: started for its first runner, ended with its last. */
class SharedThread {
  readonly board = new LeaseBoard();
  private readonly members = new Map<string, Member>();
  private worker: Worker | null = null;
  private joined = 0;

  /** The number under which its leases stand on the board. */
  join(runnerId: string, receive: Member['receive'], reopen: Member['reopen']): number {
    this.members.set(runnerId, { receive, reopen });
    this.worker ??= this.start();
    this.joined += 1;
    return this.joined;
  }

  async leave(runnerId: string): Promise<void> {
    this.members.delete(runnerId);
    if (this.members.size > 0) return;
    const worker = this.worker;
    this.worker = null;
    await worker?.terminate();
  }

  post(message: ToThread): void {
    this.worker?.postMessage(message);
  }

  private start(): Worker {
    // No flags of the main thread: loaders and test runners set some that a thread must not have.
    const workerData: HeartbeatThreadData = { board: this.board.memory };
    const worker = startThread({ name: 'baton-heartbeats', execArgv: [], workerData });
    worker.unref();
    worker.on('message', (message: FromThread) => this.members.get(message.runnerId)?.receive(message));
    worker.on('error', () => undefined);
    worker.on('exit', () => this.restart(worker));
    return worker;
  }

  private restart(dead: Worker): void {
    const start = () => {
      if (this.worker !== dead) return;
      this.worker = this.start();
      for (const member of this.members.values()) member.reopen();
    };
    setTimeout(start, RESTART_MS).unref();
  }
}

const sharedThread = new SharedThread();

/**
 * The built thread: beside this file when that is built too, under `dist` when this runs from its TypeScript source. A
 * bundler leaves it behind, so then it is run from its source, which was compiled into the bundle.
 */
function startThread(options: WorkerOptions): Worker {
  // Bundles of ES modules have no `__dirname`.
  const folder = typeof __dirname === 'undefined' ? null : __dirname;
  const places =
    folder === null ? [] : [join(folder, 'heartbeat-thread.js'), join(folder, 'dist', 'heartbeat-thread.js')];
  const found = places.find((place) => existsSync(place));
  if (found !== undefined) return new Worker(found, options);
  if (heartbeatThreadSource !== null) return new Worker(heartbeatThreadSource, { ...options, eval: true });
  throw new ConfigurationError(
    `the heartbeat thread is not built: none of ${places.join(', ')} exists; run npm run build`,
  );
}
