import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSettings, Storage, storageSettings, WorkFolders } from '@baton/runner-kit';
import { emailNotification } from '@baton/runner-mail/jobs';
import { runHandler, type RunHandlerOptions } from '@baton/runner-sdk/testing';
import { waitIn } from '../../runners/mail/refusal';
import { Sender, transportOf } from '../../runners/mail/send';
import { mailSettings } from '../../runners/mail/settings';
import { Templates } from '../../runners/mail/templates';
import { usersOf } from '../../runners/mail/users';
import { createTestDatabase, type TestDatabase } from '../support/database';
import { TestSql } from '../support/sql';
import { MailServer } from './mail-server';

let folder: string;
let server: MailServer;
let smtpUrl: string;
let work: WorkFolders;
const transports: { close(): void }[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'baton-mail-'));
  work = new WorkFolders(join(folder, 'work'));
  await work.open();
});
afterAll(() => {
  work.close();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  server = new MailServer();
  smtpUrl = await server.listen();
});
afterEach(async () => {
  for (const transport of transports.splice(0)) transport.close();
  await server.close();
});

async function senderOf(env: Record<string, string> = {}): Promise<Sender> {
  const settings = readSettings(mailSettings, {
    env: { MAIL_SMTP_URL: smtpUrl, MAIL_SMTP_TLS: 'off', MAIL_FROM: 'Baton <baton@example.com>', ...env },
  });
  const transport = transportOf(settings);
  transports.push(transport);
  return new Sender({
    ...{ transport, from: settings.MAIL_FROM, work, users: await usersOf(settings) },
    templates: new Templates(settings.MAIL_TEMPLATES, settings.MAIL_LOCALE),
    storage: new Storage(readSettings(storageSettings, { env: { STORAGE_ROOTS: `file:${folder}` } }), folder),
    ...{ mostAttachmentBytes: settings.MAIL_MAX_ATTACHMENT_BYTES, paceMs: settings.MAIL_PACE_MS },
  });
}

const WELCOME = { template: 'welcome', data: { name: 'Ada', product: 'Baton', url: 'https://a.example/?a=1&b=2' } };

async function send(args: object, options: RunHandlerOptions = {}, env: Record<string, string> = {}) {
  const sender = await senderOf(env);
  return runHandler(emailNotification, (given, job) => sender.send(given, job), { ...WELCOME, ...args }, options);
}

describe('a mail', () => {
  it('has text and HTML, with data escaped where it must be, attachments, and one id for all attempts', async () => {
    writeFileSync(join(folder, 'rows.csv'), 'a,b\n');
    const run = await send(
      {
        ...{ to: 'ada@example.org', data: { ...WELCOME.data, name: '<b>Ada</b>\r\nBcc: eve@example.net' } },
        ...{ attachments: [{ url: 'file:rows.csv', contentType: 'text/csv' }], replyTo: 'help@example.com' },
      },
      { id: 'job-1' },
    );
    expect(run.error).toBeNull();
    const [mail] = server.mails;
    expect(mail?.subject).toBe('Welcome, <b>Ada</b> Bcc: eve@example.net');
    expect(mail?.text).toContain('Hello <b>Ada</b>');
    expect(mail?.text).toContain('https://a.example/?a=1&b=2');
    expect(mail?.html).toContain('Hello &lt;b&gt;Ada&lt;/b&gt;');
    expect(mail?.headers.get('auto-submitted')).toBe('auto-generated');
    expect(mail?.from?.text).toBe('"Baton" <baton@example.com>');
    expect(mail?.replyTo?.text).toBe('help@example.com');
    expect(mail?.bcc).toBeUndefined();
    expect(mail?.attachments.map(({ filename, content }) => [filename, content.toString()])).toEqual([
      ['rows.csv', 'a,b\n'],
    ]);
    expect(run.result?.sent).toEqual([
      { to: 'ada@example.org', messageId: mail?.messageId, response: expect.stringContaining('250') },
    ]);
    expect(mail?.messageId).toMatch(/^<job-1\.\w+@example\.com>$/);
  });

  it('speaks the language that was asked for, or the nearest that there is', async () => {
    for (const locale of ['de-AT', 'fr']) await send({ to: 'ada@example.org', locale });
    expect(server.mails.map(({ subject }) => subject)).toEqual(['Willkommen, Ada', 'Welcome, Ada']);
    const data = { product: 'Baton', url: 'https://a.example', expiresAt: '2026-12-24T18:30:00Z' };
    await send({ to: 'ada@example.org', template: 'password-reset', locale: 'de', data });
    expect(server.mails[2]?.text).toContain('bis 24. Dezember 2026 um 18:30 (UTC)');
  });

  it('with a way out has the headers that mail programs show it by', async () => {
    const data = { title: 'News', articles: [{ title: 'A', summary: 'B', url: 'https://a.example' }] };
    const unsubscribeUrl = 'https://a.example/out';
    await send({ to: 'ada@example.org', template: 'newsletter', data: { ...data, unsubscribeUrl } });
    expect(server.mails[0]?.headers.get('list')).toMatchObject({ unsubscribe: { url: unsubscribeUrl } });
    const none = await send({ to: 'ada@example.org', template: 'newsletter', data });
    expect(none.error).toMatchObject({ code: 'mail_missing_data', retryable: false });
    expect(none.error?.message).toContain('unsubscribeUrl');
  });

  it('comes from templates of a folder of one’s own', async () => {
    const own = join(folder, 'own');
    mkdirSync(join(own, 'invoice', 'de'), { recursive: true });
    writeFileSync(join(own, 'invoice', 'subject.hbs'), 'Invoice {{number no}}');
    writeFileSync(join(own, 'invoice', 'text.hbs'), '{{currency total "EUR"}}');
    writeFileSync(join(own, 'invoice', 'de', 'subject.hbs'), 'Rechnung {{number no}}');
    const env = { MAIL_TEMPLATES: own };
    await send({ to: 'ada@example.org', template: 'invoice', locale: 'de', data: { no: 1234.5, total: 7 } }, {}, env);
    expect(server.mails[0]).toMatchObject({
      subject: 'Rechnung 1.234,5',
      text: expect.stringMatching(/^7,00\s€/),
      html: false,
    });
    expect((await send({ to: 'a@b.example', template: 'none' }, {}, env)).error).toMatchObject({
      ...{ code: 'mail_unknown_template', message: expect.stringContaining('invoice, newsletter') },
    });
    writeFileSync(join(own, 'invoice', 'text.hbs'), '{{#if a}}');
    expect(() => new Templates(own, 'en')).toThrow(/invoice\/text\.hbs cannot be read/);
    rmSync(join(own, 'invoice', 'text.hbs'));
    expect(() => new Templates(own, 'en')).toThrow('has no text.hbs');
  });

  it('with too much attached, or with what is not there, is not sent', async () => {
    writeFileSync(join(folder, 'big'), Buffer.alloc(2000));
    const env = { MAIL_MAX_ATTACHMENT_BYTES: '3000' };
    const twice = [{ url: 'file:big' }, { url: 'file:big' }];
    expect((await send({ to: 'a@b.example', attachments: twice }, {}, env)).error).toMatchObject({
      code: 'storage_too_large',
    });
    const none = [{ url: 'file:../etc/passwd' }];
    expect((await send({ to: 'a@b.example', attachments: none })).error).toMatchObject({
      code: 'storage_outside_roots',
    });
    expect(server.mails).toEqual([]);
  });
});

