import { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws';
import { BatonError } from '../../errors';

/** The subprotocol that a coordinator speaks. */
const SUBPROTOCOL = 'baton.v1';
/** A browser, which cannot set headers of a WebSocket, offers its key as a second subprotocol. */
const KEY_PREFIX = 'baton.key.';
const MOST_MESSAGE_BYTES = 4096;
/** So long a client has to answer that the connection is closed. */
const CLOSE_TIMEOUT_MS = 3000;

const OPTIONS: ServerOptions & { closeTimeout: number } = {
  noServer: true,
  clientTracking: false,
  // Each compressed connection would keep a dictionary in memory.
  perMessageDeflate: false,
  maxPayload: MOST_MESSAGE_BYTES,
  closeTimeout: CLOSE_TIMEOUT_MS,
  // The key is never among what is answered.
  handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
};

interface Upgrade {
  request: IncomingMessage;
  head: Buffer;
  /** A call that waits forgets its headers, but the handshake is made after that. */
  headers: IncomingMessage['headers'];
}

/** A request as the server reads it. Other upgrades than to WebSocket, as `h2c`, are not asked for: such a request is answered as any. */
export class Incoming extends IncomingMessage {
  private isUpgrade: boolean | null = null;

  /** Set and asked by Node once the headers are read. */
  get upgrade(): boolean {
    return this.isUpgrade === true && (this.method === 'CONNECT' || isWebSocket(this));
  }

  set upgrade(isUpgrade: boolean | null) {
    this.isUpgrade = isUpgrade;
  }
}

/** Requests to become a WebSocket: each has a response, as any other, until it is accepted. */
export class WebSockets {
  private readonly upgrades = new Map<ServerResponse, Upgrade>();

  /** @returns what the request is refused with, or accepted by; null: the connection cannot be answered on */
  receive(request: IncomingMessage, head: Buffer): ServerResponse | null {
    const { socket } = request;
    // Node's own listener left with the parser.
    socket.on('error', () => socket.destroy());
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    try {
      response.assignSocket(socket);
    } catch {
      // A request that was pipelined before this one has not been answered yet.
      socket.destroy();
      return null;
    }
    response.once('finish', () => socket.destroySoon());
    response.once('close', () => this.upgrades.delete(response));
    this.upgrades.set(response, { request, head, headers: request.headers });
    return response;
  }

  /**
   * Makes the handshake. The response stays as a sign of life: it closes with the connection.
   * @returns null when the response is one to an ordinary request
   * @throws {BatonError} `validation_failed` when it is no valid handshake
   */
  accept(response: ServerResponse): { webSocket: WebSocket; socket: Socket } | null {
    const upgrade = this.upgrades.get(response);
    if (upgrade === undefined) return null;
    const { request, head, headers } = upgrade;
    const { socket } = request;
    request.headers = headers;
    const server = new WebSocketServer(OPTIONS);
    let webSocket: WebSocket | null = null;
    let fault = 'the connection is gone';
    server.on('headers', (lines) => lines.push(`X-Request-Id: ${String(response.getHeader('X-Request-Id'))}`));
    server.on('wsClientError', (error) => (fault = error.message));
    server.handleUpgrade(request, socket, head, (opened) => (webSocket = opened));
    request.headers = {};
    if (webSocket !== null) return { webSocket, socket };
    response.setHeader('Sec-WebSocket-Version', '13');
    throw new BatonError('validation_failed', `The WebSocket cannot be opened: ${fault}.`);
  }

  /** Cuts off all that are open still. */
  cut(): void {
    for (const { request } of this.upgrades.values()) request.socket.destroy();
  }
}

export function isWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket';
}

/** The key among the subprotocols that a WebSocket offers; undefined: there is none. */
export function offeredKey({ headers }: IncomingMessage): string | undefined {
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
  const encoded = offered.find((name) => name.startsWith(KEY_PREFIX))?.slice(KEY_PREFIX.length);
  return encoded === undefined ? undefined : Buffer.from(encoded, 'base64url').toString();
}
