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
const MOST_CONNECTIONS = 2000;
/** How long a client waits before it comes back. */
const RETRY_MS = 1000;

/** The connections of those who listen to events. */
export class EventConnections {
  private readonly open = new Map<ServerResponse, () => Promise<unknown>>();
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly context: Context,
    heartbeatMs = HEARTBEAT_MS,
  ) {
    this.timer = setInterval(() => void this.beat(), heartbeatMs).unref();
  }

  /**
   * Prepares a stream, and returns what sends it.
   * @param isAllowed rejects once the caller's key is good no longer
   * @throws {BatonError} `unavailable` when as many listen as may
   */
  async start(
    filter: EventFilter,
    lastEventId: string | undefined,
    isAllowed: () => Promise<unknown>,
  ): Promise<(response: ServerResponse) => void> {
    if (this.open.size >= MOST_CONNECTIONS)
      throw new BatonError('unavailable', `${MOST_CONNECTIONS} listen to events already.`, { retryAfterMs: 5000 });
    const after = lastEventId === undefined ? null : readPosition(lastEventId);
    const { position, hasGap } = await this.context.stream.open(filter, after);
    return (response) => {
      this.open.set(response, isAllowed);
      const gone = new AbortController();
      response.on('close', () => {
        this.open.delete(response);
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
  }

  close(): void {
    clearInterval(this.timer);
    for (const response of this.open.keys()) response.end();
  }

  private async beat(): Promise<void> {
    await Promise.all(
      [...this.open].map(([response, isAllowed]) =>
        isAllowed().then(
          () => send(response, ': heartbeat\n\n'),
          (error: unknown) => {
            if (error instanceof BatonError && error.code !== 'unavailable') response.end();
          },
        ),
      ),
    );
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
        response.once('drain', resolve);
        response.once('close', resolve);
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