describe('what the server says', () => {
  it.each([
    [550, 'No such user', 'mail_refused', false, undefined],
    [450, 'Greylisted, try again in 5 minutes', 'mail_deferred', true, 300_000],
    [421, 'Too many connections', 'mail_deferred', true, undefined],
  ])('%i %s', async (code, text, faultCode, retryable, retryAfterMs) => {
    server.answers.set('ada@example.org', { code, text });
    const { error } = await send({ to: 'ada@example.org' });
    expect([error?.code, error?.retryable ?? true, error?.retryAfterMs]).toEqual([faultCode, retryable, retryAfterMs]);
    expect(error?.message).toBe(`the mail to ada@example.org was not taken: ${code} ${text}`);
  });

  it('of the message counts as what it says of the recipient', async () => {
    server.messageAnswer = { code: 554, text: 'Spam' };
    expect((await send({ to: 'ada@example.org' })).error).toMatchObject({ code: 'mail_refused', retryable: false });
    server.messageAnswer = { code: 451, text: 'Try later' };
    expect((await send({ to: 'ada@example.org' })).error).toMatchObject({ code: 'mail_deferred' });
  });

  it('against the login blames no mail', async () => {
    const url = smtpUrl.replace('smtp://', 'smtp://me:wrong@');
    const { error } = await send({ to: 'ada@example.org' }, {}, { MAIL_SMTP_URL: url });
    expect([error?.code, error?.retryable ?? true]).toEqual(['mail_login_refused', true]);
    expect(error?.message).not.toContain('wrong');
  });

  it('is tried again when nobody answers, and when TLS is wanted and not there', async () => {
    const { error } = await send({ to: 'ada@example.org' }, {}, { MAIL_SMTP_TLS: 'required' });
    expect([error?.code, error?.retryable ?? true]).toEqual(['mail_unreachable', true]);
    expect(server.mails).toEqual([]);
    const gone = await send({ to: 'ada@example.org' }, {}, { MAIL_SMTP_URL: 'smtp://127.0.0.1:1' });
    expect([gone.error?.code, gone.error?.retryable ?? true]).toEqual(['mail_unreachable', true]);
  });

  it.each([
    ['4.7.1 Greylisting in action, please come back in 00:04:30', 270_000],
    ['retry after 300 seconds', 300_000],
    ['Try again in 2h', 7_200_000],
    ['4.3.2 System not accepting network messages', null],
  ])('is read for a wait: %s', (text, waitMs) => expect(waitIn(text)).toBe(waitMs));
});

