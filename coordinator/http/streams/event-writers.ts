import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import type { WebSocket } from 'ws';
import type { EventFrame } from './event-frames';

/** A listener with this much unread data is disconnected, and may resume with its Last-Event-ID. */
export const MOST_BUFFERED_BYTES = 1_048_576;
/** How long a client of server-sent events waits before it reconnects. */
const RETRY_MS = 1000;
/**
 * WebSocket clients need not send anything; this much is ignored, for those that send messages to keep the connection
 * alive.
 */
const MOST_PASSED_OVER_BYTES = 16;

/** Why a stream ends. */
export type Ending = 'draining' | 'revoked' | 'broken';

/** Sends events to a listener over one kind of connection. */
export interface EventWriter {
  write(frames: readonly EventFrame[]): void;
  /** Keeps the connection alive through proxies. */
  beat(): void;
  end(ending: Ending): void;
  /** Resolves when the client can take more, or has disconnected. */
  drained(): Promise<void>;
}

export class ServerSentWriter implements EventWriter {
  constructor(private readonly response: ServerResponse) {
    response.write(`retry: ${RETRY_MS}\n\n`);
  }

  write(frames: readonly EventFrame[]): void {
    this.send(frames.map((frame) => frame.serverSent).join(''));
  }

  beat(): void {
    this.send(': heartbeat\n\n');
  }

  end(ending: Ending): void {
    if (ending === 'broken') this.response.destroy();
    else if (!this.response.destroyed) this.response.end();
  }

  drained(): Promise<void> {
    return drained(this.response);
  }

  private send(text: string): void {
    const { response } = this;
    if (response.destroyed || response.writableEnded) return;
    response.write(text);
    if (response.writableLength > MOST_BUFFERED_BYTES) response.destroy();
  }
}

/** The codes are those of RFC 6455 and of IANA's registry of close codes. */
const CLOSES: Record<Ending | 'slow' | 'talkative', readonly [code: number, reason: string]> = {
  draining: [1001, 'The coordinator is shutting down; reconnect with lastEventId.'],
  revoked: [1008, 'The key, session or token was revoked, or has expired.'],
  broken: [1011, 'The events could not be read; reconnect with lastEventId.'],
  slow: [1013, 'More than 1 MiB was unread; reconnect with lastEventId.'],
  talkative: [1008, 'No messages are expected on this connection.'],
};

export class WebSocketWriter implements EventWriter {
  constructor(
    private readonly webSocket: WebSocket,
    private readonly socket: Socket,
  ) {
    // The library closes invalid connections itself, with the appropriate code.
    webSocket.on('error', () => undefined);
    webSocket.on('message', (data: Buffer) => {
      if (data.length > MOST_PASSED_OVER_BYTES) this.close('talkative');
    });
    // Pings are answered, and a client may send them without reading the answers.
    webSocket.on('ping', () => this.requireRead());
  }

  write(frames: readonly EventFrame[]): void {
    for (const frame of frames) {
      if (!this.isOpen) return;
      this.webSocket.send(frame.message);
      this.requireRead();
    }
  }

  beat(): void {
    if (!this.isOpen) return;
    this.webSocket.ping();
    this.requireRead();
  }

  end(ending: Ending): void {
    this.close(ending);
  }

  drained(): Promise<void> {
    return drained(this.socket);
  }

  private get isOpen(): boolean {
    return !this.socket.destroyed && this.webSocket.readyState === this.webSocket.OPEN;
  }

  private requireRead(): void {
    if (this.socket.writableLength > MOST_BUFFERED_BYTES) this.close('slow');
  }

  private close(why: keyof typeof CLOSES): void {
    if (this.isOpen) this.webSocket.close(...CLOSES[why]);
  }
}

async function drained(to: Writable): Promise<void> {
  if (!to.writableNeedDrain || to.destroyed) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      to.off('drain', done).off('close', done);
      resolve();
    };
    to.on('drain', done).on('close', done);
  });
}
