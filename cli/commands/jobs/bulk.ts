import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { All, Bulk, BulkInBackground, BulkOperation, Client, Filter, Job } from '@baton/runner-sdk';
import type { Cli } from '../../cli';
import { Ending, Failure, isBatonError } from '../../exit-codes';
import { addExamples } from '../../examples';
import { readJson } from '../../input/json';
import { addJobFilter, jobFilterOf, requireChoice } from '../../input/job-filter';
import { parsePriority } from '../../input/values';
import { countText } from '../../terminal/numbers';

type Choice = Filter | All;
type Apply = (client: Client, choice: Choice, options: Bulk | BulkInBackground) => Promise<number | BulkOperation>;

interface BulkVerb {
  /** As in "Cancel 12 jobs?". */
  imperative: string;
  /** As in "12 jobs were cancelled". */
  participle: string;
  apply: Apply;
}

interface BulkOptions {
  all?: true | undefined;
  dryRun?: true | undefined;
  background?: true | undefined;
}

/** `jobs cancel`, `retry`, `purge`, `prioritise`, `replay` and `operation`. */
export function addBulkCommands(jobs: CommandUnknownOpts, cli: Cli): void {
  addCancel(jobs, cli);
  addRetry(jobs, cli);
  addPurge(jobs, cli);
  addPrioritise(jobs, cli);
  addReplay(jobs, cli);
  const operation = jobs
    .command('operation')
    .description('show how far a change of many jobs has come that was started with --background')
    .argument('<id>', 'id of the operation')
    .option('--cancel', 'end it; what it has changed stays changed')
    .action(async (id, { cancel }) => {
      const client = await cli.client();
      showOperation(cli, await (cancel === true ? client.cancelBulkOperation(id) : client.bulkOperation(id)));
    });
  addExamples(operation, [
    ['baton jobs operation 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'How far it is'],
    ['baton jobs operation 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10 --cancel', 'No further'],
  ]);
}

function addCancel(jobs: CommandUnknownOpts, cli: Cli): void {
  const cancel = jobs
    .command('cancel')
    .description('cancel jobs, running ones too: by their ids, or all that match a filter')
    .argument('[id...]', 'ids of jobs')
    .option('--reason <text>', 'why; kept with the jobs')
    .option('--all', 'every job that is not finished, instead of a filter')
    .option('--dry-run', 'only count the jobs')
    .option('--background', 'answer at once, and go on in the coordinator')
    .action(async (ids, options, command) => {
      const { reason } = options;
      if (ids.length > 0) return each(cli, command, ids, (client, id) => client.cancel(id, reason));
      await inBulk(cli, command, options, {
        imperative: 'Cancel',
        participle: 'cancelled',
        apply: (client, choice, bulk) => client.cancelAll(choice, { ...bulk, ...(reason !== undefined && { reason }) }),
      });
    });
  addJobFilter(cancel);
  addExamples(cancel, [
    ['baton jobs cancel 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10 --reason "wrong address"', 'One job'],
    ['baton jobs cancel --queue mail --status pending', 'All that wait in a queue, after being asked'],
    ['baton jobs cancel --tag import-17 --dry-run', 'How many there would be'],
  ]);
}

function addRetry(jobs: CommandUnknownOpts, cli: Cli): void {
  const retry = jobs
    .command('retry')
    .description('start failed and cancelled jobs again from their first try: by their ids, or all that match a filter')
    .argument('[id...]', 'ids of jobs')
    .option('--all', 'every failed and cancelled job, instead of a filter')
    .option('--dry-run', 'only count the jobs')
    .option('--background', 'answer at once, and go on in the coordinator')
    .action(async (ids, options, command) => {
      if (ids.length > 0) return each(cli, command, ids, (client, id) => client.retry(id));
      await inBulk(cli, command, options, {
        imperative: 'Retry',
        participle: 'started again',
        apply: (client, choice, bulk) => client.retryAll(choice, bulk),
      });
    });
  addJobFilter(retry);
  addExamples(retry, [
    ['baton jobs retry 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'One job'],
    ['baton jobs retry --status failed --type SEND_MAIL --finished-after 1h', 'What failed in the last hour'],
  ]);
}

function addPurge(jobs: CommandUnknownOpts, cli: Cli): void {
  const purge = jobs
    .command('purge')
    .description('delete finished jobs that match a filter for good; needs a key of role admin')
    .option('--all', 'every finished job, instead of a filter')
    .option('--dry-run', 'only count the jobs')
    .option('--background', 'answer at once, and go on in the coordinator')
    .action(async (options, command) =>
      inBulk(cli, command, options, {
        imperative: 'Delete for good',
        participle: 'deleted',
        apply: (client, choice, bulk) => client.purgeAll(choice, bulk),
      }),
    );
  addJobFilter(purge);
  addExamples(purge, [['baton jobs purge --status completed --finished-before 30d --yes', 'Old completed jobs']]);
}

function addPrioritise(jobs: CommandUnknownOpts, cli: Cli): void {
  const prioritise = jobs
    .command('prioritise')
    .alias('prioritize')
    .description('give waiting jobs that match a filter another priority')
    .argument('<priority>', 'high, normal, low, or -100 to 100', parsePriority)
    .option('--all', 'every waiting job, instead of a filter')
    .option('--dry-run', 'only count the jobs')
    .option('--background', 'answer at once, and go on in the coordinator')
    .action(async (priority, options, command) =>
      inBulk(cli, command, options, {
        imperative: `Give priority ${priority} to`,
        participle: `given priority ${priority}`,
        apply: (client, choice, bulk) => client.prioritiseAll(choice, priority, bulk),
      }),
    );
  addJobFilter(prioritise);
  addExamples(prioritise, [['baton jobs prioritise high --user ada', 'One user first']]);
}

function addReplay(jobs: CommandUnknownOpts, cli: Cli): void {
  const replay = jobs
    .command('replay')
    .description('create finished jobs that match a filter again as new jobs, in the background')
    .option('--all', 'every finished job, instead of a filter')
    .option('--new-arguments <json>', 'arguments of the new jobs; default: those of the old ones')
    .option('--new-queue <queue>', 'queue of the new jobs; default: that of the old ones')
    .option('--new-priority <priority>', 'priority of the new jobs; default: that of the old ones', parsePriority)
    .option('--idempotency-key <key>', 'another one creates them once more')
    .action(async (options, command) => {
      const choice = await requireChoice(cli, command, options.all);
      const client = await cli.client();
      const changes = {
        arguments:
          options.newArguments === undefined
            ? undefined
            : await readJson(options.newArguments, '--new-arguments', cli.terminal.streams),
        queue: options.newQueue,
        priority: options.newPriority,
        idempotencyKey: options.idempotencyKey,
      };
      const present = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
      const { count, isMore } = await client.count('all' in choice ? {} : choice);
      await cli.confirm(`Create ${countText(count)}${isMore ? ' or more' : ''} jobs again?`);
      showOperation(cli, await client.replayAll(choice, present));
    });
  addJobFilter(replay);
  addExamples(replay, [
    ['baton jobs replay --type RENDER --finished-after 1d --new-queue slow', 'Yesterday once more, in another queue'],
  ]);
}

/** Counts the jobs first, and asks for confirmation unless told not to. */
async function inBulk(
  cli: Cli,
  command: CommandUnknownOpts,
  { all, dryRun, background }: BulkOptions,
  { imperative, participle, apply }: BulkVerb,
): Promise<void> {
  const choice = await requireChoice(cli, command, all);
  const client = await cli.client();
  if (dryRun === true || cli.options.yes !== true) {
    const count = await apply(client, choice, { dryRun: true });
    if (dryRun === true) {
      return cli.show({ count, dryRun: true }, () =>
        cli.terminal.line(`${countText(Number(count))} jobs would be ${participle}.`),
      );
    }
    await cli.confirm(`${imperative} ${countText(Number(count))} jobs?`);
  }
  const done = await apply(client, choice, background === true ? { background } : {});
  if (typeof done === 'object') showOperation(cli, done);
  else cli.show({ count: done }, () => cli.terminal.line(`${countText(done)} jobs were ${participle}.`));
}

/** One after the other; a refusal does not stop the others. */
async function each(
  cli: Cli,
  command: CommandUnknownOpts,
  ids: readonly string[],
  act: (client: Client, id: string) => Promise<Job>,
): Promise<void> {
  if (Object.keys(await jobFilterOf(cli, command)).length > 0 || command.opts()['all'] === true)
    throw new Failure('usage', 'ids and a filter stand beside each other', 'Give one of the two.');
  const client = await cli.client();
  const changed: Job[] = [];
  for (const id of ids) {
    try {
      const job = await act(client, id);
      changed.push(job);
      if (!cli.isJson) cli.terminal.line(`${job.id}  ${job.type} is ${job.status}`);
    } catch (error) {
      if (!isBatonError(error) || ids.length === 1 || !['not_found', 'state_conflict'].includes(error.code))
        throw error;
      cli.terminal.note(`${id}: ${error.detail} (${error.code})`);
    }
  }
  if (cli.isJson) cli.terminal.json(ids.length === 1 ? changed[0] : { items: changed });
  if (changed.length < ids.length) throw new Ending('incomplete');
}

function showOperation(cli: Cli, operation: BulkOperation): void {
  cli.show(operation, () => {
    const { id, verb, status, matched, changed, error } = operation;
    cli.terminal.line(`${id}  ${verb} ${status}: ${countText(changed)} of ${countText(matched)} jobs`);
    if (error !== null) cli.note(`${status === 'failed' ? 'Because' : 'Waits'}: ${error.message} (${error.code})`);
    if (status === 'running') cli.note(`Look again with: baton jobs operation ${id}`);
  });
}
