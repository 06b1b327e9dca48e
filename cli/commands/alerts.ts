import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Alert } from '@baton/runner-sdk';
import type { AlertMeasure, CreateAlert, EditAlert } from '@baton/runner-sdk/protocol';
import { InvalidArgumentError } from 'commander';
import type { Cli } from '../cli';
import { Failure } from '../exit-codes';
import { addExamples } from '../examples';
import { durationMsOf, parseDuration } from '../input/durations';
import { parseWhole } from '../input/values';
import { detailLines } from '../terminal/details';
import { countText, percentText } from '../terminal/numbers';
import { lookOf } from '../terminal/style';
import type { Column } from '../terminal/table';
import { durationText } from '../terminal/time';

const MEASURES = [
  'failureRate',
  'depth',
  'oldestAgeMs',
  'deadLetters',
  'runnersLost',
  'monitorLagMs',
] as const satisfies readonly AlertMeasure[];

interface AlertOptions {
  threshold?: number | undefined;
  window?: number | undefined;
  for?: number | undefined;
  queue?: string | undefined;
  type?: string | undefined;
  message?: string | undefined;
  recoveredMessage?: string | undefined;
}

/** `baton alerts …` */
export function addAlertCommands(program: CommandUnknownOpts, cli: Cli): void {
  const alerts = program.command('alerts').alias('alert').description('rules that watch rates, depths and ages');
  addCreate(alerts, cli);
  addReading(alerts, cli);
  addEdit(alerts, cli);

  const test = alerts
    .command('test')
    .description('measure now, and send the notification as a test')
    .argument('<id>', 'id of the rule')
    .action(async (id) => {
      const client = await cli.client();
      const { measure } = await client.alerts.get(id);
      const found = await client.alerts.test(id);
      cli.show(found, () =>
        cli.terminal.line(
          `${measure} is ${valueText(measure, found.value)}, ${found.isAbove ? 'above' : 'not above'} the threshold.`,
        ),
      );
    });
  addExamples(test, [['baton alerts test 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'Whether anybody hears of it']]);

  const remove = alerts
    .command('delete')
    .alias('rm')
    .description('delete a rule')
    .argument('<id>', 'id of the rule')
    .action(async (id) => {
      await cli.confirm(`Delete alert ${id}?`);
      await (await cli.client()).alerts.delete(id);
      cli.show({ id, deleted: true }, () => cli.terminal.line(`${id} is deleted.`));
    });
  addExamples(remove, [['baton alerts delete 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'After being asked']]);
}

function addCreate(alerts: CommandUnknownOpts, cli: Cli): void {
  const create = alerts
    .command('create')
    .description('make a rule')
    .argument('<name>', 'its name, shown in notifications')
    .argument('<measure>', `what it watches: ${MEASURES.join(', ')}`)
    .argument(
      '<threshold>',
      'it is exceeded above this: a number, a duration such as 5m, or 10% for failureRate',
      parseThreshold,
    )
    .option(
      '--window <duration>',
      'how far back failureRate, deadLetters and runnersLost look; default: 5m',
      parseDuration,
    )
    .option('--for <duration>', 'how long it must be exceeded before it fires; default: 0s', parseDuration)
    .option('-Q, --queue <queue>', 'only this queue')
    .option('-t, --type <type>', 'only jobs of this type')
    .option('--message <text>', 'sent when it fires')
    .option('--recovered-message <text>', 'sent when it is over')
    .action(async (name, measure, threshold, options) => {
      const alert = await (
        await cli.client()
      ).alerts.create({ name, measure, ...fieldsOf({ ...options, threshold }) } as CreateAlert);
      cli.show(alert, () => cli.terminal.line(`${alert.id}  ${alert.name}`));
    });
  addExamples(create, [
    [
      'baton alerts create "mails fail" failureRate 10% --queue mail --for 2m',
      'More than a tenth fails, for two minutes',
    ],
    ['baton alerts create "mails wait" oldestAgeMs 5m --queue mail', 'Some mail has waited for five minutes'],
  ]);
}

function addReading(alerts: CommandUnknownOpts, cli: Cli): void {
  const list = alerts
    .command('list')
    .alias('ls')
    .description('list the rules, and how each stands')
    .option('-n, --limit <count>', 'at most so many', parseWhole(1, 500), 50)
    .option('--cursor <cursor>', 'go on after a page: the nextCursor that it printed')
    .action(async (page) => {
      const found = await (await cli.client()).alerts.list(page);
      cli.list(found, found.items, alertColumns(cli), 'There are no alerts.');
    });
  addExamples(list, [['baton alerts list', 'What fires']]);

  const get = alerts
    .command('get')
    .alias('show')
    .description('show one rule')
    .argument('<id>', 'id of the rule')
    .action(async (id) => {
      const alert = await (await cli.client()).alerts.get(id);
      cli.show(alert, () => showAlert(cli, alert));
    });
  addExamples(get, [['baton alerts get 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'Its settings and its state']]);
}

function addEdit(alerts: CommandUnknownOpts, cli: Cli): void {
  const edit = alerts
    .command('edit')
    .description('change a rule, or turn it off and on')
    .argument('<id>', 'id of the rule')
    .option('--name <name>', 'its name')
    .option('--threshold <threshold>', 'it is exceeded above this', parseThreshold)
    .option('--window <duration>', 'how far back it looks', parseDuration)
    .option('--for <duration>', 'how long it must be exceeded before it fires', parseDuration)
    .option('-Q, --queue <queue>', 'only this queue')
    .option('-t, --type <type>', 'only jobs of this type')
    .option('--message <text>', 'sent when it fires')
    .option('--recovered-message <text>', 'sent when it is over')
    .option('--enable', 'evaluate it')
    .option('--disable', 'do not evaluate it')
    .action(async (id, { name, enable, disable, ...options }) => {
      if (enable === true && disable === true)
        throw new Failure('usage', '--enable and --disable stand beside each other');
      const changes = {
        ...(name !== undefined && { name }),
        ...fieldsOf(options),
        ...((enable === true || disable === true) && { enabled: enable === true }),
      } as EditAlert;
      if (Object.keys(changes).length === 0)
        throw new Failure('usage', 'nothing to change', 'baton alerts edit --help lists what can be changed.');
      const alert = await (await cli.client()).alerts.edit(id, changes);
      cli.show(alert, () => showAlert(cli, alert));
    });
  addExamples(edit, [
    ['baton alerts edit 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10 --threshold 20%', 'Let it be less strict'],
  ]);
}

/** A number; a duration, in milliseconds; or a percentage, as a share of 1. */
function parseThreshold(text: string): number {
  const percent = /^(\d+(?:\.\d+)?)%$/.exec(text)?.[1];
  const value =
    percent !== undefined ? Number(percent) / 100 : /^\d+(\.\d+)?$/.test(text) ? Number(text) : durationMsOf(text);
  if (value === undefined)
    throw new InvalidArgumentError('Write a number, a duration such as 5m, or a percentage such as 10%.');
  return value;
}

function fieldsOf(options: AlertOptions): Record<string, unknown> {
  const fields = {
    threshold: options.threshold,
    windowMs: options.window,
    forMs: options.for,
    queue: options.queue,
    type: options.type,
    message: options.message,
    recoveredMessage: options.recoveredMessage,
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function showAlert(cli: Cli, alert: Alert): void {
  const { style } = cli.terminal;
  const details = [
    ['id', alert.id],
    ['watches', `${alert.measure} above ${valueText(alert.measure, alert.threshold)}`],
    ['for', alert.forMs === 0 ? null : durationText(alert.forMs)],
    ['window', durationText(alert.windowMs)],
    ['queue', alert.queue],
    ['type', alert.type],
    ['message', alert.message],
    ['recovered', alert.recoveredMessage],
    ['value', valueText(alert.measure, alert.value)],
    ['since', cli.fullTime(alert.since)],
    ['evaluated', cli.fullTime(alert.evaluatedAt)],
  ] as const;
  cli.terminal.line(`${style('bold', alert.name)} ${style(lookOf(stateOf(alert)), stateOf(alert))}`);
  for (const line of detailLines(details, style)) cli.terminal.line(line);
}

function stateOf({ enabled, state }: Alert): string {
  return enabled ? state : 'disabled';
}

function valueText(measure: AlertMeasure, value: number | null): string {
  if (value === null) return 'unknown';
  if (measure === 'failureRate') return percentText(value) ?? '';
  return measure.endsWith('Ms') ? durationText(value) : countText(value);
}

function alertColumns(cli: Cli): Column<Alert>[] {
  return [
    { title: 'ID', of: (alert) => alert.id, drop: 5 },
    { title: 'NAME', of: (alert) => alert.name, least: 12 },
    { title: 'STATE', of: stateOf, look: (alert) => lookOf(stateOf(alert)) },
    { title: 'WATCHES', of: (alert) => alert.measure, drop: 1 },
    { title: 'VALUE', of: (alert) => valueText(alert.measure, alert.value), align: 'right' },
    { title: 'ABOVE', of: (alert) => valueText(alert.measure, alert.threshold), align: 'right', drop: 2 },
    {
      title: 'OF',
      of: (alert) => [alert.queue, alert.type].filter((one) => one !== null).join(', '),
      least: 6,
      drop: 3,
    },
    { title: 'SINCE', of: (alert) => cli.time(alert.since), drop: 4 },
  ];
}
