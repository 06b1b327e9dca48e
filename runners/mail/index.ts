#!/usr/bin/env node
import { type Kit, SettingsError, type SettingsOf, startRunner } from '@baton/runner-kit';
import { Client } from '@baton/runner-sdk';
import { emailNotification } from './jobs';
import { Notifier, readRules } from './notify';
import { Sender, transportOf } from './send';
import { mailSettings } from './settings';
import { Templates } from './templates';
import { usersOf } from './users';

type Settings = SettingsOf<typeof mailSettings>;

startRunner({
  name: 'mail',
  settings: mailSettings,
  prefix: 'MAIL_',
  concurrency: 4,
  prepare: async (kit, settings) => {
    const templates = new Templates(settings.MAIL_TEMPLATES, settings.MAIL_LOCALE);
    const messages = kit.figures.counter('mails_total', 'Messages by what became of them', ['outcome']);
    const sender = new Sender({
      ...{ transport: transportOf(settings), from: settings.MAIL_FROM, templates },
      ...{ users: await usersOf(settings), storage: kit.storage, work: kit.work },
      ...{ mostAttachmentBytes: settings.MAIL_MAX_ATTACHMENT_BYTES, paceMs: settings.MAIL_PACE_MS },
      onMessage: (outcome) => messages.inc({ outcome }),
    });
    kit.handle(emailNotification, (args, job) => sender.send(args, job));
    if (settings.MAIL_NOTIFY_PORT !== undefined) await receive(kit, settings, settings.MAIL_NOTIFY_PORT, templates);
  },
});

async function receive(kit: Kit, settings: Settings, port: number, templates: Templates): Promise<void> {
  const { MAIL_NOTIFY_RULES: rules, MAIL_NOTIFY_SECRET: secret, MAIL_NOTIFY_KEY: apiKey } = settings;
  if (rules === undefined || secret === undefined || apiKey === undefined)
    throw new SettingsError('MAIL_NOTIFY_PORT needs MAIL_NOTIFY_RULES, MAIL_NOTIFY_SECRET and MAIL_NOTIFY_KEY too');
  const client = new Client({ apiKey });
  const notifier = new Notifier({ rules: readRules(rules, templates.names), secret, client });
  try {
    const at = await notifier.listen(port, settings.MAIL_NOTIFY_HOST);
    kit.log('info', 'receives webhooks', { url: `http://${settings.MAIL_NOTIFY_HOST}:${at}` });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SettingsError(`MAIL_NOTIFY_PORT cannot be listened on: ${reason}`);
  }
}
