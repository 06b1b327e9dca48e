import type { Db } from '../../store/db';
import * as store from '../../store/events';
import { RecentScopes } from './recent-scopes';
import { type EventFilter, matches, scopeOf } from './scopes';

/** How long events are kept, and go on being written down after the last listener left: so long may one be away. */
export const EVENT_KEEP_MS = 3_600_000;
/** How long those are kept that have not become deliveries of webhooks, should nothing be able to make them so. */
export const EVENT_MOST_KEPT_MS = 7 * 86_400_000;
const RENEW_EVERY_MS = 60_000;
/** How many scopes one caller may have left behind on this coordinator. */
export const MOST_RECENT_SCOPES = 1000;
/** How long the others go on being written down: for longer than listeners elsewhere take to renew them. */
const LET_GO_MS = 2 * RENEW_EVERY_MS;
const PAGE = 500;

export interface Listener {
  filter: EventFilter;
  /** Up to where it has been served. */
  position: number;
  /** Takes the next events of its filter. */
  deliver(events: store.EventRow[]): void;
  /** Events of its filter were missed, though it was listening: after this position they may be there again. */
  missed(position: number): void;
  /** Resolves when it can take more. */
  drained(): Promise<void>;
}

/** What a listener is told first. */
export interface Opening {
  position: number;
  /** It asked to go on from where not everything is kept any more. */
  hasGap: boolean;
}

/**
 * The events of all coordinators, read from the table once for all listeners of this one. A listener is served from the
 * table alone, first or again, so that it gets every event of its filter once and in order, on whichever coordinator.
 */
export class EventStream {
  private readonly live = new Set<Listener>();
  private readonly scopes = new Map<string, number>();
  private position: number = 0;
  private renewedAt = -Infinity;
  private readonly recent = new RecentScopes(MOST_RECENT_SCOPES);
  private readonly letGo = new Set<string>();

  constructor(private readonly db: Db) {}

  /**
   * From here on, everything of the filter will be there to be read.
   * @param owner who listens: it has a share of what is written down for those who left
   */
  async open(filter: EventFilter, after: number | null, owner: string): Promise<Opening> {
    const scope = scopeOf(filter);
    for (const over of this.recent.use(owner, scope)) this.letGo.add(over);
    this.letGo.delete(scope);
    const since = (await store.watch(this.db, [scope], EVENT_KEEP_MS)).get(scope)?.since ?? Infinity;
    const last = await store.lastPosition(this.db);
    // A position that was not given yet is one of a database that was restored to an earlier state since.
    if (after !== null && after >= since && after <= last) return { position: after, hasGap: false };
    return { position: last, hasGap: after !== null };
  }

  /** Serves the listener until `signal` is aborted: what it missed, then what comes. */
  async serve(listener: Listener, signal: AbortSignal): Promise<void> {
    const scope = scopeOf(listener.filter);
    this.scopes.set(scope, (this.scopes.get(scope) ?? 0) + 1);
    signal.addEventListener('abort', () => this.leave(listener, scope), { once: true });
    while (!signal.aborted) {
      const { events, upTo, hasMore } = await store.read(this.db, listener.position, PAGE);
      give(listener, events);
      listener.position = upTo;
      await listener.drained();
      if (hasMore || signal.aborted) continue;
      if (this.live.size === 0) this.position = listener.position;
      // Only one that is not behind the others may join them; it passes over what it was given already.
      if (this.position > listener.position) continue;
      this.live.add(listener);
      return;
    }
  }

  /** One look at the table for all listeners. Returns whether there is more. */
  async round(): Promise<boolean> {
    if (this.letGo.size > 0) await this.shorten();
    if (this.scopes.size > 0 && performance.now() - this.renewedAt > RENEW_EVERY_MS) await this.renew();
    if (this.live.size === 0) return false;
    const from = this.position;
    const { events, upTo, hasMore } = await store.read(this.db, from, PAGE);
    // While it read, the last listener may have left and another one come.
    if (this.position !== from) return true;
    this.position = upTo;
    // The database was restored to an earlier state: what comes has positions that were given before.
    if (upTo < from) for (const listener of this.live) listener.position = upTo;
    if (events.length > 0) for (const listener of this.live) give(listener, events);
    return hasMore;
  }

  get listeners(): number {
    return this.live.size;
  }

  /** Whoever listens elsewhere renews them. */
  private async shorten(): Promise<void> {
    const scopes = [...this.letGo].filter((scope) => !this.scopes.has(scope));
    this.letGo.clear();
    await store.shorten(this.db, scopes, LET_GO_MS);
  }

  /** Tells listeners what they missed, should this coordinator have been without the database for so long that nobody wrote it down. */
  private async renew(): Promise<void> {
    const from = this.position;
    const watched = await store.watch(this.db, [...this.scopes.keys()], EVENT_KEEP_MS);
    this.renewedAt = performance.now();
    this.recent.forget(EVENT_KEEP_MS);
    for (const listener of this.live) {
      const watch = watched.get(scopeOf(listener.filter));
      if (watch !== undefined && (watch.isNew || watch.since > from)) listener.missed(from);
    }
  }

  private leave(listener: Listener, scope: string): void {
    this.live.delete(listener);
    const left = (this.scopes.get(scope) ?? 1) - 1;
    if (left === 0) this.scopes.delete(scope);
    else this.scopes.set(scope, left);
  }
}

function give(listener: Listener, events: store.EventRow[]): void {
  const wanted = events.filter((event) => event.position > listener.position && matches(listener.filter, event));
  if (wanted.length > 0) listener.deliver(wanted);
}
