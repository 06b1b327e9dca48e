import { get, type IncomingMessage } from 'node:http';
import type { JobEvent } from '@baton/runner-sdk/protocol';
import { eventually } from './eventually';

export interface Frame {
  id: string;
  event: string;
  data: JobEvent;
}

/** Listens to server-sent events, as a browser would. */
export class TestEventSource {
  readonly frames: Frame[] = [];
  comments = 0;
  isClosed = false;
  private rest = '';

  private constructor(
    private readonly response: IncomingMessage,
    readonly status: number,
  ) {
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => this.take(chunk));
    response.on('close', () => (this.isClosed = true));
    response.on('error', () => undefined);
  }

  /** Resolves once the stream says that it is ready, or was refused. */
  static async open(url: string, key: string, lastEventId?: string): Promise<TestEventSource> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      get(
        url,
        {
          agent: false,
          headers: {
            authorization: `Bearer ${key}`,
            ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
          },
        },
        resolve,
      ).on('error', reject);
    });
    const source = new TestEventSource(response, response.statusCode ?? 0);
    if (source.status === 200) await eventually(() => source.frames.length > 0);
    return source;
  }

  get events(): JobEvent[] {
    return this.frames.filter(({ event }) => event.startsWith('job.')).map(({ data }) => data);
  }

  /** The names of a job's events so far. */
  namesOf(jobId: string): string[] {
    return this.events.filter((event) => event.jobId === jobId).map(({ name }) => name);
  }

  get lastId(): string {
    return this.frames.at(-1)?.id ?? '';
  }

  pause(): void {
    this.response.pause();
  }

  close(): void {
    this.response.destroy();
  }

  private take(chunk: string): void {
    const parts = (this.rest + chunk).split('\n\n');
    this.rest = parts.pop() ?? '';
    for (const part of parts) {
      const fields = new Map(
        part.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
      );
      if (fields.has('')) this.comments += 1;
      const event = fields.get('event');
      if (event !== undefined)
        this.frames.push({
          id: fields.get('id') ?? '',
          event,
          data: JSON.parse(fields.get('data') ?? 'null') as JobEvent,
        });
    }
  }
}
