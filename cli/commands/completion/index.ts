import { Argument, type CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Client } from '@baton/runner-sdk';
import type { Cli } from '../../cli';
import { addExamples } from '../../examples';
import { Profiles } from '../../profiles';
import { oneLine } from '../../terminal/text';
import { complete, type Live } from './candidates';
import { COMPLETION_SCRIPTS, INSTALL, SHELLS } from './scripts';

/** Somebody waits for Tab. */
const BUDGET_MS = 1000;
const MOST_NAMES = 200;

/** `baton completion`, and the hidden `complete` that its scripts call. */
export function addCompletionCommands(program: CommandUnknownOpts, cli: Cli): void {
  const completion = program
    .command('completion')
    .description('print a script that completes commands, options, and names of queues, runners and types at Tab')
    .addArgument(new Argument('<shell>', 'the shell that is used').choices(SHELLS))
    .addHelpText(
      'after',
      [
        '',
        'For good, in the file that the shell reads at its start:',
        ...SHELLS.map((shell) => `  ${shell.padEnd(6)}${INSTALL[shell]}`),
      ].join('\n'),
    )
    .action((shell) => void cli.terminal.streams.stdout.write(COMPLETION_SCRIPTS[shell]));
  addExamples(completion, [
    ['source <(baton completion bash)', 'For this shell; put it into ~/.bashrc for all'],
    ['baton completion fish > ~/.config/fish/completions/baton.fish', 'For good, in fish'],
  ]);

  program
    .command('complete', { hidden: true })
    .description('print what the last of these words may become')
    .argument('[words...]', 'the words of the line after `baton`')
    .action(async (words) => {
      const typed = words.at(-1) ?? '';
      const { candidates, live, files } = complete(program, words.length === 0 ? [''] : words);
      const lines = candidates.map(({ word, what }) => `${word}\t${oneLine(what)}`);
      const prefix = /^--[^=]+=/.exec(typed)?.[0] ?? '';
      const names = live === undefined ? [] : await liveNames(cli, live);
      for (const name of names)
        if (`${prefix}${name}`.startsWith(typed)) lines.push(`${prefix}${oneLine(name)}\t${live}`);
      for (const line of files ? [...lines, ':files'] : lines) cli.terminal.line(line);
    });
}

/** None, when they cannot be read: Tab is no place for errors. */
async function liveNames(cli: Cli, live: Live): Promise<string[]> {
  try {
    if (live === 'profiles') return [...new Profiles(cli.environment.configDir).read().keys()];
    return (await READERS[live](await cli.client(BUDGET_MS))).slice(0, MOST_NAMES);
  } catch {
    return [];
  }
}

const READERS: Record<Exclude<Live, 'profiles'>, (client: Client) => Promise<string[]>> = {
  queues: async (client) => (await client.queues()).map(({ name }) => name),
  runners: async (client) => (await client.runners({ limit: MOST_NAMES })).items.map(({ id }) => id),
  types: async (client) => (await client.stats()).types.map(({ type }) => type),
  schedules: async (client) => (await client.schedules.list({ limit: MOST_NAMES })).items.map(({ name }) => name),
  webhooks: async (client) => (await client.webhooks.list({ limit: MOST_NAMES })).items.map(({ id }) => id),
  alerts: async (client) => (await client.alerts.list({ limit: MOST_NAMES })).items.map(({ id }) => id),
};
