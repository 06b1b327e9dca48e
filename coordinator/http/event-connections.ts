import type { ServerResponse } from 'node:http';
import type { Context } from '../context';
import type { EventFilter } from '../domain/events/scopes';
import type { Listener } from '../domain/events/stream';
import { BatonError } from '../errors';
import { describeError } from '../logger';
import type { EventRow } from '../store/events';

const HEARTBEAT_MS = 15_000;
/** One who does not read so much is cut off, and may come back with its Last-Event-ID. */
const MOST_BUFFERED_BYTES = 1_048_576;
/** How long a client waits before it comes back. */
const RETRY_MS = 1000;

/** The connections of those who listen to events. */
export class EventConnections {
  private readonly open = new Set<ServerResponse>();
  /** How many each key has, those included that are being opened. */
  private readonly byKey = new Map<string, number>();
  private total = 0;
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly context: Context,
    private readonly most: { inAll: number; perKey: number },
    heartbeatMs = HEARTBEAT_MS,
  ) {
    this.timer = setInterval(() => this.beat(), heartbeatMs).unref();
  }

  /**
   * Prepares a stream, and returns what sends it, or what is called when it is not sent.
   * @throws {BatonError} `rate_limited` when as many listen with this key as may, `unavailable` when as many do in all
   */
  async start(
    filter: EventFilter,
    lastEventId: string | undefined,
    keyId: string,
  ): Promise<{ send: (response: ServerResponse) => void; onUnsent: () => void }> {
    const after = lastEventId === undefined ? null : readPosition(lastEventId);
    const leave = this.enter(keyId);
    const { position, hasGap } = await this.context.stream.open(filter, after).catch((error: unknown) => {
      leave();
      throw error;
    });
    const serve = (response: ServerResponse): void => {
      this.open.add(response);
      const gone = new AbortController();
      response.on('close', () => {
        this.open.delete(response);
        leave();
        gone.abort();
      });
      response.write(`retry: ${RETRY_MS}\n\n`);
      response.write(frame(String(position), hasGap ? 'gap' : 'ready', '{}'));
      const listener = listenerOn(response, filter, position);
      this.context.stream.serve(listener, gone.signal).catch((error: unknown) => {
        this.context.log.warn('a stream of events broke', describeError(error));
        response.destroy();
      });
    };
    return { send: serve, onUnsent: leave };
  }

  close(): void {
    clearInterval(this.timer);
    for (const response of this.open) response.end();
  }

  private beat(): void {
    for (const response of this.open) send(response, ': heartbeat\n\n');
  }

  private enter(keyId: string): () => void {
    const { inAll, perKey } = this.most;
    const own = this.byKey.get(keyId) ?? 0;
    if (own >= perKey)
      throw new BatonError('rate_limited', `${perKey} streams of events are open with this key already.`, {
        retryAfterMs: 5000,
      });
    if (this.total >= inAll)
      throw new BatonError('unavailable', `${inAll} listen to events already.`, { retryAfterMs: 5000 });
    this.add(keyId, 1);
    let isIn = true;
    return () => {
      if (isIn) this.add(keyId, -1);
      isIn = false;
    };
  }

  private add(keyId: string, count: number): void {
    this.total += count;
    const own = (this.byKey.get(keyId) ?? 0) + count;
    if (own === 0) this.byKey.delete(keyId);
    else this.byKey.set(keyId, own);
  }
}

function listenerOn(response: ServerResponse, filter: EventFilter, position: number): Listener {
  return {
    filter,
    position,
    deliver: (events) => send(response, events.map(frameOf).join('')),
    async drained() {
      if (!response.writableNeedDrain || response.destroyed) return;
      await new Promise<void>((resolve) => {
        const end = (): void => {
          response.off('drain', end).off('close', end);
          resolve();
        };
        response.on('drain', end).on('close', end);
      });
    },
  };
}

function send(response: ServerResponse, text: string): void {
  if (response.destroyed || response.writableEnded) return;
  response.write(text);
  if (response.writableLength > MOST_BUFFERED_BYTES) response.destroy();
}

/** One event serves many listeners, so it is written out once. */
const frames = new WeakMap<EventRow, string>();

function frameOf(event: EventRow): string {
  let text = frames.get(event);
  if (text === undefined) {
    text = frame(
      String(event.position),
      event.name,
      JSON.stringify({ id: String(event.position), ...publicEvent(event), at: event.at.toISOString() }),
    );
    frames.set(event, text);
  }
  return text;
}

function publicEvent({ name, jobId, type, queue, userId, status, attempt, runnerId, details }: EventRow) {
  if (jobId === null) return { name, userId, details };
  return { name, jobId, type, queue, userId, status, attempt, runnerId, details };
}

function frame(id: string, event: string, data: string): string {
  return `id: ${id}\nevent: ${event}\ndata: ${data}\n\n`;
}

function readPosition(sent: string): number {
  if (!/^\d{1,15}$/.test(sent)) {
    throw new BatonError('validation_failed', 'Last-Event-ID must be the id of an event of this stream.', {
      errors: [{ path: 'Last-Event-ID', message: 'must be the id of an event of this stream' }],
    });
  }
  return Number(sent);
}
