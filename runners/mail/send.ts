import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Storage, WorkFolders } from '@baton/runner-kit';
import { type JobContext, NonRetryableError } from '@baton/runner-sdk';
import { createTransport, type Transporter } from 'nodemailer';
import { z } from 'zod';
import { domainOf, type MailArguments, type MailResult } from './jobs';
import { errorOf, type Refusal, refusalOf } from './refusal';
import type { Rendered, Templates } from './templates';
import type { User, Users } from './users';

export interface SmtpSettings {
  MAIL_SMTP_URL: string;
  MAIL_SMTP_TLS: 'required' | 'optional' | 'off';
  MAIL_SMTP_CONNECTIONS: number;
}

export interface SenderOptions {
  transport: Transporter;
  from: string;
  templates: Templates;
  users: Users;
  storage: Storage;
  work: WorkFolders;
  mostAttachmentBytes: number;
  /** The minimum time per message, in milliseconds. */
  paceMs: number;
  /** Called for each message with its outcome. */
  onMessage?: (outcome: 'sent' | 'refused' | 'deferred') => void;
}

/** What an earlier attempt has done, by address, and must not be repeated. */
interface Done {
  sent: Map<string, { messageId: string; response: string }>;
  refused: Map<string, string>;
}

const stored = z.object({
  sent: z.array(z.tuple([z.string(), z.object({ messageId: z.string(), response: z.string() })])),
  refused: z.array(z.tuple([z.string(), z.string()])),
});

interface Attachment {
  filename: string;
  path: string;
  contentType?: string | undefined;
}

const CONNECT_MS = 20_000;
const SILENCE_MS = 60_000;

/** The connections to the mail server. */
export function transportOf({ MAIL_SMTP_URL, MAIL_SMTP_TLS, MAIL_SMTP_CONNECTIONS }: SmtpSettings): Transporter {
  const url = new URL(MAIL_SMTP_URL);
  const isSecure = url.protocol === 'smtps:';
  return createTransport({
    ...{ pool: true, maxConnections: MAIL_SMTP_CONNECTIONS, host: url.hostname.replace(/^\[|\]$/g, '') },
    ...{ port: Number(url.port) || (isSecure ? 465 : 587), secure: isSecure },
    ...(url.username !== '' && {
      auth: { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) },
    }),
    ...{ requireTLS: MAIL_SMTP_TLS === 'required', ignoreTLS: MAIL_SMTP_TLS === 'off' },
    ...{ connectionTimeout: CONNECT_MS, greetingTimeout: CONNECT_MS, socketTimeout: SILENCE_MS },
    // Templates and arguments must not be treated as paths or URLs to read from.
    ...{ disableUrlAccess: true },
  });
}

/** Sends mails, to each address once per job as far as possible; the README describes the remaining window. */
export class Sender {
  constructor(private readonly options: SenderOptions) {}

  /**
   * @throws {NonRetryableError} when every address was refused for good, or the mail cannot be created
   * @throws {Error} when an address must be retried; addresses that were reached are not retried with it
   */
  async send(args: MailArguments, job: JobContext): Promise<MailResult> {
    const recipients = await this.recipients(args, job);
    const done = doneIn(job.lastCheckpoint);
    return this.options.work.with(async (folder) => {
      const attachments = await this.attachments(args, job, folder);
      const deferred: { to: string; refusal: Refusal }[] = [];
      for (const [index, user] of recipients.entries()) {
        if (done.sent.has(user.email) || done.refused.has(user.email)) continue;
        job.progress((100 * index) / recipients.length, user.email);
        const refusal = await this.sendOne(args, user, attachments, job, done);
        if (refusal !== null) deferred.push({ to: user.email, refusal });
      }
      return outcomeOf(done, deferred);
    });
  }

  private async recipients({ to, userId }: MailArguments, job: JobContext): Promise<User[]> {
    if (to !== undefined) return [...new Set([to].flat())].map((email) => ({ email }));
    const wanted = userId ?? job.userId;
    if (wanted === null)
      throw new NonRetryableError('the mail needs `to` or `userId`, or a job of a user', { code: 'invalid_arguments' });
    const user = await this.options.users.find(wanted, job.signal);
    if (user === null) throw new NonRetryableError(`there is no user ${wanted}`, { code: 'mail_unknown_user' });
    return [user];
  }

