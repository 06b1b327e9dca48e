import type { Db } from '../../store/db';
import * as store from '../../store/events';
import { RecentScopes } from './recent-scopes';
import { type EventFilter, matches, scopeOf } from './scopes';

/** How long events are kept, and still stored after the last listener has left: so long may a listener be away. */
export const EVENT_KEEP_MS = 3_600_000;
/** How long events are kept that have not become deliveries of webhooks, if that fails. */
export const EVENT_MOST_KEPT_MS = 7 * 86_400_000;
const RENEW_EVERY_MS = 60_000;
/** Most scopes that one caller may have left on this coordinator. */
export const MOST_RECENT_SCOPES = 1000;
/** How long events of further scopes are still stored: longer than listeners elsewhere take to renew them. */
const LET_GO_MS = 2 * RENEW_EVERY_MS;
const PAGE = 500;

export interface Listener {
  filter: EventFilter;
  /** The position up to which it was served. */
  position: number;
  /** Receives the next events of its filter. */
  deliver(events: store.EventRow[]): void;
  /**
   * Called when events of its filter were not stored although it was listening; after this position they may exist
   * again.
   */
  missed(position: number): void;
  /** Resolves when it can take more. */
  drained(): Promise<void>;
}

/** The first message to a listener. */
export interface Opening {
  position: number;
  /** It asked to resume from a position after which events were deleted. */
  hasGap: boolean;
}

/**
 * Streams the events of all coordinators, read from the table once for all listeners of this one. Listeners are served
 * only from the table, first or again, so each gets every event of its filter once and in order, on whichever
 * coordinator.
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
   * Stores all events of the filter from now on.
   * @param owner the caller, which has a share of the scopes that are still stored after listeners have left
   */
  async open(filter: EventFilter, after: number | null, owner: string): Promise<Opening> {
    const scope = scopeOf(filter);
    for (const over of this.recent.use(owner, scope)) this.letGo.add(over);
    this.letGo.delete(scope);
    const since = (await store.watch(this.db, [scope], EVENT_KEEP_MS)).get(scope)?.since ?? Infinity;
    const last = await store.lastPosition(this.db);
    // A position that was not given yet comes from before the database was restored to an earlier state.
    if (after !== null && after >= since && after <= last) return { position: after, hasGap: false };
    return { position: last, hasGap: after !== null };
  }

  /** Serves the listener until `signal` is aborted: what it missed first, then new events. */
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
      // Only a listener that is not behind the others may join them; it skips events that it was given before.
      if (this.position > listener.position) continue;
      this.live.add(listener);
      return;
    }
  }

  /** Reads the table once for all listeners. Returns whether there is more. */
  async round(): Promise<boolean> {
    if (this.letGo.size > 0) await this.shorten();
    if (this.scopes.size > 0 && performance.now() - this.renewedAt > RENEW_EVERY_MS) await this.renew();
    if (this.live.size === 0) return false;
    const from = this.position;
    const { events, upTo, hasMore } = await store.read(this.db, from, PAGE);
    // During the read the last listener may have left and another one come.
    if (this.position !== from) return true;
    this.position = upTo;
    // The database was restored to an earlier state: new events get positions that were given before.
    if (upTo < from) for (const listener of this.live) listener.position = upTo;
    if (events.length > 0) for (const listener of this.live) give(listener, events);
    return hasMore;
  }

  get listeners(): number {
    return this.live.size;
  }

  /** Listeners elsewhere renew the scopes they need. */
  private async shorten(): Promise<void> {
    const scopes = [...this.letGo].filter((scope) => !this.scopes.has(scope));
    this.letGo.clear();
    await store.shorten(this.db, scopes, LET_GO_MS);
  }

  /**
   * Tells listeners what they missed if this coordinator was without the database for so long that their events were
   * not stored.
   */
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
