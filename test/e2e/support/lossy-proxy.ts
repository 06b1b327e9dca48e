import { once } from 'node:events';
import {
  Agent,
  createServer,
  type IncomingMessage,
  request as send,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export interface Exchange {
  method: string;
  path: string;
  body: string;
  status: number;
  reply: string;
  /** The coordinator answered, and the caller never heard of it. */
  wasLost: boolean;
}

/** Stands between callers and a coordinator, and loses replies that the coordinator has sent. */
export class LossyProxy {
  readonly exchanges: Exchange[] = [];
  private readonly agent = new Agent({ keepAlive: true });
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  /** @param isLost asked of each exchange when the coordinator's reply is here. */
  constructor(
    private readonly target: string,
    private readonly isLost: (exchange: Exchange) => boolean = () => false,
  ) {
    this.server = createServer((request, response) => {
      void this.pass(request, response).catch(() => request.socket.destroy());
    });
    this.server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
  }

  async start(): Promise<string> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    this.agent.destroy();
    await closed;
  }

  private async pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await textOf(request);
    const { method = '', url = '', headers } = request;
    const onward = send(this.target + url, { method, headers, agent: this.agent });
    // A caller that goes away while it waits is gone for the coordinator too.
    response.on('close', () => response.writableFinished || onward.destroy());
    onward.end(body);
    const [answer] = (await once(onward, 'response')) as [IncomingMessage];
    const reply = await textOf(answer);
    const exchange: Exchange = {
      method,
      path: url.split('?')[0] ?? '',
      body,
      status: answer.statusCode ?? 0,
      reply,
      wasLost: false,
    };
    exchange.wasLost = this.isLost(exchange);
    this.exchanges.push(exchange);
    if (exchange.wasLost) return void request.socket.destroy();
    response.writeHead(exchange.status, answer.headers);
    response.end(reply);
  }
}

async function textOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
