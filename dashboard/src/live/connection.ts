import type { JobEvent, Notice } from '@baton/runner-sdk/protocol';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { type Query, request } from '../api/call';
import { ApiError } from '../api/problem';

export type LiveEvent = JobEvent | Notice;

/** `closed`: the tab is hidden, or nobody is signed in. */
export type ConnectionState = 'closed' | 'connecting' | 'open' | 'lost';

export interface ConnectionStatus {
  state: ConnectionState;
  /** When the next attempt is made, by the clock of this machine; null: now, or none is needed. */
  retryAt: number | null;
}

interface Callbacks {
  onStatus(status: ConnectionStatus): void;
  onEvent(event: LiveEvent): void;
  /** Events may have been missed since the last one. */
  onGap(): void;
}

/** The coordinator sends a heartbeat every 15 s. */
const SILENCE_MS = 40_000;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 15_000;

/**
 * The one stream of events of this tab, opened anew for as long as it is wanted. It does not ask for what it missed, of
 * which there may be any amount: whoever listens reads again what it shows.
 */
export class Connection {
  private filter: Query | null = null;
  private current: AbortController | null = null;
  private retryTimer: number | undefined;
  private silenceTimer: number | undefined;
  private failures = 0;
  private hasMissed = false;

  constructor(private readonly callbacks: Callbacks) {}

  /** @param filter which events; null: none, the stream is closed */
  want(filter: Query | null): void {
    if (JSON.stringify(filter) === JSON.stringify(this.filter)) return;
    this.filter = filter;
    this.failures = 0;
    this.drop();
    if (filter === null) {
      this.hasMissed = true;
      return this.callbacks.onStatus({ state: 'closed', retryAt: null });
    }
    void this.open(filter);
  }

  /** Tries at once instead of when it is time. */
  retryNow(): void {
    if (this.filter === null || this.current !== null) return;
    this.drop();
    void this.open(this.filter);
  }

  private async open(filter: Query): Promise<void> {
    const attempt = new AbortController();
    this.current = attempt;
    if (this.failures === 0) this.callbacks.onStatus({ state: 'connecting', retryAt: null });
    try {
      this.watchSilence(attempt);
      const response = await request('GET', ['events'], {
        query: filter,
        headers: { Accept: 'text/event-stream' },
        signal: attempt.signal,
      });
      await this.read(response, attempt);
      this.lose(attempt, null);
    } catch (error) {
      this.lose(attempt, error instanceof ApiError ? error : null);
    }
  }

  private async read(response: Response, attempt: AbortController): Promise<void> {
    if (response.body === null) return;
    const bytes = response.body.pipeThrough(this.heartbeats(attempt));
    const reader = bytes.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done || attempt !== this.current) return;
      if (value.event === 'ready' || value.event === 'gap') this.opened();
      else this.callbacks.onEvent(JSON.parse(value.data) as LiveEvent);
    }
  }

  /**
   * Passes everything on, and knows by it that the connection lives; comments are not events, but a sign of life too.
   */
  private heartbeats(attempt: AbortController): TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
    return new TransformStream({
      transform: (chunk, controller) => {
        this.watchSilence(attempt);
        controller.enqueue(chunk);
      },
    });
  }

  private opened(): void {
    this.failures = 0;
    this.callbacks.onStatus({ state: 'open', retryAt: null });
    if (this.hasMissed) this.callbacks.onGap();
    this.hasMissed = false;
  }

  private lose(attempt: AbortController, error: ApiError | null): void {
    if (attempt !== this.current || this.filter === null) return;
    this.drop();
    // A refusal does not become another answer by asking again soon; whoever is signed out is told elsewhere.
    if (error !== null && error.status === 401) return;
    this.hasMissed = true;
    const wait = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.failures) * (0.5 + Math.random() / 2);
    const waitMs = Math.max(wait, error?.retryAfterMs ?? 0);
    this.failures += 1;
    this.callbacks.onStatus({ state: 'lost', retryAt: Date.now() + waitMs });
    this.retryTimer = window.setTimeout(() => this.retryNow(), waitMs);
  }

  private drop(): void {
    window.clearTimeout(this.retryTimer);
    window.clearTimeout(this.silenceTimer);
    const { current } = this;
    this.current = null;
    current?.abort();
  }

  private watchSilence(attempt: AbortController): void {
    window.clearTimeout(this.silenceTimer);
    this.silenceTimer = window.setTimeout(() => {
      attempt.abort();
      this.lose(attempt, null);
    }, SILENCE_MS);
  }
}
