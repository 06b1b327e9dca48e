import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CreatedWebhook } from '@baton/runner-sdk/protocol';
import { domainOf, emailNotification } from '@baton/runner-mail/jobs';
import { Client } from '@baton/runner-sdk';
import { readAllowed } from '@baton/url-policy';
import { type Line, Program } from '../e2e/support/processes';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { mostOver } from '../queues/witness';
import { MailServer } from './mail-server';

// The mail runner as people start it, on two hosts as it were, with a real coordinator and a real mail server.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let client: Client;
let server: MailServer;
let smtpUrl: string;
let folder: string;
let key: string;
const log: Line[] = [];
const running: Program[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'baton-mail-'));
  const urlPolicy = { ...readAllowed(['127.0.0.1']), isHttpAllowed: false, ports: [443] };
  coordinator = await startCoordinator({ monitorIntervalMs: 200, webhooks: { urlPolicy } });
  key = await coordinator.api.makeKey({ name: 'runner', role: 'runner' });
  client = new Client({ coordinatorUrl: coordinator.url, apiKey: coordinator.adminKey, proxy: false });
  server = new MailServer();
  smtpUrl = await server.listen();
});
beforeEach(() => server.mails.splice(0));
afterEach(async () => {
  await Promise.all(
    running
      .splice(0)
      .filter((one) => !one.hasEnded)
      .map((one) => one.kill()),
  );
});
afterAll(async () => {
  await client.close();
  await coordinator.stop();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

function start(more: Record<string, string> = {}): Program {
  const env = {
    ...{ COORDINATOR_URL: coordinator.url, RUNNER_KEY: key, RUNNER_WORK_DIR: join(folder, 'work') },
    ...{ MAIL_SMTP_URL: smtpUrl, MAIL_SMTP_TLS: 'off', MAIL_FROM: 'baton@example.com', RUNNER_LEASE_MS: '2000' },
    ...{ STORAGE_ROOTS: `file:${folder}` },
    ...more,
  };
  const program = new Program('mail', ['runners/mail/dist/index.js'], { env, log });
  running.push(program);
  return program;
}

const data = { name: 'Ada', product: 'Baton', url: 'https://a.example' };

it('killed between two recipients, writes to each of them once', async () => {
  const first = start({ MAIL_PACE_MS: '600000' });
  const to = ['ada@example.org', 'bob@example.net'];
  const job = await client.create(
    emailNotification,
    { to, template: 'welcome', data },
    { retry: { strategy: 'fixed', baseMs: 0 } },
  );
  await eventually(
    async () => (await client.get(job.id)).checkpoint,
    (checkpoint) => checkpoint !== null,
    20_000,
  );
  await first.kill();
  start();
  const result = await client.wait(job, { timeoutMs: 40_000 });
  expect(result.sent.map((one) => one.to)).toEqual(to);
  expect(server.mails.map((mail) => (mail.to as { text: string }).text)).toEqual(to);
});

it('killed before the server has answered, sends the mail again under the same Message-ID', async () => {
  const before = server.received;
  let answer = (): void => undefined;
  server.mayAnswer = new Promise((resolve) => (answer = resolve));
  const first = start();
  const job = await client.create(
    emailNotification,
    { to: 'ada@example.org', template: 'welcome', data },
    { retry: { strategy: 'fixed', baseMs: 0 } },
  );
  await eventually(
    () => server.received,
    (count) => count > before,
    20_000,
  );
  await first.kill();
  expect((await client.get(job.id)).checkpoint).toBeNull();
  // The server takes what it has, though nobody hears of it: the window that remains.
  answer();
  start();
  const { sent } = await client.wait(job, { timeoutMs: 40_000 });
  expect(sent).toHaveLength(1);
  expect(server.mails.map(({ messageId }) => messageId)).toEqual([sent[0]?.messageId, sent[0]?.messageId]);
});

it('keeps the pace of a domain over two runners', async () => {
  const rate = { max: 2, perMs: 600 };
  await client.setQueue('mail', { keyRateLimit: rate });
  start();
  start();
  const jobs = await Promise.all(
    Array.from({ length: 8 }, (_, index) => {
      const to = `user${index}@example.org`;
      return client.create(emailNotification, { to, template: 'welcome', data }, { concurrencyKey: domainOf(to) });
    }),
  );
  await Promise.all(jobs.map((job) => client.wait(job, { timeoutMs: 40_000 })));
  const ran = await Promise.all(jobs.map((job) => client.get(job.id)));
  const starts = ran.map((job) => Date.parse(job.startedAt ?? '')).sort((one, other) => one - other);
  expect(mostOver(starts, rate)).toBeLessThanOrEqual(1);
  expect(server.mails).toHaveLength(8);
  await client.setQueue('mail', { keyRateLimit: null });
});

it('turns ends of jobs and alerts into mails, each once, and no mail into mails', async () => {
  const created = await coordinator.api.post<CreatedWebhook>('/webhooks', {
    url: 'http://127.0.0.1:1/',
    events: ['job.failed', 'alert.firing'],
  });
  const webhook = expectStatus(created, 201);
  const rules = [
    { events: 'job.failed', type: 'import', to: ['ops@example.com', 'user'] },
    { events: ['alert.firing', 'alert.resolved'], to: 'ops@example.com' },
    { events: 'job.failed', type: 'email-notification', to: 'loop@example.com' },
  ];
  writeFileSync(join(folder, 'rules.json'), JSON.stringify({ rules }));
  writeFileSync(join(folder, 'users.json'), JSON.stringify({ ada: { email: 'ada@example.org' } }));
  const program = start({
    ...{ MAIL_NOTIFY_PORT: '0', MAIL_NOTIFY_RULES: join(folder, 'rules.json'), MAIL_NOTIFY_SECRET: webhook.secret },
    ...{ MAIL_NOTIFY_KEY: coordinator.adminKey, MAIL_USERS: `file:${join(folder, 'users.json')}` },
  });
  const { url } = await program.says('receives webhooks');
  await coordinator.api.patch(`/webhooks/${webhook.id}`, { url });
  const { id } = await coordinator.api.create({ type: 'import', userId: 'ada', maxAttempts: 1 });
  const claimed = await coordinator.api.claimOne({ runnerId: 'r', types: ['import'] });
  await coordinator.api.complete(claimed, { outcome: 'failed', error: { message: 'no', code: 'bad_rows' } });
  const to = () => server.mails.map((mail) => (mail.to as { text: string }).text).sort();
  await eventually(to, (all) => all.length === 2, 20_000);
  expect(to()).toEqual(['ada@example.org', 'ops@example.com']);
  expect(server.mails[0]).toMatchObject({ subject: 'Job import failed' });
  expect(server.mails[0]?.text).toContain(`jobId: ${id}`);
  expect(server.mails[0]?.text).toContain('code: bad_rows');

  const alert = await client.alerts.create({
    name: 'deep',
    measure: 'depth',
    threshold: 1000,
    message: 'too many wait',
  });
  await client.alerts.test(alert.id);
  await eventually(to, (all) => all.length === 3, 20_000);
  expect(server.mails[2]?.subject).toBe('Alert firing: too many wait');

  // What is delivered again is told once.
  const { items } = expectStatus(
    await coordinator.api.get<{ items: { id: string; event: string }[] }>(`/webhooks/${webhook.id}/deliveries`),
    200,
  );
  const counted = async () => (await client.list({ type: 'email-notification', tag: 'notification' })).items.length;
  const before = await counted();
  for (const delivery of items) await coordinator.api.post(`/webhooks/${webhook.id}/deliveries/${delivery.id}/resend`);
  // A mail that fails for good ends in no mail.
  server.answers.set('gone@example.org', { code: 550, text: 'No such user' });
  const failing = await client.create(emailNotification, { to: 'gone@example.org', template: 'welcome', data });
  await expect(client.wait(failing, { timeoutMs: 20_000 })).rejects.toThrow('No such user');
  const delivered = async () =>
    expectStatus(
      await coordinator.api.get<{ items: { status: string; jobId: string | null }[] }>(
        `/webhooks/${webhook.id}/deliveries`,
      ),
      200,
    ).items;
  await eventually(
    delivered,
    (all) => all.some((one) => one.jobId === failing.id) && all.every((one) => one.status === 'delivered'),
    20_000,
  );
  expect(await counted()).toBe(before);

  for (const [headers, body, status] of [
    [
      { 'webhook-id': '1', 'webhook-timestamp': String(Math.floor(Date.now() / 1000)), 'webhook-signature': 'v1,AAAA' },
      '{}',
      401,
    ],
    [{}, '{}', 401],
  ] as const)
    expect((await fetch(String(url), { method: 'POST', headers, body })).status).toBe(status);
  expect((await fetch(String(url))).status).toBe(405);
});

it.each([
  [
    { MAIL_SMTP_URL: '' },
    'MAIL_SMTP_URL must be set to the mail server, such as smtp://user:password@mail.example.com:587',
  ],
  [{ MAIL_NOTIFY_PORT: '0' }, 'MAIL_NOTIFY_PORT needs MAIL_NOTIFY_RULES, MAIL_NOTIFY_SECRET and MAIL_NOTIFY_KEY too'],
])('with %j says in one line what is wrong', async (env, line) => {
  const program = start(env);
  expect(await program.ended).toEqual({ code: 1, signal: null });
  expect(log.at(-1)?.text).toBe(line);
});
