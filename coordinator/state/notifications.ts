import { createHash } from 'node:crypto';
import { EventEmitter } from 'node:events';

/** A lane with a ready job, and the position of that job in milliseconds, rounded down. */
export interface ReadyLane {
  laneId: number;
  positionMs: number;
}

/** A running job that was cancelled, and the tag of the runner that has it. */
export interface CancelledJob {
  jobId: string;
  runner: string;
}

/**
 * Identifies a runner in a few characters. Two runners may share a tag: what it is used for is a hint that is verified.
 */
export function runnerTag(runnerId: string): string {
  return createHash('sha256').update(runnerId).digest('base64url').slice(0, 8);
}

export interface OrderKey {
  queue: string;
  key: string;
}

interface Topics {
  ready: [ReadyLane[]];
  /** A job becomes due in this many milliseconds. */
  due: [number];
  /** A schedule ticks in this many milliseconds. */
  scheduled: [number];
  /** Limits or pauses of queues changed. */
  queues: [];
  /** The limits of these queues may let more jobs start. */
  freed: [string[]];
  /** Jobs with these order keys were created in SQL as held, and may be the first of their orders. */
  orders: [OrderKey[]];
  finished: [string[]];
  /** Some jobs finished, but too many to name. */
  finishedMany: [];
  /** Running jobs were cancelled. */
  cancelled: [CancelledJob[]];
  /** Running jobs were cancelled, but too many to name. */
  cancelledMany: [];
  /** A runner was told to drain, or to resume. */
  runners: [];
  /** There is a message for the other coordinators. */
  unsent: [];
  /** Notifications may have been missed: read the tables. */
  resync: [];
}

/** The content of one message to the other coordinators. */
export interface NotificationMessage {
  from: string;
  ready?: ReadyLane[];
  due?: number;
  scheduled?: number;
  queues?: true;
  freed?: string[];
  finished?: string[];
  finishedMany?: true;
  cancelled?: CancelledJob[];
  cancelledMany?: true;
  runners?: true;
  /** Sent only by the SQL function `enqueue`: coordinators check the orders of their own jobs themselves. */
  orders?: OrderKey[];
}

// Together these fit into one NOTIFY, which takes less than 8,000 bytes: a job takes 39, a lane at most 50, a queue's
// name 203, a cancelled job 79.
const MOST_NAMED_JOBS = 70;
const MOST_NAMED_CANCELLED = 15;
const MOST_NAMED_LANES = 50;
const MOST_NAMED_QUEUES = 5;

/**
 * Wakes what waits: claims, reads of jobs, loops. A notification is only a hint, and may be lost, repeated or wrong
 * without harm: everything that it wakes reads the tables, and also reads them every second without being woken.
 * Notifications published here are delivered in this process at once; `takeMessage` returns what to send to the other
 * coordinators.
 */
export class Notifications {
  private readonly emitter = new EventEmitter<Topics>().setMaxListeners(0);
  private ready = new Map<number, ReadyLane>();
  private finishedIds = new Set<string>();
  private readonly freedQueues = new Set<string>();
  private cancelledJobs: CancelledJob[] = [];
  /** When the next job becomes due, on this process's monotonic clock. */
  private dueAt = Infinity;
  /** The same for the next tick of a schedule that changed. */
  private scheduledAt = Infinity;
  private haveRunnersChanged = false;
  private haveQueuesChanged = false;

  /** @param onError receives what a listener threw; the publisher has already committed, so it must not fail */
  constructor(
    private readonly from: string,
    private readonly onError: (error: unknown) => void,
  ) {}

  on<Name extends keyof Topics>(name: Name, listener: (...content: Topics[Name]) => void): void {
    this.emitter.on(name, ((...content: Topics[Name]) => {
      try {
        listener(...content);
      } catch (error) {
        this.onError(error);
      }
    }) as never);
  }

  publishReady(lanes: ReadyLane[]): void {
    if (lanes.length === 0) return;
    for (const lane of lanes) {
      const known = this.ready.get(lane.laneId);
      if (known === undefined || lane.positionMs < known.positionMs) this.ready.set(lane.laneId, lane);
    }
    this.emitter.emit('ready', lanes);
    this.emitter.emit('unsent');
  }

  /** Jobs become due in these numbers of milliseconds. */
  publishDue(inMs: number[]): void {
    if (inMs.length === 0) return;
    const nextMs = Math.max(0, Math.min(...inMs));
    this.dueAt = Math.min(this.dueAt, performance.now() + nextMs);
    this.emitter.emit('due', nextMs);
    this.emitter.emit('unsent');
  }

  /** Held jobs of this process may go on in this many milliseconds; others find out by themselves. */
  tellDue(inMs: number): void {
    this.emitter.emit('due', Math.max(0, inMs));
  }

  /** A changed schedule ticks in this many milliseconds. */
  publishScheduled(inMs: number): void {
    const nextMs = Math.max(0, inMs);
    this.scheduledAt = Math.min(this.scheduledAt, performance.now() + nextMs);
    this.emitter.emit('scheduled', nextMs);
    this.emitter.emit('unsent');
  }

  publishFreed(queues: string[]): void {
    if (queues.length === 0) return;
    for (const queue of queues) this.freedQueues.add(queue);
    this.emitter.emit('freed', queues);
    this.emitter.emit('unsent');
  }

  publishQueues(): void {
    this.haveQueuesChanged = true;
    this.emitter.emit('queues');
    this.emitter.emit('unsent');
  }