  /** Null: it was sent, or refused for good; both are stored. Otherwise why it must be retried. */
  private async sendOne(
    args: MailArguments,
    user: User,
    attachments: Attachment[],
    job: JobContext,
    done: Done,
  ): Promise<Refusal | null> {
    const { templates, onMessage, paceMs } = this.options;
    const { template, data, locale } = args;
    const wanted = [locale, user.locale].filter((one) => one !== undefined);
    const rendered = templates.render(template, wanted, { name: user.name ?? null, ...data });
    job.signal.throwIfAborted();
    const paced = sleep(paceMs, undefined, { signal: job.signal });
    // It may be aborted before it is awaited.
    paced.catch(() => undefined);
    try {
      const { messageId, response } = await this.deliver(args, user, rendered, attachments, job);
      done.sent.set(user.email, { messageId, response });
      onMessage?.('sent');
    } catch (error) {
      const refusal = refusalOf(error);
      onMessage?.(refusal.isFinal ? 'refused' : 'deferred');
      if (!refusal.isFinal) return refusal;
      done.refused.set(user.email, refusal.response);
    }
    // From here on nothing is sent twice after a kill.
    await job.checkpoint({ sent: [...done.sent], refused: [...done.refused] });
    await paced;
    return null;
  }

  private async deliver(
    { subject, replyTo, data }: MailArguments,
    { email, name }: User,
    rendered: Rendered,
    attachments: Attachment[],
    job: JobContext,
  ): Promise<{ messageId: string; response: string }> {
    const { from, transport } = this.options;
    const { unsubscribeUrl } = data;
    const info = (await transport.sendMail({
      ...{ from, to: name === undefined ? email : { name, address: email }, text: rendered.text, attachments },
      ...{ subject: subject ?? rendered.subject, ...(rendered.html !== null && { html: rendered.html }) },
      ...(replyTo !== undefined && { replyTo }),
      // The same in each attempt, so that duplicates can be recognised.
      messageId: `<${job.id}.${shortHash(email)}@${domainOf(from.replace(/>$/, ''))}>`,
      headers: {
        'Auto-Submitted': 'auto-generated',
        ...(typeof unsubscribeUrl === 'string' && {
          'List-Unsubscribe': `<${unsubscribeUrl}>`,
          'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
        }),
      },
    })) as { messageId: string; response: string };
    return { messageId: info.messageId, response: info.response.slice(0, 500) };
  }

  private async attachments(args: MailArguments, job: JobContext, folder: string): Promise<Attachment[]> {
    const { storage, mostAttachmentBytes } = this.options;
    let left = mostAttachmentBytes;
    const found: Attachment[] = [];
    for (const [index, { url, filename, contentType }] of args.attachments.entries()) {
      const path = join(folder, String(index));
      left -= await storage.download(url, path, { signal: job.signal, mostBytes: left });
      found.push({ path, filename: filename ?? nameIn(url), ...(contentType !== undefined && { contentType }) });
    }
    return found;
  }
}

function outcomeOf(done: Done, deferred: { to: string; refusal: Refusal }[]): MailResult {
  const [first] = deferred;
  if (first !== undefined) {
    const waitMs = deferred.reduce<number | null>((most, { refusal }) => longest(most, refusal.waitMs), null);
    throw errorOf(first.to, { ...first.refusal, waitMs });
  }
  const sent = [...done.sent].map(([to, { messageId, response }]) => ({ to, messageId, response }));
  const refused = [...done.refused].map(([to, response]) => ({ to, response }));
  const [only] = refused;
  if (sent.length === 0 && only !== undefined)
    throw errorOf(only.to, { isFinal: true, response: only.response, code: 'mail_refused', waitMs: null });
  return { sent, refused };
}

function longest(one: number | null, other: number | null): number | null {
  return one === null ? other : other === null ? one : Math.max(one, other);
}

function doneIn(checkpoint: unknown): Done {
  const read = stored.safeParse(checkpoint);
  return read.success ? { sent: new Map(read.data.sent), refused: new Map(read.data.refused) } : nothingDone();
}

function nothingDone(): Done {
  return { sent: new Map(), refused: new Map() };
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

function nameIn(url: string): string {
  const path = url.replace(/[?#].*$/s, '').replace(/^(file|s3|https?):/, '');
  try {
    return basename(decodeURIComponent(path));
  } catch {
    return basename(path);
  }
}
