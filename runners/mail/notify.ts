import { createHmac, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Client } from '@baton/runner-sdk';
import { SettingsError } from '@baton/runner-kit';
import { z } from 'zod';
import { emailNotification } from './jobs';

const oneOrMore = <Item extends z.ZodType>(item: Item) =>
  z.union([item.transform((one) => [one]), z.array(item).min(1)]);

const rule = z.strictObject({
  /** Such as `job.failed` or `alert.firing`. */
  events: oneOrMore(z.string()),
  /** For events of jobs: only those of these queues or types. */
  queue: oneOrMore(z.string()).optional(),
  type: oneOrMore(z.string()).optional(),
  /** Addresses, or `user` for the user of the job. */
  to: oneOrMore(z.union([z.literal('user'), z.email()])),
  template: z.string().default('notification'),
  locale: z.string().optional(),
});
const rules = z.strictObject({ rules: z.array(rule).min(1) });
export type Rule = z.output<typeof rule>;

/** The body of a webhook. */
const event = z.object({
  type: z.string(),
  timestamp: z.string(),
  data: z.record(z.string(), z.json()),
});
type WebhookEvent = z.output<typeof event>;

const MOST_BODY_BYTES = 262_144;
const MOST_AGE_S = 300;

/** @throws {SettingsError} for a file that cannot be used */
export function readRules(path: string, templates: readonly string[]): Rule[] {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new SettingsError(
      `MAIL_NOTIFY_RULES ${path} is not JSON: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  const read = rules.safeParse(value);
  if (!read.success) {
    const issue = read.error.issues[0];
    throw new SettingsError(`MAIL_NOTIFY_RULES ${path}: ${issue?.path.join('.')} ${issue?.message}`);
  }
  const unknown = read.data.rules.find(({ template }) => !templates.includes(template));
  if (unknown !== undefined)
    throw new SettingsError(
      `MAIL_NOTIFY_RULES ${path}: there is no template ${unknown.template}; there are ${templates.join(', ')}`,
    );
  return read.data.rules;
}

export interface NotifierOptions {
  rules: readonly Rule[];
  /** The coordinator's signing secret: `whsec_…`. */
  secret: string;
  /** Its key must be allowed to create jobs. */
  client: Pick<Client, 'create'>;
}

/**
 * Receives webhooks of the coordinator and creates a mail for each rule that an event matches. A mail is a normal job,
 * created once however often the event is delivered.
 */
export class Notifier {
  private readonly server: Server;

  constructor(private readonly options: NotifierOptions) {
    this.server = createServer((request, response) => void this.answer(request, response));
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

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const status = await this.statusOf(request).catch(() => 500);
    response.writeHead(status, { 'content-length': 0, ...(status === 413 && { connection: 'close' }) }).end();
  }

  private async statusOf(request: IncomingMessage): Promise<number> {
    if (request.method !== 'POST') return 405;
    const text = await readBody(request);
    if (text === null) return 413;
    if (!isGenuine(this.options.secret, request.headers, text)) return 401;
    const read = event.safeParse(jsonOf(text));
    if (!read.success) return 400;
    await this.notify(read.data, String(request.headers['webhook-id']));
    return 204;
  }

  private async notify(received: WebhookEvent, id: string): Promise<void> {
    for (const [index, one] of this.options.rules.entries()) {
      if (!meets(one, received)) continue;
      for (const [place, to] of one.to.entries()) {
        const { userId } = received.data;
        const recipient = to === 'user' ? (typeof userId === 'string' ? { userId } : null) : { to };
        if (recipient === null) continue;
        await this.options.client.create(
          emailNotification,
          {
            ...recipient,
            ...{ template: one.template, data: shown(received) },
            ...(one.locale !== undefined && { locale: one.locale }),
          },
          { idempotencyKey: `notify-${id}-${index}-${place}`.slice(0, 255), tags: ['notification'] },
        );
      }
    }
  }
}

/** A mail about a failed mail would be the next one to fail. */
function meets({ events, queue, type }: Rule, { type: name, data }: WebhookEvent): boolean {
  if (!events.includes(name) || data['type'] === emailNotification.type) return false;
  if (!name.startsWith('job.')) return true;
  return (queue?.includes(textOf(data['queue'])) ?? true) && (type?.includes(textOf(data['type'])) ?? true);
}

/** Data for the template: a title, lines for a table, and the event as received. */
function shown({ type, timestamp, data }: WebhookEvent) {
  const { details, ...rest } = data;
  const all = { ...rest, ...(typeof details === 'object' && details !== null && !Array.isArray(details) && details) };
  const lines = Object.entries(all).filter(([, value]) => value !== null && typeof value !== 'object');
  return {
    title: titleOf(type, all),
    lines: [{ name: 'time', value: timestamp }, ...lines.map(([name, value]) => ({ name, value: textOf(value) }))],
    event: { type, timestamp, data },
  };
}

function titleOf(type: string, { type: jobType, name, message }: Record<string, unknown>): string {
  const [what = '', how = ''] = type.split('.');
  if (what === 'job') return `Job ${String(jobType)} ${how}`;
  const subject = typeof message === 'string' ? message : typeof name === 'string' ? name : '';
  return `${what.charAt(0).toUpperCase()}${what.slice(1)} ${how}${subject === '' ? '' : `: ${subject}`}`;
}

/** Verifies the signature of Standard Webhooks: an HMAC over id, time and text. */
export function isGenuine(secret: string, headers: IncomingMessage['headers'], text: string): boolean {
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

/** Words, numbers and the like as text; empty for anything else. */
function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}
