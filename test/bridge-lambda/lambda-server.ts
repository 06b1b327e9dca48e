import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Invocation {
  function: string;
  isAsync: boolean;
  event: unknown;
  /** `context.clientContext` of the function. */
  clientContext: { custom?: { baton?: { jobId: string; attempt: number } } };
}

/** What becomes of an invocation. */
export type Behaviour =
  | { result: unknown }
  | { error: { errorType: string; errorMessage: string; trace?: string[] } }
  | { status: number; type: string; headers?: Record<string, string> }
  | 'lose'
  | 'hang';

/** As much of Lambda's API as is used. */
export class LambdaServer {
  readonly invocations: Invocation[] = [];
  /** By function; a test's own. */
  behaviour: (invocation: Invocation) => Behaviour | Promise<Behaviour> = () => ({ result: null });
  timeoutS: number | null = 3;
  private readonly server: Server = createServer((request, response) => void this.answer(request, response));

  async listen(): Promise<string> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const [, name = '', verb] = /\/functions\/([^/]+)\/(invocations|configuration)/.exec(request.url ?? '') ?? [];
    if (request.headers.authorization === undefined) return send(response, 403, {}, { 'x-amzn-errortype': 'Denied' });
    if (verb === 'configuration')
      return this.timeoutS === null
        ? send(response, 403, {}, { 'x-amzn-errortype': 'AccessDeniedException' })
        : send(response, 200, { FunctionName: name, Timeout: this.timeoutS });
    const context = String(request.headers['x-amz-client-context'] ?? '');
    const invocation: Invocation = {
      ...{ function: name, isAsync: request.headers['x-amz-invocation-type'] === 'Event' },
      event: JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown,
      clientContext: (context === '' ? {} : JSON.parse(Buffer.from(context, 'base64').toString())) as object,
    };
    this.invocations.push(invocation);
    const told = await this.behaviour(invocation);
    if (told === 'hang') return;
    if (told === 'lose') return void request.socket.destroy();
    if ('status' in told)
      return send(response, told.status, { message: 'no' }, { 'x-amzn-errortype': told.type, ...told.headers });
    if (invocation.isAsync) return send(response, 202, undefined);
    if ('error' in told) return send(response, 200, told.error, { 'x-amz-function-error': 'Unhandled' });
    return send(response, 200, told.result);
  }
}

function send(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  const text = body === undefined ? '' : JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
}
