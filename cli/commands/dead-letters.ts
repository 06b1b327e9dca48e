import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { DeadLetterFilter, DeadLetterGroup } from '@baton/runner-sdk';
import type { Cli } from '../cli';
import { Failure } from '../exit-codes';
import { addExamples } from '../examples';
import { parseDuration } from '../input/durations';
import { readJson } from '../input/json';
import { addJobFilter, jobFilterOf, requireChoice } from '../input/job-filter';
import { parseWhole } from '../input/values';
import { countText } from '../terminal/numbers';
import type { Column } from '../terminal/table';
import { jobColumns } from './jobs/columns';
import { showJob } from './jobs/show';

/** `baton dead-letters …` */
export function addDeadLetterCommands(program: CommandUnknownOpts, cli: Cli): void {
  const letters = program
    .command('dead-letters')
    .alias('dlq')
    .description('look at jobs that failed for good, and start them again');
  addReading(letters, cli);
  addRetry(letters, cli);
  addRemoval(letters, cli);
}

function addReading(letters: CommandUnknownOpts, cli: Cli): void {
  const list = letters
    .command('list')
    .alias('ls')
    .description('list dead letters, newest first')
    .option('-n, --limit <count>', 'at most so many', parseWhole(1, 500), 50)
    .option('--cursor <cursor>', 'go on after a page: the nextCursor that it printed')
    .action(async ({ limit, cursor }, command) => {
      const filter = (await jobFilterOf(cli, command)) as DeadLetterFilter;
      const page = await (await cli.client()).deadLetters.list({ ...filter, limit, cursor });
      cli.list(page, page.items, jobColumns(cli), 'There are no dead letters.');
      if (page.nextCursor !== null) cli.note(`There are more; go on with --cursor ${page.nextCursor}`);
    });
  addJobFilter(list, ['status']);
  addExamples(list, [
    ['baton dead-letters list --queue mail --finished-after 1d', 'What failed for good since yesterday'],
  ]);

  const groups = letters
    .command('groups')
    .description('group dead letters by what they failed of, the largest groups first')
    .option('-n, --limit <count>', 'at most so many', parseWhole(1, 500), 50)
    .action(async ({ limit }, command) => {
      const filter = (await jobFilterOf(cli, command)) as DeadLetterFilter;
      const items = await (await cli.client()).deadLetters.groups({ ...filter, limit });
      cli.list({ items }, items, groupColumns(cli), 'There are no dead letters.');
    });
  addJobFilter(groups, ['status']);
  addExamples(groups, [['baton dead-letters groups', 'What goes wrong most']]);

  const get = letters
    .command('get')
    .alias('show')
    .description('show one dead letter')
    .argument('<id>', 'id of the job')
    .action(async (id) => {
      const letter = await (await cli.client()).deadLetters.get(id);
      cli.show(letter, () => {
        showJob(cli, letter);
        if (letter.fingerprint !== null)
          cli.note(`Others like it: baton dead-letters list --fingerprint ${letter.fingerprint}`);
      });
    });
  addExamples(get, [['baton dead-letters get 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'What it failed of']]);
}

function addRetry(letters: CommandUnknownOpts, cli: Cli): void {
  const retry = letters
    .command('retry')
    .description('start dead letters again from their first try: one, or all that match a filter')
    .argument('[id]', 'id of a job')
    .option('--new-arguments <json>', 'other arguments, for the one that is named')
    .option('--all', 'every dead letter, instead of a filter')
    .option('--dry-run', 'only count them')
    .action(async (id, { newArguments, all, dryRun }, command) => {
      const client = await cli.client();
      if (id !== undefined) {
        const options =
          newArguments === undefined
            ? {}
            : { arguments: await readJson(newArguments, '--new-arguments', cli.terminal.streams) };
        const job = await client.deadLetters.retry(id, options as Parameters<typeof client.deadLetters.retry>[1]);
        return cli.show(job, () => cli.terminal.line(`${job.id}  ${job.type} is ${job.status}`));
      }
      if (newArguments !== undefined) throw new Failure('usage', '--new-arguments needs the id of one job');
      const choice = await requireChoice(cli, command, all);
      const matching = await client.deadLetters.retryAll(choice, { dryRun: true });
      if (dryRun === true)
        return cli.show({ count: matching, dryRun: true }, () =>
          cli.terminal.line(`${countText(matching)} jobs would be started again.`),
        );
      await cli.confirm(`Start ${countText(matching)} jobs again?`);
      const count = await client.deadLetters.retryAll(choice);
      cli.show({ count }, () => cli.terminal.line(`${countText(count)} jobs were started again.`));
    });
  addJobFilter(retry, ['status']);
  addExamples(retry, [
    ['baton dead-letters retry --fingerprint 5f2c9d0e6b7a4c31', 'A whole group, once its cause is mended'],
    [
      `baton dead-letters retry 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10 --new-arguments '{"to":"ada@example.com"}'`,
      'One, mended',
    ],
  ]);
}

function addRemoval(letters: CommandUnknownOpts, cli: Cli): void {
  const remove = letters
    .command('delete')
    .alias('rm')
    .description('delete one dead letter for good; needs a key of role admin')
    .argument('<id>', 'id of the job')
    .action(async (id) => {
      await cli.confirm(`Delete job ${id} and its history for good?`);
      await (await cli.client()).deadLetters.delete(id);
      cli.show({ id, deleted: true }, () => cli.terminal.line(`${id} is deleted.`));
    });
  addExamples(remove, [['baton dead-letters delete 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'After being asked']]);

  const cleanup = letters
    .command('cleanup')
    .description('delete old dead letters for good; needs a key of role admin')
    .option('--older-than <duration>', 'those that failed longer ago, such as 30d', parseDuration)
    .option('--all', 'every dead letter')
    .action(async ({ olderThan, all }) => {
      if ((olderThan === undefined) === (all === undefined))
        throw new Failure('usage', 'nothing says which dead letters are meant', 'Give --older-than, or --all.');
      await cli.confirm('Delete these dead letters and their history for good?');
      const what = olderThan === undefined ? { all: true as const } : { olderThanMs: olderThan };
      const count = await (await cli.client()).deadLetters.cleanup(what);
      cli.show({ count }, () => cli.terminal.line(`${countText(count)} jobs were deleted.`));
    });
  addExamples(cleanup, [['baton dead-letters cleanup --older-than 30d --yes', 'In a nightly script']]);
}

function groupColumns(cli: Cli): Column<DeadLetterGroup>[] {
  return [
    { title: 'COUNT', of: (group) => countText(group.count), align: 'right' },
    { title: 'TYPE', of: (group) => group.type, least: 10 },
    { title: 'CODE', of: (group) => group.code, least: 8, drop: 3 },
    { title: 'ERROR', of: (group) => group.pattern, least: 16 },
    { title: 'LATEST', of: (group) => cli.time(group.lastAt), drop: 1 },
    { title: 'FIRST', of: (group) => cli.time(group.firstAt), drop: 2 },
    { title: 'FINGERPRINT', of: (group) => group.fingerprint },
  ];
}
