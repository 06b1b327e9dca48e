import { EventEmitter } from 'node:events';

/** A lane with work: in how many milliseconds it is due (0: now), and the job's runAt, by the database's clock. */
export interface ReadyHint {
  laneId: number;
  dueInMs: number;
  runAtMs: number;
}

interface Heard {
  ready: [ReadyHint[]];
  finished: [string[]];
  /** Some jobs finished, but too many to name. */
  finishedMany: [];
  roster: [];
  /** Hints may have been missed: look at the tables. */
  lost: [];
}

/** What one message to the other coordinators holds. */
export interface HintMessage {
  from: string;
  ready?: ReadyHint[];
  finished?: string[];
  finishedMany?: true;
  roster?: true;
}

// Together they fit into one NOTIFY, which takes less than 8,000 bytes: a job 39, a lane at most 75.
const MOST_NAMED_JOBS = 100;
const MOST_NAMED_LANES = 50;

/**
 * Hints wake what waits: a parked claim, a wait for a job. A hint may be lost, doubled or wrong without harm, because
 * everything woken looks at the tables, and looks there every second without being woken. Hints given here are heard in
 * this process at once; `takeMessage` hands what the other coordinators should hear.
 */
export class Hints {
  private readonly emitter = new EventEmitter<Heard>().setMaxListeners(0);
  private ready = new Map<number, ReadyHint>();
  private finishedIds = new Set<string>();
  private hasRosterChanged = false;

  constructor(private readonly from: string) {}

  on<Name extends keyof Heard>(name: Name, listener: (...heard: Heard[Name]) => void): void {
    this.emitter.on(name, listener as never);
  }

  giveReady(hints: ReadyHint[]): void {
    if (hints.length === 0) return;
    for (const hint of hints) {
      const known = this.ready.get(hint.laneId);
      this.ready.set(hint.laneId, known === undefined ? hint : earliest(known, hint));
    }
    this.emitter.emit('ready', hints);
  }

  giveFinished(jobIds: string[]): void {
    if (jobIds.length === 0) return;
    for (const id of jobIds) if (this.finishedIds.size <= MOST_NAMED_JOBS) this.finishedIds.add(id);
    this.emitter.emit('finished', jobIds);
  }

  /** A runner was told to drain, or to resume. */
  giveRoster(): void {
    this.hasRosterChanged = true;
    this.emitter.emit('roster');
  }

  giveLost(): void {
    this.emitter.emit('lost');
  }

  /** What was hinted since the last call; null when nothing was. */
  takeMessage(): string | null {
    if (this.ready.size === 0 && this.finishedIds.size === 0 && !this.hasRosterChanged) return null;
    const message: HintMessage = {
      from: this.from,
      ready: [...this.ready.values()].slice(0, MOST_NAMED_LANES).map(({ dueInMs, ...rest }) => ({ ...rest, dueInMs: Math.round(dueInMs) })),
      ...(this.finishedIds.size > MOST_NAMED_JOBS ? { finishedMany: true } : { finished: [...this.finishedIds] }),
      ...(this.hasRosterChanged ? { roster: true } : {}),
    };
    this.ready = new Map();
    this.finishedIds = new Set();
    this.hasRosterChanged = false;
    return JSON.stringify(message);
  }

  hear(payload: string): void {
    const message = parse(payload);
    if (message === null || message.from === this.from) return;
    const ready = listOf(message.ready, isReadyHint);
    const finished = listOf(message.finished, (id) => typeof id === 'string');
    if (ready.length > 0) this.emitter.emit('ready', ready);
    if (finished.length > 0) this.emitter.emit('finished', finished);
    if (message.finishedMany === true) this.emitter.emit('finishedMany');
    if (message.roster === true) this.emitter.emit('roster');
  }
}

function earliest(one: ReadyHint, other: ReadyHint): ReadyHint {
  return {
    laneId: one.laneId,
    dueInMs: Math.min(one.dueInMs, other.dueInMs),
    runAtMs: Math.min(one.runAtMs, other.runAtMs),
  };
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
  if (typeof hint !== 'object' || hint === null || !('laneId' in hint) || !('dueInMs' in hint) || !('runAtMs' in hint)) return false;
  return Number.isInteger(hint.laneId) && Number.isFinite(hint.dueInMs) && Number.isFinite(hint.runAtMs);
}
