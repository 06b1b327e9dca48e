import { isDeepStrictEqual } from 'node:util';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Client, Queue, SetQueue } from '@baton/runner-sdk';
import type { Cli } from '../../cli';
import { Ending, Failure, isBatonError } from '../../exit-codes';
import { addExamples } from '../../examples';
import { readDocument } from '../../input/document';
import { requireObject } from '../../input/json';
import { byDefault, limitText, type SettingName, settingsOf } from './settings';

interface Change {
  queue: string;
  setting: SettingName;
  from: unknown;
  to: unknown;
}

/** `queues apply` and `export` */
export function addApplyCommands(queues: CommandUnknownOpts, cli: Cli): void {
  const apply = queues
    .command('apply')
    .description('set many queues as a file says, after showing what would change')
    .argument('<file>', 'YAML or JSON, as `queues export` prints it; - for standard input')
    .option('--dry-run', 'only show what would change')
    .option('--check', 'only show what would change, and end with exit code 8 if anything would')
    .addHelpText(
      'after',
      '\nThe file holds `queues`, and below it each queue with its settings, as PUT /queues/:name takes them:\n\n' +
        '  queues:\n    mail:\n      concurrency: 20\n      rateLimit: { max: 100, perMs: 60000 }\n      retention: { completedMs: 604800000 }\n\n' +
        'What the file does not name stays as it is; null takes a setting away.',
    )
    .action(async (file, { dryRun, check }) => {
      const wanted = await readQueues(cli, file);
      const client = await cli.client();
      const current = new Map((await client.queues()).map((queue) => [queue.name, queue]));
      const changes = [...wanted].flatMap(([name, settings]) => changesOf(name, settings, current.get(name)));
      const isDry = dryRun === true || check === true;
      if (!cli.isJson) showChanges(cli, changes, current);
      if (!isDry && changes.length > 0) {
        await cli.confirm(`Make ${changes.length === 1 ? 'this change' : `these ${changes.length} changes`}?`);
        await applyAll(cli, client, wanted, changes);
      }
      if (cli.isJson) cli.terminal.json({ changes, applied: !isDry });
      if (check === true && changes.length > 0) throw new Ending('incomplete');
    });
  addExamples(apply, [
    ['baton queues apply queues.yaml', 'Show what would change, ask, and change it'],
    ['baton queues apply queues.yaml --check', 'In CI: exit code 8 when the file and the coordinator differ'],
  ]);

  const exported = queues
    .command('export')
    .description('print all settings of queues that are not as by default, as a file for `queues apply`')
    .action(async () => {
      const all = await (await cli.client()).queues();
      const settings = Object.fromEntries(
        all.map((queue) => [queue.name, settingsOf(queue)] as const).filter(([, set]) => Object.keys(set).length > 0),
      );
      if (cli.isJson) return cli.terminal.json({ queues: settings });
      const { stringify } = await import('yaml');
      cli.terminal.streams.stdout.write(stringify({ queues: settings }));
    });
  addExamples(exported, [['baton queues export > queues.yaml', 'Keep the settings beside your code']]);
}

/** @throws {Failure} that names every invalid setting, before anything is changed */
async function readQueues(cli: Cli, file: string): Promise<Map<string, SetQueue>> {
  const { queueName, setQueue } = await import('@baton/runner-sdk/protocol');
  const document = requireObject(await readDocument(file, cli.terminal.streams), file);
  const { queues, ...rest } = document;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) throw new Failure('usage', `${file}: there is no "${unknown}" beside "queues"`);
  const wanted = new Map<string, SetQueue>();
  const faults: string[] = [];
  for (const [name, settings] of Object.entries(requireObject(queues, `"queues" in ${file}`))) {
    const checkedName = queueName.safeParse(name);
    // A queue without settings would be refused by the API.
    if (checkedName.success && isEmpty(settings)) continue;
    const checked = setQueue.safeParse(settings);
    if (checkedName.success && checked.success) wanted.set(name, checked.data);
    for (const { path, message } of checkedName.error?.issues ?? []) faults.push(faultText(name, path, message));
    for (const { path, message } of checked.error?.issues ?? []) faults.push(faultText(name, path, message));
  }
  if (faults.length > 0) throw new Failure('usage', `${file} cannot be applied:\n  ${faults.join('\n  ')}`);
  return wanted;
}

function isEmpty(settings: unknown): boolean {
  return settings === null || (typeof settings === 'object' && Object.keys(settings).length === 0);
}

function faultText(name: string, path: readonly PropertyKey[], message: string): string {
  return `${[name, ...path.map(String)].join('.')}: ${message}`;
}

function changesOf(name: string, settings: SetQueue, current: Queue | undefined): Change[] {
  return (Object.keys(settings) as SettingName[]).flatMap((setting) => {
    const from = current?.[setting] ?? null;
    const to = settings[setting] ?? null;
    const isSame = isDeepStrictEqual(from ?? byDefault(setting), to);
    return isSame ? [] : [{ queue: name, setting, from, to }];
  });
}

function showChanges(cli: Cli, changes: readonly Change[], current: Map<string, Queue>): void {
  const { style } = cli.terminal;
  if (changes.length === 0) cli.terminal.line('All queues are set so already.');
  let last = '';
  for (const { queue, setting, from, to } of changes) {
    if (queue !== last) cli.terminal.line(style('bold', queue) + (current.has(queue) ? '' : style('green', ' (new)')));
    last = queue;
    const before = from === null ? '' : `${style('red', `- ${limitText(from)}`)}  `;
    cli.terminal.line(
      `  ${setting}: ${before}${to === null ? style('dim', 'none') : style('green', `+ ${limitText(to)}`)}`,
    );
  }
}

/** Queue by queue; an error in the middle lists what was done before it. */
async function applyAll(
  cli: Cli,
  client: Client,
  wanted: Map<string, SetQueue>,
  changes: readonly Change[],
): Promise<void> {
  const names = [...new Set(changes.map(({ queue }) => queue))];
  for (const [index, name] of names.entries()) {
    try {
      await client.setQueue(name, wanted.get(name) ?? {});
    } catch (error) {
      if (isBatonError(error) && index > 0)
        cli.terminal.note(`These were set before the error: ${names.slice(0, index).join(', ')}`);
      throw error;
    }
    if (!cli.isJson) cli.terminal.line(`${name} is set.`);
  }
}