describe('several recipients', () => {
  const to = ['ada@example.org', 'bob@example.net', 'eve@example.com'];

  it('get a mail each; who was reached is not reached again, and who is refused does not stop the others', async () => {
    server.answers.set('bob@example.net', { code: 450, text: 'later' });
    server.answers.set('eve@example.com', { code: 550, text: 'never' });
    const first = await send({ to });
    expect(first.error).toMatchObject({ code: 'mail_deferred' });
    expect(server.mails.map((mail) => mail.to)).toHaveLength(1);
    server.answers.clear();
    const second = await send({ to }, { lastCheckpoint: first.checkpoints.at(-1), attempt: 2 });
    expect(second.result).toMatchObject({
      sent: [{ to: 'ada@example.org' }, { to: 'bob@example.net' }],
      refused: [{ to: 'eve@example.com', response: '550 never' }],
    });
    expect(server.mails).toHaveLength(2);
  });
});

describe('a kill', () => {
  it('after the checkpoint sends nothing twice; the lease is lost before it, and the job stops', async () => {
    const first = await send(
      { to: ['ada@example.org', 'bob@example.net'] },
      {
        onEvent: (event, control) => event.kind === 'checkpoint' && control.loseLease(),
      },
    );
    expect(first.outcome).toBe('lease_lost');
    const second = await send({ to: ['ada@example.org', 'bob@example.net'] }, { lastCheckpoint: first.checkpoints[0] });
    expect(second.outcome).toBe('completed');
    expect(server.mails.map((mail) => (mail.to as { text: string }).text).sort()).toEqual([
      'ada@example.org',
      'bob@example.net',
    ]);
  });

  it('before the answer is known sends it again, under the same id', async () => {
    const url = await server.behindLossyProxy();
    const lost = await send({ to: 'ada@example.org' }, { id: 'job-9' }, { MAIL_SMTP_URL: url });
    expect(lost.error).toMatchObject({ code: 'mail_unreachable' });
    expect(lost.checkpoints).toEqual([]);
    await send({ to: 'ada@example.org' }, { id: 'job-9', attempt: 2 });
    expect(server.mails).toHaveLength(2);
    expect(server.mails[0]?.messageId).toBe(server.mails[1]?.messageId);
  });
});

describe('users', () => {
  const ada = { email: 'ada@example.org', name: 'Ada', locale: 'de' };
  const asUser = { userId: 'ada' };
  const requireReached = async (env: Record<string, string>): Promise<void> => {
    const run = await send({ data: { product: 'B', url: 'https://a.example' } }, asUser, env);
    expect(run.error).toBeNull();
    expect(server.mails[0]?.subject).toBe('Willkommen, Ada');
    const none = await send({ userId: 'nobody' }, {}, env);
    expect(none.error).toMatchObject({ code: 'mail_unknown_user', retryable: false });
    const bad = await send({ userId: 'bad' }, {}, env);
    expect(bad.error).toMatchObject({ code: 'mail_bad_user', retryable: false });
  };

  it('of a file', async () => {
    writeFileSync(join(folder, 'users.json'), JSON.stringify({ ada, bad: { email: 'x' } }));
    await requireReached({ MAIL_USERS: `file:${join(folder, 'users.json')}` });
  });

  it('of a service', async () => {
    const service = createServer(({ url, headers }, response) => {
      if (headers.authorization !== 'Bearer token') response.writeHead(401).end();
      else if (url === '/users/ada') response.end(JSON.stringify(ada));
      else if (url === '/users/bad') response.end('{"email":7}');
      else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(service.address() as AddressInfo).port}/users/{userId}`;
    await requireReached({ MAIL_USERS: url, MAIL_USERS_TOKEN: 'token' });
    const refused = await send({ userId: 'ada' }, {}, { MAIL_USERS: url });
    expect(refused.error?.retryable ?? true).toBe(true);
    service.close();
    service.closeAllConnections();
  });

  it('of a table', async () => {
    const database: TestDatabase = await createTestDatabase();
    const sql = new TestSql(database.url);
    await sql.query('CREATE TABLE public.users (id text, email text, name text, locale text)');
    await sql.query(
      `INSERT INTO public.users VALUES ('ada', 'ada@example.org', 'Ada', 'de'), ('bad', 'x', NULL, NULL)`,
    );
    await requireReached({ MAIL_USERS: database.url, MAIL_USERS_QUERY: 'SELECT * FROM public.users WHERE id = $1' });
    await sql.end();
    await database.drop();
  });

  it('nowhere', async () => {
    expect((await send({ userId: 'ada' })).error).toMatchObject({ code: 'mail_unknown_user' });
    expect((await send({})).error).toMatchObject({ code: 'invalid_arguments' });
    await expect(usersOf({ MAIL_USERS: 'https://a.example/', MAIL_USERS_QUERY: '' })).rejects.toThrow(
      'must hold {userId}',
    );
  });
});
