import type { Dispatcher } from 'undici';

type Controller = Parameters<NonNullable<Dispatcher.DispatchHandler['onRequestStart']>>[0];
type Headers = Parameters<NonNullable<Dispatcher.DispatchHandler['onResponseStart']>>[2];

/** An answer, with its body as text. */
export interface Answer {
  status: number;
  text: string;
  headers: Headers;
}

/**
 * One request in flight. It implements undici's handler itself, without the streams and signals that `undici.request`
 * creates per call: they cost more than everything else in a small call.
 */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly answered: Promise<Answer>;
  private resolve: (answer: Answer) => void = () => undefined;
  private reject: (error: unknown) => void = () => undefined;
  private controller: Controller | null = null;
  private stopReason: Error | null = null;
  private readonly chunks: Buffer[] = [];
  private status = 0;
  private headers: Headers = {};

  constructor() {
    this.answered = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  /** Aborts the request, even while it waits for a connection. */
  stop(reason: Error): void {
    this.stopReason = reason;
    this.reject(reason);
    this.controller?.abort(reason);
  }

  onRequestStart(controller: Controller): void {
    this.controller = controller;
    if (this.stopReason !== null) controller.abort(this.stopReason);
  }

  onResponseStart(_controller: Controller, status: number, headers: Headers): void {
    this.status = status;
    this.headers = headers;
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    this.chunks.push(chunk);
  }

  onResponseEnd(): void {
    const [first] = this.chunks;
    const body = this.chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.chunks);
    this.resolve({ status: this.status, text: body.toString(), headers: this.headers });
  }

  onResponseError(_controller: Controller, error: Error): void {
    this.reject(error);
  }
}
