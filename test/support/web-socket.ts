import type { IncomingMessage } from 'node:http';
import type { Problem } from '@baton/runner-sdk/protocol';
import { type ClientOptions, WebSocket } from 'ws';
import { eventually } from './eventually';
import type { Frame } from './event-source';

export interface Opening {
  key?: string | undefined;
  headers?: Record<string, string>;
  subprotocols?: string[];
}

/** Hears events over a WebSocket. */
export class TestWebSocket {
  readonly frames: Frame[] = [];
  pings = 0;
  /** Code and reason, once it is closed. */
  closed: [code: number, reason: string] | null = null;

  private constructor(readonly socket: WebSocket) {
    socket.on('message', (data: Buffer) => this.frames.push(JSON.parse(data.toString()) as Frame));
    socket.on('ping', () => (this.pings += 1));
    socket.on('close', (code, reason) => (this.closed = [code, reason.toString()]));
    socket.on('error', () => undefined);
  }

  /** Resolves once the stream says that it is ready. */
  static async open(url: string, opening: Opening): Promise<TestWebSocket> {
    const opened = new TestWebSocket(connect(url, opening));
    await eventually(() => opened.frames.length > 0);
    return opened;
  }

  /** The problem that it is refused with, before it is one. */
  static refused(url: string, opening: Opening): Promise<Problem> {
    return new Promise((resolve, reject) => {
      const socket = connect(url, opening);
      socket.on('open', () => reject(new Error('it was opened')));
      socket.on('error', reject);
      socket.on('unexpected-response', (_request, response: IncomingMessage) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () => {
          if (response.headers['content-type'] === 'application/problem+json') resolve(JSON.parse(body) as Problem);
          else reject(new Error(`no problem document, but ${response.statusCode}: ${body}`));
        });
      });
    });
  }

  /** Names and jobs of the events so far, without what opens the stream. */
  get heard(): [name: string, jobId: string][] {
    return this.frames.slice(1).map(({ event, data }) => [event, data.jobId]);
  }
}

function connect(url: string, { key, headers = {}, subprotocols = [] }: Opening): WebSocket {
  const options: ClientOptions = {
    headers: { ...(key === undefined ? {} : { authorization: `Bearer ${key}` }), ...headers },
  };
  return new WebSocket(url.replace('http', 'ws'), subprotocols, options);
}
