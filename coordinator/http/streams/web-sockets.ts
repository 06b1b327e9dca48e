import { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws';
import { BatonError } from '../../errors';

/** The subprotocol that a coordinator speaks. */
const SUBPROTOCOL = 'baton.v1';
/** Browsers cannot set headers of a WebSocket, so they offer their key as a second subprotocol. */
const KEY_PREFIX = 'baton.key.';
const MOST_MESSAGE_BYTES = 4096;
/** How long a client may take to confirm the close. */
const CLOSE_TIMEOUT_MS = 3000;

const OPTIONS: ServerOptions & { closeTimeout: number } = {
  noServer: true,
  clientTracking: false,
  // Every compressed connection would keep a dictionary in memory.
  perMessageDeflate: false,
  maxPayload: MOST_MESSAGE_BYTES,
  closeTimeout: CLOSE_TIMEOUT_MS,
  // The key is never sent back.
  handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
};

interface Upgrade {
  request: IncomingMessage;
  head: Buffer;
  /** A waiting call drops its headers, but the handshake is made later. */
  headers: IncomingMessage['headers'];
}

/**
 * A request as the server parses it. Upgrades other than to WebSocket, such as `h2c`, are ignored: the request is
 * answered normally.
 */
export class Incoming extends IncomingMessage {
  private isUpgrade: boolean | null = null;

  /** Set and read by Node once the headers are parsed. */
  get upgrade(): boolean {
    return this.isUpgrade === true && (this.method === 'CONNECT' || isWebSocket(this));
  }

  set upgrade(isUpgrade: boolean | null) {
    this.isUpgrade = isUpgrade;
  }
}

/** WebSocket requests: each has a normal response until it is accepted. */
export class WebSockets {
  private readonly upgrades = new Map<ServerResponse, Upgrade>();

  /** @returns the response that refuses or accepts the request; null: the connection cannot be answered on */
  receive(request: IncomingMessage, head: Buffer): ServerResponse | null {
    const { socket } = request;
    // Node's own listener was removed with the parser.
    socket.on('error', () => socket.destroy());
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    try {
      response.assignSocket(socket);
    } catch {
      // A request that was pipelined before this one is still unanswered.
      socket.destroy();
      return null;
    }
    response.once('finish', () => socket.destroySoon());
    response.once('close', () => this.upgrades.delete(response));
    this.upgrades.set(response, { request, head, headers: request.headers });
    return response;
  }

  /**
   * Makes the handshake. The response stays open with the connection, and closes with it.
   * @returns null when the response belongs to an ordinary request
   * @throws {BatonError} `validation_failed` when the handshake is not valid
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

  /** Closes all remaining connections. */
  cut(): void {
    for (const { request } of this.upgrades.values()) request.socket.destroy();
  }
}

export function isWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket';
}

/** The key among the subprotocols that a WebSocket offers; undefined: none. */
export function offeredKey({ headers }: IncomingMessage): string | undefined {
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
  const encoded = offered.find((name) => name.startsWith(KEY_PREFIX))?.slice(KEY_PREFIX.length);
  return encoded === undefined ? undefined : Buffer.from(encoded, 'base64url').toString();
}
