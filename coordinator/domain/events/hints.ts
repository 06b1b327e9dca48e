import { EventEmitter } from 'node:events';

/** A lane with a job in turn, and where in its order: milliseconds of the position, rounded down. */
export interface ReadyHint {
  laneId: number;
  positionMs: number;
}

interface Heard {
  ready: [ReadyHint[]];
  /** A job becomes due in so many milliseconds. */
  due: [number];
  /** Limits or pauses of queues changed. */
  queues: [];
  /** Something that counted against these queues' limits ended. */
  freed: [string[]];
  finished: [string[]];
  /** Some jobs finished, but too many to name. */
  finishedMany: [];
  roster: [];
  /** There is something to tell the other coordinators. */
  news: [];
  /** Hints may have been missed: look at the tables. */
  lost: [];
}

/** What one message to the other coordinators holds. */
export interface HintMessage {
  from: string;
  ready?: ReadyHint[];
  due?: number;
  queues?: true;
  freed?: string[];
  finished?: string[];
  finishedMany?: true;
  roster?: true;
}

// Together they fit into one NOTIFY, which takes less than 8,000 bytes: a job 39, a lane at most 50, a queue's name 203.
const MOST_NAMED_JOBS = 100;
const MOST_NAMED_LANES = 50;
const MOST_NAMED_QUEUES = 5;

/**
 * Hints wake what waits: a parked claim, a wait for a job. A hint may be lost, doubled or wrong without harm, because
 * everything woken looks at the tables, and looks there every second without being woken. Hints given here are heard in
 * this process at once; `takeMessage` hands what the other coordinators should hear.
 */
export class Hints {
  private readonly emitter = new EventEmitter<Heard>().setMaxListeners(0);
  private ready = new Map<number, ReadyHint>();
  private finishedIds = new Set<string>();
  private readonly freedQueues = new Set<string>();
  /** When the next job becomes due, on this process's monotonic clock. */
  private dueAt = Infinity;
  private hasRosterChanged = false;
  private haveQueuesChanged = false;

  /** @param onError told what a listener threw; whoever gives a hint has committed already, and must not fail for it */
  constructor(
    private readonly from: string,
    private readonly onError: (error: unknown) => void,
  ) {}

  on<Name extends keyof Heard>(name: Name, listener: (...heard: Heard[Name]) => void): void {
    this.emitter.on(name, ((...heard: Heard[Name]) => {
      try {
        listener(...heard);
      } catch (error) {
        this.onError(error);
      }
    }) as never);
  }

  giveReady(hints: ReadyHint[]): void {
    if (hints.length === 0) return;
    for (const hint of hints) {
      const known = this.ready.get(hint.laneId);
      if (known === undefined || hint.positionMs < known.positionMs) this.ready.set(hint.laneId, hint);
    }
    this.emitter.emit('ready', hints);
    this.emitter.emit('news');
  }

  /** Jobs become due in so many milliseconds. */
  giveDue(inMs: number[]): void {
    if (inMs.length === 0) return;
    const nextMs = Math.max(0, Math.min(...inMs));
    this.dueAt = Math.min(this.dueAt, performance.now() + nextMs);
    this.emitter.emit('due', nextMs);
    this.emitter.emit('news');
  }

  giveFreed(queues: string[]): void {
    if (queues.length === 0) return;
    for (const queue of queues) this.freedQueues.add(queue);
    this.emitter.emit('freed', queues);
    this.emitter.emit('news');
  }

  giveQueues(): void {
    this.haveQueuesChanged = true;
    this.emitter.emit('queues');
    this.emitter.emit('news');
  }

  giveFinished(jobIds: string[]): void {
    if (jobIds.length === 0) return;
    for (const id of jobIds) if (this.finishedIds.size <= MOST_NAMED_JOBS) this.finishedIds.add(id);
    this.emitter.emit('finished', jobIds);
    this.emitter.emit('news');
  }

  /** A runner was told to drain, or to resume. */
  giveRoster(): void {
    this.hasRosterChanged = true;
    this.emitter.emit('roster');
    this.emitter.emit('news');
  }

  giveLost(): void {
    this.emitter.emit('lost');
  }

  /** What was hinted since the last call; null when nothing was. */
  takeMessage(): string | null {
    if (!this.hasNews()) return null;
    const message: HintMessage = {
      from: this.from,
      ready: [...this.ready.values()].slice(0, MOST_NAMED_LANES),
      ...(this.finishedIds.size > MOST_NAMED_JOBS ? { finishedMany: true } : { finished: [...this.finishedIds] }),
      ...(this.dueAt === Infinity ? {} : { due: Math.max(0, Math.round(this.dueAt - performance.now())) }),
      ...(this.freedQueues.size === 0 ? {} : { freed: [...this.freedQueues].slice(0, MOST_NAMED_QUEUES) }),
      ...(this.hasRosterChanged ? { roster: true } : {}),
      ...(this.haveQueuesChanged ? { queues: true } : {}),
    };
    this.forget();
    return JSON.stringify(message);
  }

  hear(payload: string): void {
    const message = parse(payload);
    if (message === null || message.from === this.from) return;
    const ready = listOf(message.ready, isReadyHint);
    const finished = listOf(message.finished, (id) => typeof id === 'string');
    if (ready.length > 0) this.emitter.emit('ready', ready);
    if (finished.length > 0) this.emitter.emit('finished', finished);
    const freed = listOf(message.freed, (queue) => typeof queue === 'string');
    if (freed.length > 0) this.emitter.emit('freed', freed);
    if (Number.isFinite(message.due)) this.emitter.emit('due', Number(message.due));
    if (message.queues === true) this.emitter.emit('queues');
    if (message.finishedMany === true) this.emitter.emit('finishedMany');
    if (message.roster === true) this.emitter.emit('roster');
  }

  private hasNews(): boolean {
    const hasNamed = this.ready.size > 0 || this.finishedIds.size > 0 || this.freedQueues.size > 0;
    return hasNamed || this.dueAt < Infinity || this.hasRosterChanged || this.haveQueuesChanged;
  }

  private forget(): void {
    this.ready = new Map();
    this.finishedIds = new Set();
    this.freedQueues.clear();
    this.dueAt = Infinity;
    this.hasRosterChanged = false;
    this.haveQueuesChanged = false;
  }
}

/** The channel is open to whoever may connect to the database, so nothing is taken on trust. */
function parse(payload: string): HintMessage | null {
  try {
    const message: unknown = JSON.parse(payload);
    return typeof message === 'object' && message !== null && 'from' in message ? (message as HintMessage) : null;
  } catch {
    return null;
  }
}

function listOf<Item>(sent: Item[] | undefined, isItem: (item: unknown) => boolean): Item[] {
  return Array.isArray(sent) ? sent.filter(isItem) : [];
}

function isReadyHint(hint: unknown): boolean {
  if (typeof hint !== 'object' || hint === null || !('laneId' in hint) || !('positionMs' in hint)) return false;
  return Number.isInteger(hint.laneId) && Number.isFinite(hint.positionMs);
}
