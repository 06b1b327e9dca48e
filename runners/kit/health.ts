import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';

/** A runner's state in one line. */
export interface Health {
  status: 'ok';
  runner: string;
  running: number;
  slots: number;
  completed: number;
  failed: number;
  snoozed: number;
  aborted: number;
  upMs: number;
}

/** Answers `GET /healthz` with one line of JSON, and `GET /metrics` for Prometheus. */
export class HealthServer {
  private readonly server: Server;

  constructor(
    private readonly registry: Registry,
    private readonly health: () => object,
  ) {
    this.server = createServer((request, response) => void this.answer(request, response));
    this.server.unref();
  }

  /** Returns the port. */
  async listen(port: number, host: string): Promise<number> {
    this.server.listen(port, host);
    await once(this.server, 'listening');
    return (this.server.address() as AddressInfo).port;
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private async answer({ method, url = '' }: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = url.split('?')[0];
    if (method !== 'GET' && method !== 'HEAD') return send(response, 405, 'text/plain', 'GET only\n');
    if (path === '/metrics') return send(response, 200, this.registry.contentType, await this.registry.metrics());
    if (path !== '/healthz') return send(response, 404, 'text/plain', 'GET /healthz or /metrics\n');
    send(response, 200, 'application/json', `${JSON.stringify(this.health())}\n`);
  }
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}
