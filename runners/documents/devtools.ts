import type { Duplex } from 'node:stream';

type Parameters = Record<string, unknown>;
type Listener = (parameters: Parameters) => void;

interface Message {
  id?: number;
  method?: string;
  params?: Parameters;
  result?: Parameters;
  error?: { message: string };
}

const END = 0;

export class BrowserEndedError extends Error {}

/**
 * Speaks the DevTools protocol over the pipes of `--remote-debugging-pipe`: JSON, each message ended by a zero byte.
 */
export class DevTools {
  private readonly waiting = new Map<
    number,
    { resolve: (result: Parameters) => void; reject: (error: Error) => void }
  >();
  private readonly listeners = new Map<string, Listener>();
  private chunks: Buffer[] = [];
  private lastId = 0;
  /** Of the page that is spoken to; undefined: the browser. */
  session: string | undefined;

  constructor(
    private readonly input: Duplex,
    output: Duplex,
  ) {
    output.on('data', (chunk: Buffer) => this.read(chunk));
    for (const stream of [input, output])
      stream.on('error', () => undefined).on('close', () => this.close(new BrowserEndedError('Chromium ended')));
  }

  send(method: string, params: Parameters = {}): Promise<Parameters> {
    return new Promise((resolve, reject) => {
      this.lastId += 1;
      this.waiting.set(this.lastId, { resolve, reject });
      this.input.write(
        `${JSON.stringify({ id: this.lastId, method, params, ...(this.session && { sessionId: this.session }) })}\0`,
      );
    });
  }

  /** One listener an event. */
  on(event: string, listener: Listener): void {
    this.listeners.set(event, listener);
  }

  /** Rejects what waits for an answer. */
  close(error: Error): void {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }

  private read(chunk: Buffer): void {
    let rest = chunk;
    for (let end = rest.indexOf(END); end >= 0; end = rest.indexOf(END)) {
      const text = Buffer.concat([...this.chunks, rest.subarray(0, end)]).toString();
      this.chunks = [];
      rest = rest.subarray(end + 1);
      this.take(JSON.parse(text) as Message);
    }
    this.chunks.push(rest);
  }

  private take({ id, method, params = {}, result = {}, error }: Message): void {
    if (id === undefined) return this.listeners.get(method ?? '')?.(params);
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(`Chromium refuses: ${error.message}`));
  }
}
