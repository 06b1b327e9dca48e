import { createHmac, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';

const webhookEvent = z.object({
  type: z.string(),
  timestamp: z.string(),
  data: z.record(z.string(), z.json()),
});
/** The body of a webhook of the coordinator. */
export type WebhookEvent = z.output<typeof webhookEvent>;

const MOST_BODY_BYTES = 262_144;
const MOST_AGE_S = 300;

export interface WebhookReceiverOptions {
  /** The coordinator's signing secret: `whsec_…`. */
  secret: string;
  /**
   * Called for each genuine delivery, with its id, which is the same however often it comes. The delivery is
   * acknowledged when this resolves; if it rejects, the coordinator delivers again.
   */
  receive: (event: WebhookEvent, id: string) => Promise<void>;
}

/** An HTTP server that receives webhooks of the coordinator, and answers 401 to what is not signed by it. */
export class WebhookReceiver {
  private readonly server: Server;

  constructor(private readonly options: WebhookReceiverOptions) {
    this.server = createServer((request, response) => void this.answer(request, response));
  }

  /** Returns the port. */
  async listen(port: number, host: string): Promise<number> {
    this.server.listen(port, host);
    await once(this.server, 'listening');
    return (this.server.address() as AddressInfo).port;
  }

  /** Ends all connections. Deliveries that were not acknowledged come again. */
  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const status = await this.statusOf(request).catch(() => 500);
    response.writeHead(status, { 'content-length': 0, ...(status === 413 && { connection: 'close' }) }).end();
  }

  private async statusOf(request: IncomingMessage): Promise<number> {
    if (request.method !== 'POST') return 405;
    const text = await readBody(request);
    if (text === null) return 413;
    if (!isGenuine(this.options.secret, request.headers, text)) return 401;
    const read = webhookEvent.safeParse(jsonOf(text));
    if (!read.success) return 400;
    await this.options.receive(read.data, String(request.headers['webhook-id']));
    return 204;
  }
}

/** Verifies the signature of Standard Webhooks: an HMAC over id, time and text. */
function isGenuine(secret: string, headers: IncomingMessage['headers'], text: string): boolean {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures } = headers;
  const isFresh = Math.abs(Date.now() / 1000 - Number(timestamp)) <= MOST_AGE_S;
  if (typeof id !== 'string' || typeof signatures !== 'string' || !isFresh) return false;
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const wanted = createHmac('sha256', key)
    .update(`${id}.${String(timestamp)}.${text}`)
    .digest();
  return signatures.split(' ').some((one) => {
    const given = Buffer.from(one.replace(/^v1,/, ''), 'base64');
    return one.startsWith('v1,') && given.length === wanted.length && timingSafeEqual(given, wanted);
  });
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
