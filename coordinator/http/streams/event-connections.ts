import type { ServerResponse } from 'node:http';
import type { Context } from '../../context';
import type { DisconnectSignal } from '../../dispatch/disconnect-signal';
import type { EventFilter } from '../../domain/events/scopes';
import type { Listener } from '../../domain/events/stream';
import { BatonError } from '../../errors';
import { describeError } from '../../logger';
import { EventFrame, frameOf } from './event-frames';
import { type EventWriter, ServerSentWriter, WebSocketWriter } from './event-writers';
import { type ShareLimits, Shares } from '../../shares';
import type { WebSockets } from './web-sockets';

const HEARTBEAT_MS = 15_000;

/** Connections of listeners to events. */
export class EventConnections {
  private readonly open = new Set<EventWriter>();
  private isClosed = false;
  /** Connections per key, including those that are being opened. */
  private readonly shares: Shares;
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly context: Context,
    private readonly webSockets: WebSockets,
    private readonly most: ShareLimits,
    heartbeatMs = HEARTBEAT_MS,
  ) {
    this.shares = new Shares(most);
    this.timer = setInterval(() => this.beat(), heartbeatMs).unref();
  }

  /**
   * Prepares a stream. Returns a reply that sends it, and that cleans up if it is not sent.
   * @param ended aborted when the caller may receive no more events, or has disconnected
   * @throws {BatonError} `rate_limited` when the key has too many listeners, `unavailable` when all keys together do
   */
  async start(
    filter: EventFilter,
    lastEventId: string | undefined,
    keyId: string,
    ended: DisconnectSignal,
  ): Promise<{ send: (response: ServerResponse) => void; onUnsent: () => void }> {
    const after = lastEventId === undefined ? null : readPosition(lastEventId);
    const leave = this.enter(keyId);
    const { position, hasGap } = await this.context.stream.open(filter, after, keyId).catch((error: unknown) => {
      leave();
      throw error;
    });
    const serve = (response: ServerResponse): void => {
      const writer = this.writerTo(response);
      this.open.add(writer);
      const gone = new AbortController();
      response.on('close', () => {
        this.open.delete(writer);
        leave();
        gone.abort();
      });
      ended.addEventListener('abort', () => writer.end('revoked'));
      writer.write([noticeFrame(hasGap ? 'gap' : 'ready', position)]);
      const listener = listenerOn(writer, filter, position);
      this.context.stream.serve(listener, gone.signal).catch((error: unknown) => {
        this.context.log.warn('a stream of events broke', describeError(error));
        writer.end('broken');
      });
    };
    return { send: serve, onUnsent: leave };
  }

  close(): void {
    clearInterval(this.timer);
    this.isClosed = true;
    for (const writer of this.open) writer.end('draining');
  }

  /** @throws {BatonError} `validation_failed` when the WebSocket handshake is not valid */
  private writerTo(response: ServerResponse): EventWriter {
    if (this.isClosed) throw new BatonError('unavailable', 'This coordinator is shutting down.');
    const accepted = this.webSockets.accept(response);
    if (accepted === null) return new ServerSentWriter(response);
    return new WebSocketWriter(accepted.webSocket, accepted.socket);
  }

  private beat(): void {
    for (const writer of this.open) writer.beat();
  }

  private enter(keyId: string): () => void {
    const { shares } = this;
    const reason = shares.whyNot(keyId, 1);
    if (reason === 'key')
      throw new BatonError(
        'rate_limited',
        `${shares.of(keyId)} streams of events are open with this key already; what is left is for other keys.`,
        { retryAfterMs: 5000 },
      );
    if (reason === 'all')
      throw new BatonError('unavailable', `${this.most.inAll} listen to events already.`, { retryAfterMs: 5000 });
    shares.add(keyId, 1);
    let isIn = true;
    return () => {
      if (isIn) shares.add(keyId, -1);
      isIn = false;
    };
  }
}

function listenerOn(writer: EventWriter, filter: EventFilter, position: number): Listener {
  return {
    filter,
    position,
    deliver: (events) => writer.write(events.map(frameOf)),
    missed: (last) => writer.write([noticeFrame('gap', last)]),
    drained: () => writer.drained(),
  };
}

function noticeFrame(event: 'gap' | 'ready', position: number): EventFrame {
  return new EventFrame(String(position), event, '{}');
}

function readPosition(sent: string): number {
  if (!/^\d{1,15}$/.test(sent)) {
    throw new BatonError('validation_failed', 'Last-Event-ID must be the id of an event of this stream.', {
      errors: [{ path: 'Last-Event-ID', message: 'must be the id of an event of this stream' }],
    });
  }
  return Number(sent);
}