  publishFinished(jobIds: string[]): void {
    if (jobIds.length === 0) return;
    for (const id of jobIds) if (this.finishedIds.size <= MOST_NAMED_JOBS) this.finishedIds.add(id);
    this.emitter.emit('finished', jobIds);
    this.emitter.emit('unsent');
  }

  publishCancelled(jobs: { jobId: string; runnerId: string }[]): void {
    if (jobs.length === 0) return;
    const cancelled = jobs.map(({ jobId, runnerId }) => ({ jobId, runner: runnerTag(runnerId) }));
    // Keeps one more than can be named, to know that there are too many.
    this.cancelledJobs.push(...cancelled.slice(0, MOST_NAMED_CANCELLED + 1 - this.cancelledJobs.length));
    this.emitter.emit('cancelled', cancelled);
    this.emitter.emit('unsent');
  }

  publishRunners(): void {
    this.haveRunnersChanged = true;
    this.emitter.emit('runners');
    this.emitter.emit('unsent');
  }

  /** The connection that receives notifications was lost, so some may have been missed. */
  resync(): void {
    this.emitter.emit('resync');
  }

  /** What was published since the last call; null: nothing was. */
  takeMessage(): string | null {
    if (!this.isUnsent()) return null;
    const message: NotificationMessage = {
      from: this.from,
      ready: [...this.ready.values()].slice(0, MOST_NAMED_LANES),
      ...(this.finishedIds.size > MOST_NAMED_JOBS ? { finishedMany: true } : { finished: [...this.finishedIds] }),
      ...(this.dueAt === Infinity ? {} : { due: Math.max(0, Math.round(this.dueAt - performance.now())) }),
      ...(this.scheduledAt === Infinity
        ? {}
        : { scheduled: Math.max(0, Math.round(this.scheduledAt - performance.now())) }),
      ...(this.freedQueues.size === 0 ? {} : { freed: [...this.freedQueues].slice(0, MOST_NAMED_QUEUES) }),
      ...(this.cancelledJobs.length > MOST_NAMED_CANCELLED ? { cancelledMany: true } : {}),
      ...(this.cancelledJobs.length > 0 && this.cancelledJobs.length <= MOST_NAMED_CANCELLED
        ? { cancelled: this.cancelledJobs }
        : {}),
      ...(this.haveRunnersChanged ? { runners: true } : {}),
      ...(this.haveQueuesChanged ? { queues: true } : {}),
    };
    this.clear();
    return JSON.stringify(message);
  }

  /** Delivers a message of another coordinator in this process. */
  receive(payload: string): void {
    const message = parse(payload);
    if (message === null || message.from === this.from) return;
    const ready = listOf(message.ready, isReadyLane);
    const finished = listOf(message.finished, (id) => typeof id === 'string');
    if (ready.length > 0) this.emitter.emit('ready', ready);
    if (finished.length > 0) this.emitter.emit('finished', finished);
    const freed = listOf(message.freed, (queue) => typeof queue === 'string');
    if (freed.length > 0) this.emitter.emit('freed', freed);
    const orders = listOf(message.orders, isOrderKey);
    if (orders.length > 0) this.emitter.emit('orders', orders);
    if (Number.isFinite(message.due)) this.emitter.emit('due', Number(message.due));
    if (Number.isFinite(message.scheduled)) this.emitter.emit('scheduled', Number(message.scheduled));
    if (message.queues === true) this.emitter.emit('queues');
    const cancelled = listOf(message.cancelled, isCancelledJob);
    if (cancelled.length > 0) this.emitter.emit('cancelled', cancelled);
    if (message.cancelledMany === true) this.emitter.emit('cancelledMany');
    if (message.finishedMany === true) this.emitter.emit('finishedMany');
    if (message.runners === true) this.emitter.emit('runners');
  }

  private isUnsent(): boolean {
    const hasNamed =
      this.ready.size > 0 || this.finishedIds.size > 0 || this.freedQueues.size > 0 || this.cancelledJobs.length > 0;
    const isTimed = this.dueAt < Infinity || this.scheduledAt < Infinity;
    return hasNamed || isTimed || this.haveRunnersChanged || this.haveQueuesChanged;
  }

  private clear(): void {
    this.ready = new Map();
    this.finishedIds = new Set();
    this.freedQueues.clear();
    this.cancelledJobs = [];
    this.dueAt = Infinity;
    this.scheduledAt = Infinity;
    this.haveRunnersChanged = false;
    this.haveQueuesChanged = false;
  }
}

/** The channel is open to everybody who may connect to the database, so its content is validated. */
function parse(payload: string): NotificationMessage | null {
  try {
    const message: unknown = JSON.parse(payload);
    return typeof message === 'object' && message !== null && 'from' in message
      ? (message as NotificationMessage)
      : null;
  } catch {
    return null;
  }
}

function listOf<Item>(sent: Item[] | undefined, isItem: (item: unknown) => boolean): Item[] {
  return Array.isArray(sent) ? sent.filter(isItem) : [];
}

function isReadyLane(sent: unknown): boolean {
  if (typeof sent !== 'object' || sent === null || !('laneId' in sent) || !('positionMs' in sent)) return false;
  return Number.isInteger(sent.laneId) && Number.isFinite(sent.positionMs);
}

function isOrderKey(sent: unknown): boolean {
  if (typeof sent !== 'object' || sent === null || !('queue' in sent) || !('key' in sent)) return false;
  return typeof sent.queue === 'string' && typeof sent.key === 'string';
}

function isCancelledJob(job: unknown): boolean {
  if (typeof job !== 'object' || job === null || !('jobId' in job) || !('runner' in job)) return false;
  return typeof job.jobId === 'string' && typeof job.runner === 'string';
}
