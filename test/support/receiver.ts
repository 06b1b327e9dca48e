import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { eventually } from './eventually';

export interface Received {
  path: string;
  headers: IncomingHttpHeaders;
  /** As it came, for what is signed is text. */
  text: string;
  body: { type: string; timestamp: string; data: Record<string, unknown> };
}

/** How one request is answered; to answer nothing at all is to hang. */
export type Behaviour = (response: ServerResponse, nth: number) => void;

export const OK: Behaviour = (response) => response.writeHead(204).end();
export const HANG: Behaviour = () => undefined;
export const RESET: Behaviour = (response) => response.socket?.resetAndDestroy();
export const status =
  (code: number, headers: Record<string, string> = {}): Behaviour =>
  (response) =>
    response.writeHead(code, headers).end();

/** A receiver of webhooks: a real HTTP server that keeps what it gets and behaves as it is told. */
export class Receiver {
  readonly received: Received[] = [];
  /** Connections that were made to it, whether or not they said anything. */
  connections = 0;
  /** Requests that have no answer yet. */
  open = 0;
  mostOpen = 0;
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    public behaviour: Behaviour,
  ) {
    server.on('connection', (socket) => {
      this.connections += 1;
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
    server.on('request', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        this.received.push({
          path: request.url ?? '',
          headers: request.headers,
          text,
          body: JSON.parse(text) as Received['body'],
        });
        this.open += 1;
        this.mostOpen = Math.max(this.mostOpen, this.open);
        response.on('close', () => (this.open -= 1));
        this.behaviour(response, this.received.length);
      });
    });
  }

  static async open(behaviour: Behaviour = OK, host = '127.0.0.1'): Promise<Receiver> {
    const receiver = new Receiver(createServer(), behaviour);
    await new Promise<void>((resolve) => receiver.server.listen(0, host, resolve));
    return receiver;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  url(path = '/hook'): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  /** What came of one type, once there are so many. */
  async got(count: number, type?: string, deadlineMs?: number): Promise<Received[]> {
    const all = () => this.received.filter(({ body }) => type === undefined || body.type === type);
    return eventually(all, (list) => list.length >= count, deadlineMs);
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** Judged by other people's code: throws when it is not signed with this secret, or too old. */
export function verify({ text, headers }: Pick<Received, 'text' | 'headers'>, secret: string): unknown {
  return new Webhook(secret).verify(text, headers as Record<string, string>);
}

export function isSignedWith(received: Pick<Received, 'text' | 'headers'>, secret: string): boolean {
  try {
    verify(received, secret);
    return true;
  } catch {
    return false;
  }
}
