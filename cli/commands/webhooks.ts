import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Delivery, Webhook } from '@baton/runner-sdk';
import type { CreatedWebhook, CreateWebhook, DeliveryStatus, EditWebhook } from '@baton/runner-sdk/protocol';
import type { Cli } from '../cli';
import { Failure } from '../exit-codes';
import { addExamples } from '../examples';
import { choices } from '../input/choices';
import { parseDuration } from '../input/durations';
import { collect, collectNames, parseWhole } from '../input/values';
import { detailLines } from '../terminal/details';
import { lookOf } from '../terminal/style';
import type { Column } from '../terminal/table';

const DELIVERY_STATUSES = ['pending', 'delivered', 'failed'] as const satisfies readonly DeliveryStatus[];
const EVENTS = 'job.completed, job.failed, alert.firing …; baton webhooks create --help names all';
const ALL_EVENTS =
  'Events of jobs: job.created, job.claimed, job.progress, job.log, job.completed, job.failed, job.retrying,\n' +
  'job.released, job.cancelled, job.requeued. Others, for admins: alert.firing, alert.resolved, webhook.disabled.';

/** `baton webhooks …` */
export function addWebhookCommands(program: CommandUnknownOpts, cli: Cli): void {
  const webhooks = program
    .command('webhooks')
    .alias('webhook')
    .description('have events posted to addresses of others, and see what came of it');
  addCreate(webhooks, cli);
  addReading(webhooks, cli);
  addEdit(webhooks, cli);
  addDeliveries(webhooks, cli);

  const rotate = webhooks
    .command('rotate-secret')
    .description('make a new secret; the old one signs too for a while')
    .argument('<id>', 'id of the webhook')
    .option('--grace <duration>', 'how long the old one signs beside the new one; default: 1d', parseDuration)
    .action(async (id, { grace }) =>
      showSecret(cli, await (await cli.client()).webhooks.rotateSecret(id, { graceMs: grace })),
    );
  addExamples(rotate, [['baton webhooks rotate-secret 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'A new secret']]);

  const remove = webhooks
    .command('delete')
    .alias('rm')
    .description('delete a webhook')
    .argument('<id>', 'id of the webhook')
    .action(async (id) => {
      await cli.confirm(`Delete webhook ${id}?`);
      await (await cli.client()).webhooks.delete(id);
      cli.show({ id, deleted: true }, () => cli.terminal.line(`${id} is deleted.`));
    });
  addExamples(remove, [['baton webhooks delete 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'After being asked']]);
}

function addCreate(webhooks: CommandUnknownOpts, cli: Cli): void {
  const create = webhooks
    .command('create')
    .description('have events posted to an address; its secret is printed this once')
    .argument('<address>', 'where to, such as https://app.example.com/hooks')
    .requiredOption('-e, --event <event>', `an event: ${EVENTS}; may be repeated`, collectNames)
    .option('-Q, --queue <queue>', 'only of jobs in this queue; may be repeated', collectNames)
    .option('-t, --type <type>', 'only of jobs of this type; may be repeated', collectNames)
    .option('-u, --user <userId>', "only of this user's jobs; may be repeated", collect)
    .option('--description <text>', 'a note for people')
    .addHelpText('after', `\n${ALL_EVENTS}`)
    .action(async (url, { event, queue, type, user, description }) => {
      const webhook = {
        url,
        events: event,
        filter: filterOf({ queue, type, user }),
        ...(description !== undefined && { description }),
      } as CreateWebhook;
      showSecret(cli, await (await cli.client()).webhooks.create(webhook));
    });
  addExamples(create, [
    [
      'baton webhooks create https://app.example.com/hooks --event job.completed,job.failed --queue mail',
      'The ends of mails',
    ],
  ]);
}

function addReading(webhooks: CommandUnknownOpts, cli: Cli): void {
  const list = webhooks
    .command('list')
    .alias('ls')
    .description('list webhooks')
    .option('-n, --limit <count>', 'at most so many', parseWhole(1, 500), 50)
    .option('--cursor <cursor>', 'go on after a page: the nextCursor that it printed')
    .action(async (page) => {
      const found = await (await cli.client()).webhooks.list(page);
      cli.list(found, found.items, webhookColumns(cli), 'There are no webhooks.');
    });
  addExamples(list, [['baton webhooks list', 'Who is told of what']]);

  const get = webhooks
    .command('get')
    .alias('show')
    .description('show one webhook')
    .argument('<id>', 'id of the webhook')
    .action(async (id) => {
      const webhook = await (await cli.client()).webhooks.get(id);
      cli.show(webhook, () => showWebhook(cli, webhook));
    });
  addExamples(get, [['baton webhooks get 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'Whether it works']]);
}

function addEdit(webhooks: CommandUnknownOpts, cli: Cli): void {
  const edit = webhooks
    .command('edit')
    .description('change a webhook, or turn it off and on')
    .argument('<id>', 'id of the webhook')
    .option('--address <address>', 'where to')
    .option('-e, --event <event>', 'an event; together they replace the old ones; may be repeated', collectNames)
    .option('-Q, --queue <queue>', 'only of jobs in this queue; replaces the filter; may be repeated', collectNames)
    .option('-t, --type <type>', 'only of jobs of this type; replaces the filter; may be repeated', collectNames)
    .option('-u, --user <userId>', "only of this user's jobs; replaces the filter; may be repeated", collect)
    .option('--description <text>', 'a note for people')
    .option('--enable', 'send events, from now on')
    .option('--disable', 'send none')
    .action(async (id, { address, event, queue, type, user, description, enable, disable }) => {
      if (enable === true && disable === true)
        throw new Failure('usage', '--enable and --disable stand beside each other');
      const hasFilter = queue !== undefined || type !== undefined || user !== undefined;
      const changes = {
        ...(address !== undefined && { url: address }),
        ...(event !== undefined && { events: event }),
        ...(hasFilter && { filter: filterOf({ queue, type, user }) }),
        ...(description !== undefined && { description }),
        ...((enable === true || disable === true) && { enabled: enable === true }),
      } as EditWebhook;
      if (Object.keys(changes).length === 0)
        throw new Failure('usage', 'nothing to change', 'baton webhooks edit --help lists what can be changed.');
      const webhook = await (await cli.client()).webhooks.edit(id, changes);
      cli.show(webhook, () => showWebhook(cli, webhook));
    });
  addExamples(edit, [
    ['baton webhooks edit 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10 --enable', 'After its address works again'],
  ]);
}

function addDeliveries(webhooks: CommandUnknownOpts, cli: Cli): void {
  const deliveries = webhooks
    .command('deliveries')
    .description('list what was sent to a webhook, and what was answered, newest first')
    .argument('<id>', 'id of the webhook')
    .addOption(choices('-s, --status <status>', 'only with this status', DELIVERY_STATUSES))
    .option('-n, --limit <count>', 'at most so many', parseWhole(1, 500), 50)
    .option('--cursor <cursor>', 'go on after a page: the nextCursor that it printed')
    .action(async (id, { status, limit, cursor }) => {
      const page = await (
        await cli.client()
      ).webhooks.deliveries(id, { limit, cursor, ...(status !== undefined && { status }) });
      cli.list(page, page.items, deliveryColumns(cli), 'Nothing was sent yet.');
    });
  addExamples(deliveries, [
    ['baton webhooks deliveries 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10 --status failed', 'What was given up'],
  ]);

  const test = webhooks
    .command('test')
    .description('send `webhook.test` to a webhook')
    .argument('<id>', 'id of the webhook')
    .action(async (id) => {
      const delivery = await (await cli.client()).webhooks.test(id);
      cli.show(delivery, () =>
        cli.terminal.line(`Sent as ${delivery.id}; baton webhooks deliveries ${id} tells what came of it.`),
      );
    });
  addExamples(test, [['baton webhooks test 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'Whether the address answers']]);

  const resend = webhooks
    .command('resend')
    .description('send one delivery again')
    .argument('<id>', 'id of the webhook')
    .argument('<deliveryId>', 'id of the delivery')
    .action(async (id, deliveryId) => {
      const delivery = await (await cli.client()).webhooks.resend(id, deliveryId);
      cli.show(delivery, () => cli.terminal.line(`${delivery.id} is sent again.`));
    });
  addExamples(resend, [
    [
      'baton webhooks resend 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10 01920f40-11aa-7c3e-8d7f-0b6f2a9c4e55',
      'After its address works again',
    ],
  ]);
}

function filterOf({ queue, type, user }: Record<'queue' | 'type' | 'user', string[] | undefined>): object {
  return {
    ...(queue !== undefined && { queue }),
    ...(type !== undefined && { type }),
    ...(user !== undefined && { userId: user }),
  };
}

function showSecret(cli: Cli, webhook: CreatedWebhook): void {
  cli.show(webhook, () => {
    cli.terminal.line(webhook.secret);
    cli.note(`Webhook ${webhook.id} to ${webhook.url}. Its secret is not shown again.`);
  });
}

function showWebhook(cli: Cli, webhook: Webhook): void {
  const details = [
    ['id', webhook.id],
    ['state', stateOf(webhook)],
    ['events', webhook.events.join(', ')],
    ['filter', Object.keys(webhook.filter).length === 0 ? null : webhook.filter],
    ['user', webhook.userId],
    ['description', webhook.description],
    ['failing since', cli.fullTime(webhook.failingSince)],
    ['disabled', cli.fullTime(webhook.disabledAt)],
    ['created', cli.fullTime(webhook.createdAt)],
  ] as const;
  cli.terminal.line(cli.terminal.style('bold', webhook.url));
  for (const line of detailLines(details, cli.terminal.style)) cli.terminal.line(line);
}

function stateOf({ enabled, disabledReason, failingSince }: Webhook): string {
  if (!enabled) return `disabled (${disabledReason ?? 'unknown'})`;
  return failingSince === null ? 'ok' : 'failing';
}

function webhookColumns(cli: Cli): Column<Webhook>[] {
  return [
    { title: 'ID', of: (webhook) => webhook.id },
    { title: 'ADDRESS', of: (webhook) => webhook.url, least: 16 },
    { title: 'STATE', of: stateOf, look: (webhook) => (stateOf(webhook) === 'ok' ? 'green' : 'red') },
    { title: 'EVENTS', of: (webhook) => webhook.events.join(', '), least: 10, drop: 1 },
    { title: 'CREATED', of: (webhook) => cli.time(webhook.createdAt), drop: 2 },
  ];
}

function deliveryColumns(cli: Cli): Column<Delivery>[] {
  return [
    { title: 'ID', of: (delivery) => delivery.id },
    { title: 'EVENT', of: (delivery) => delivery.event },
    { title: 'STATUS', of: (delivery) => delivery.status, look: (delivery) => lookOf(delivery.status) },
    { title: 'TRIES', of: (delivery) => delivery.attempts, align: 'right', drop: 3 },
    { title: 'ANSWER', of: (delivery) => delivery.responseStatus, align: 'right', drop: 2 },
    { title: 'CREATED', of: (delivery) => cli.time(delivery.createdAt), drop: 1 },
    { title: 'ERROR', of: (delivery) => delivery.error, least: 12, drop: 4 },
  ];
}
