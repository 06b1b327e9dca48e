import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** What becomes of one call. `lose`: it is carried out, and its answer is lost. */
export type Fate = 'pass' | 'lose' | 'refuse' | { delayMs: number };

/** Stands between an AWS client and a server, and spoils calls as told. */
export class AwsProxy {
  /** How often each action was carried out, such as `DeleteMessage`. */
  readonly passed = new Map<string, number>();
  private readonly server: Server;

  constructor(
    private readonly targetPort: number,
    /** Decides for each call, by its action: of SQS its name, else the method. */
    public fate: (action: string) => Fate = () => 'pass',
  ) {
    this.server = createServer((from, to) => void this.answer(from, to));
  }

  async listen(): Promise<string> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private async answer(from: IncomingMessage, to: ServerResponse): Promise<void> {
    const action = String(from.headers['x-amz-target'] ?? from.method).replace(/^AmazonSQS\./, '');
    const fate = this.fate(action);
    if (fate === 'refuse') return void to.writeHead(503).end();
    const chunks: Buffer[] = [];
    for await (const chunk of from as AsyncIterable<Buffer>) chunks.push(chunk);
    const { method, url: path, headers } = from;
    const outer = request({ host: '127.0.0.1', port: this.targetPort, method, path, headers }, (answer) => {
      this.passed.set(action, (this.passed.get(action) ?? 0) + 1);
      if (fate === 'lose') {
        answer.resume();
        return void to.socket?.destroy();
      }
      const pass = (): void => {
        to.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(to);
      };
      if (typeof fate === 'object') void pause(fate.delayMs).then(pass);
      else pass();
    });
    outer.on('error', () => to.socket?.destroy());
    outer.end(Buffer.concat(chunks));
  }
}
