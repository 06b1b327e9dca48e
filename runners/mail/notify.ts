import { readFileSync } from 'node:fs';
import type { Client } from '@baton/runner-sdk';
import { SettingsError, type WebhookEvent, WebhookReceiver } from '@baton/runner-kit';
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
  private readonly receiver: WebhookReceiver;

  constructor(private readonly options: NotifierOptions) {
    this.receiver = new WebhookReceiver({ secret: options.secret, receive: (event, id) => this.notify(event, id) });
  }

  /** Returns the port. */
  listen(port: number, host: string): Promise<number> {
    return this.receiver.listen(port, host);
  }

  close(): void {
    this.receiver.close();
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

/** Words, numbers and the like as text; empty for anything else. */
function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}
