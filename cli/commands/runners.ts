import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Client, RunnerView } from '@baton/runner-sdk';
import type { Cli } from '../cli';
import { addExamples } from '../examples';
import { lookOf } from '../terminal/style';
import type { Column } from '../terminal/table';

/** `baton runners …` */
export function addRunnerCommands(program: CommandUnknownOpts, cli: Cli): void {
  const runners = program.command('runners').alias('runner').description('look at runners, drain them');

  const list = runners
    .command('list')
    .alias('ls')
    .description('list the runners that the coordinator knows of')
    .option('-a, --all', 'those too that have said goodbye')
    .action(async ({ all }) => {
      const items = await allRunners(await cli.client());
      const shown = all === true ? items : items.filter(({ status }) => status !== 'stopped');
      cli.list({ items: shown }, shown, runnerColumns(cli), 'No runner is there.');
      if (shown.length < items.length) cli.note(`${items.length - shown.length} have stopped; --all lists them too.`);
    });
  addExamples(list, [['baton runners list', 'Who is there, and what each can do']]);

  const drain = runners
    .command('drain')
    .description('give a runner no more work; what it runs it finishes')
    .argument('<id...>', 'ids of runners')
    .action(async (ids) => {
      const client = await cli.client();
      for (const id of ids) {
        const runner = await client.drainRunner(id);
        if (cli.isJson) cli.terminal.jsonLine(runner);
        else cli.terminal.line(`${id} drains; it still runs ${runner.running} jobs.`);
      }
    });
  addExamples(drain, [['baton runners drain worker-7', 'Before its host is taken away']]);

  const resume = runners
    .command('resume')
    .description('give a drained runner work again')
    .argument('<id...>', 'ids of runners')
    .action(async (ids) => {
      const client = await cli.client();
      for (const id of ids) {
        const runner = await client.resumeRunner(id);
        if (cli.isJson) cli.terminal.jsonLine(runner);
        else cli.terminal.line(`${id} gets work again.`);
      }
    });
  addExamples(resume, [['baton runners resume worker-7', 'Give it work again']]);
}

/** Every known runner. */
export async function allRunners(client: Client): Promise<RunnerView[]> {
  const items: RunnerView[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await client.runners({ limit: 500, cursor });
    items.push(...page.items);
    if (page.nextCursor === null) return items;
    cursor = page.nextCursor;
  }
}

function runnerColumns(cli: Cli): Column<RunnerView>[] {
  return [
    { title: 'RUNNER', of: (runner) => runner.id, least: 12 },
    { title: 'STATUS', of: (runner) => runner.status, look: (runner) => lookOf(runner.status) },
    { title: 'RUNNING', of: (runner) => runner.running, align: 'right' },
    { title: 'SEEN', of: (runner) => cli.time(runner.lastSeenAt), drop: 1 },
    { title: 'SINCE', of: (runner) => cli.time(runner.firstSeenAt), drop: 5 },
    { title: 'VERSION', of: (runner) => runner.version, least: 6, drop: 4 },
    { title: 'PROTOCOL', of: (runner) => runner.protocol, align: 'right', drop: 7 },
    { title: 'QUEUES', of: (runner) => runner.queues?.join(', ') ?? 'all', least: 8, drop: 3 },
    { title: 'TYPES', of: (runner) => runner.types.join(', '), least: 10, drop: 2 },
    { title: 'LABELS', of: labelsOf, least: 8, drop: 6 },
  ];
}

function labelsOf({ labels }: RunnerView): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(', ');
}
