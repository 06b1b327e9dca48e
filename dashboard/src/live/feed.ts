import type { JobEvent } from '@baton/runner-sdk/protocol';
import type { Query } from '../api/call';
import { Connection, type ConnectionStatus, type LiveEvent } from './connection';

/** What happened within a moment. */
export interface Batch {
  events: readonly LiveEvent[];
  /** Not everything that happened is in it; what is shown must be read again. */
  isIncomplete: boolean;
}

type Listener = (batch: Batch) => void;

/** How long events are gathered before they are shown: quick to the eye, and a burst costs no more than a trickle. */
const GATHER_MS = 250;
/** Of a burst, more than that are dropped, and what is shown is read again instead. */
const MOST_GATHERED = 2000;

/** Hands the events of this tab's stream to whoever shows something of them, in batches. */
class Feed {
  status: ConnectionStatus = { state: 'closed', retryAt: null };
  private readonly connection: Connection;
  private readonly listeners = new Set<Listener>();
  private readonly watchers = new Set<() => void>();
  private readonly scopes: { filter: Query }[] = [];
  private gathered: LiveEvent[] = [];
  private isIncomplete = false;
  private timer: number | undefined;
  private isSignedIn = false;

  constructor() {
    this.connection = new Connection({
      onStatus: (status) => {
        this.status = status;
        for (const watcher of this.watchers) watcher();
      },
      onEvent: (event) => this.gather(event),
      onGap: () => {
        this.isIncomplete = true;
        this.flushSoon();
      },
    });
    document.addEventListener('visibilitychange', () => this.connect());
  }

  signedIn(isSignedIn: boolean): void {
    this.isSignedIn = isSignedIn;
    this.connect();
  }

  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  watchStatus(watcher: () => void): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  /** Narrows the stream while a screen shows only these; the latest scope holds. */
  narrow(filter: Query): () => void {
    const scope = { filter };
    this.scopes.push(scope);
    this.connect();
    return () => {
      this.scopes.splice(this.scopes.indexOf(scope), 1);
      this.connect();
    };
  }

  retryNow(): void {
    this.connection.retryNow();
  }

  /** A tab that nobody sees listens to nothing. */
  private connect(): void {
    const isWanted = this.isSignedIn && document.visibilityState === 'visible';
    this.connection.want(isWanted ? (this.scopes.at(-1)?.filter ?? {}) : null);
  }

  private gather(event: LiveEvent): void {
    if (this.gathered.length < MOST_GATHERED) this.gathered.push(event);
    else this.isIncomplete = true;
    this.flushSoon();
  }

  private flushSoon(): void {
    this.timer ??= window.setTimeout(() => {
      const batch = { events: this.gathered, isIncomplete: this.isIncomplete };
      this.timer = undefined;
      this.gathered = [];
      this.isIncomplete = false;
      for (const listener of this.listeners) listener(batch);
    }, GATHER_MS);
  }
}

export const feed = new Feed();

export function isJobEvent(event: LiveEvent): event is JobEvent {
  return 'jobId' in event;
}
