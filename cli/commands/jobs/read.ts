import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { AttemptView, Client, Filter, JobListPage } from '@baton/runner-sdk';
import type { Cli } from '../../cli';
import { addExamples } from '../../examples';
import { addJobFilter, jobFilterOf } from '../../input/job-filter';
import { parseWhole } from '../../input/values';
import { countText } from '../../terminal/numbers';
import { lookOf } from '../../terminal/style';
import { clean, jsonText } from '../../terminal/text';
import { durationText } from '../../terminal/time';
import { jobColumns } from './columns';
import { showJob } from './show';

const MOST_A_PAGE = 500;

/** `jobs list`, `count`, `get`, `attempts` and `explain`. */
export function addReadCommands(jobs: CommandUnknownOpts, cli: Cli): void {
  const list = jobs
    .command('list')
    .alias('ls')
    .description('list jobs, newest first')
    .option('-n, --limit <count>', 'at most so many', parseWhole(1, MOST_A_PAGE), 50)
    .option('--cursor <cursor>', 'go on after a page: the nextCursor that it printed')
    .option('--all', 'all that match, page after page')
    .action(async ({ limit, cursor, all }, command) => {
      const filter = await jobFilterOf(cli, command);
      const client = await cli.client();
      const page = all === true ? await everyPage(client, filter) : await client.list({ ...filter, limit, cursor });
      cli.list(page, page.items, jobColumns(cli), 'No jobs match.');
      if (page.nextCursor !== null) cli.note(`There are more; go on with --cursor ${page.nextCursor}, or --all`);
    });
  addJobFilter(list);
  addExamples(list, [
    ['baton jobs list --status failed --queue mail', 'Failed jobs of one queue'],
    [
      'baton jobs list --status running,pending --created-after 2h',
      'What was created in the last two hours and is not done',
    ],
    [`baton jobs list --arguments '{"movieId":603}' --all --json`, 'All jobs about one movie, for a program'],
  ]);

  const count = jobs
    .command('count')
    .description('count jobs')
    .option('--most <count>', 'count exactly up to so many', parseWhole(1, 100_000), 10_000)
    .action(async ({ most }, command) => {
      const counted = await (await cli.client()).count(await jobFilterOf(cli, command), { most });
      cli.show(counted, () => cli.terminal.line(`${countText(counted.count)}${counted.isMore ? ' or more' : ''}`));
    });
  addJobFilter(count);
  addExamples(count, [['baton jobs count --status pending --queue mail', 'How many jobs wait in a queue']]);

  const get = jobs
    .command('get')
    .alias('show')
    .description('show one job: its state, times, arguments, result and error')
    .argument('<id>', 'id of the job')
    .option('--result', 'print its result alone, as JSON')
    .action(async (id, { result }) => {
      const job = await (await cli.client()).get(id);
      if (result === true) cli.terminal.line(jsonText(job.result, 2));
      else cli.show(job, () => showJob(cli, job));
    });
  addExamples(get, [
    ['baton jobs get 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'All that is known of a job'],
    ['baton jobs get 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10 --result', 'Its result, to be piped into another program'],
  ]);

  const attempts = jobs
    .command('attempts')
    .description('list the attempts of a job: who ran it, how long, and how it ended')
    .argument('<id>', 'id of the job')
    .action(async (id) => {
      const items = await (await cli.client()).attempts(id);
      cli.list({ items }, items, attemptColumns(cli), 'It was never claimed.');
    });
  addExamples(attempts, [['baton jobs attempts 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'Every try of a job']]);

  const explain = jobs
    .command('explain')
    .description('say why a job does not run: no runner, a limit, a pause, its place in line …')
    .argument('<id>', 'id of the job')
    .action(async (id) => {
      const explanation = await (await cli.client()).explain(id);
      cli.show(explanation, () => {
        const { style } = cli.terminal;
        cli.terminal.line(style(lookOf(explanation.status), explanation.status));
        for (const { code, message } of explanation.reasons)
          cli.terminal.line(`  ${clean(message)} ${style('dim', `(${code})`)}`);
        for (const note of explanation.notes) cli.terminal.line(`  note: ${clean(note.message)}`);
      });
    });
  addExamples(explain, [['baton jobs explain 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'What a job waits for']]);
}

async function everyPage(client: Client, filter: Filter): Promise<JobListPage> {
  const items: JobListPage['items'] = [];
  for await (const job of client.listAll(filter)) items.push(job);
  return { items, nextCursor: null };
}

function attemptColumns(cli: Cli) {
  return [
    { title: 'NO', of: (one: AttemptView) => one.attempt, align: 'right' as const },
    { title: 'OUTCOME', of: (one: AttemptView) => one.outcome, look: (one: AttemptView) => lookOf(one.outcome) },
    { title: 'STARTED', of: (one: AttemptView) => cli.time(one.startedAt) },
    { title: 'TOOK', of: tookOf, align: 'right' as const, drop: 2 },
    { title: 'RUNNER', of: (one: AttemptView) => one.runnerId, least: 8, drop: 3 },
    { title: 'ERROR', of: (one: AttemptView) => one.error?.message, least: 12, drop: 1 },
  ];
}

function tookOf({ startedAt, finishedAt }: AttemptView): string | null {
  return finishedAt === null ? null : durationText(Date.parse(finishedAt) - Date.parse(startedAt));
}
