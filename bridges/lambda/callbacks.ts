import { randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type JobContext, NonRetryableError, RetryAfterError } from '@baton/runner-sdk';
import { z } from 'zod';

const MOST_BODY_BYTES = 1_048_576;

const body = z.union([
  z.object({
    error: z.object({
      message: z.string(),
      code: z.string().optional(),
      retryable: z.boolean().default(true),
      retryAfterMs: z.number().min(0).optional(),
    }),
  }),
  z.object({ progress: z.object({ percent: z.number(), message: z.string().optional() }) }),
  z.object({ result: z.json() }),
]);

export interface Callback {
  /** Where the function sends its outcome; whoever knows it may. */
  url: string;
  /** Rejects with the error that is reported, and when the attempt is aborted. */
  result: Promise<unknown>;
  forget(): void;
}

interface Expected {
  token: Buffer;
  job: JobContext;
  resolve: (result: unknown) => void;
  reject: (error: unknown) => void;
}

/** An HTTP server that takes the outcomes of functions that were invoked without waiting. */
export class Callbacks {
  private readonly server: Server;
  private readonly expected = new Map<string, Expected>();
  private base = '';

  constructor(private readonly publicUrl: string | undefined) {
    this.server = createServer((request, response) => void this.answer(request, response));
  }

  /** Returns the port. */
  async listen(port: number, host: string): Promise<number> {
    this.server.listen(port, host);
    await once(this.server, 'listening');
    const at = (this.server.address() as AddressInfo).port;
    this.base = (this.publicUrl ?? `http://${host}:${at}`).replace(/\/+$/, '');
    return at;
  }

  expect(job: JobContext): Callback {
    const token = randomBytes(24);
    const name = `${job.id}/${job.attempt}`;
    const result = new Promise<unknown>((resolve, reject) => {
      this.expected.set(name, { token, job, resolve, reject });
      job.signal.addEventListener('abort', () => reject(job.signal.reason as Error), { once: true });
    });
    // Whether anybody waits for it by then or not.
    result.catch(() => undefined);
    return {
      ...{ url: `${this.base}/callbacks/${name}/${token.toString('base64url')}`, result },
      forget: () => void this.expected.delete(name),
    };
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const status = await this.statusOf(request).catch(() => 500);
    response.writeHead(status, { 'content-length': 0, ...(status === 413 && { connection: 'close' }) }).end();
  }

  /** 410: nobody waits for it any more. */
  private async statusOf(request: IncomingMessage): Promise<number> {
    const [, name = '', token = ''] = /\/callbacks\/([^/]+\/\d+)\/([\w-]+)$/.exec(request.url ?? '') ?? [];
    if (request.method !== 'POST') return 405;
    const expected = this.expected.get(name);
    if (expected === undefined) return 410;
    const given = Buffer.from(token, 'base64url');
    if (given.length !== expected.token.length || !timingSafeEqual(given, expected.token)) return 403;
    const text = await readBody(request);
    if (text === null) return 413;
    const read = body.safeParse(jsonOf(text));
    if (!read.success) return 400;
    if ('progress' in read.data) expected.job.progress(read.data.progress.percent, read.data.progress.message);
    else if ('error' in read.data) expected.reject(errorOf(read.data.error));
    else expected.resolve(read.data.result);
    return 204;
  }
}

function errorOf(told: { message: string; code?: string; retryable: boolean; retryAfterMs?: number }): Error {
  const { message, code, retryable, retryAfterMs } = told;
  const coded = code === undefined ? {} : { code };
  if (!retryable) return new NonRetryableError(message, coded);
  if (retryAfterMs !== undefined) return new RetryAfterError(retryAfterMs, message, coded);
  return Object.assign(new Error(message), coded);
}

/** Null: it is too large. */
async function readBody(request: IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MOST_BODY_BYTES) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
