import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Batch, BatchResult } from '@baton/runner-sdk/protocol';
import type { Cli } from '../cli';
import { Ending } from '../exit-codes';
import { addExamples } from '../examples';
import { choice } from '../input/choices';
import { parseDuration } from '../input/durations';
import { parseWhole } from '../input/values';
import { detailLines } from '../terminal/details';
import { countText } from '../terminal/numbers';
import { lookOf } from '../terminal/style';
import type { Column } from '../terminal/table';
import { jsonText } from '../terminal/text';
import { progressLine } from './jobs/progress-line';

const STATUSES = ['open', 'running', 'completed', 'failed', 'cancelled'] as const;
const POLL_MS = 1000;

/** `baton batches …` */
export function addBatchCommands(program: CommandUnknownOpts, cli: Cli): void {
  const batches = program.command('batches').alias('batch').description('many jobs that are handled as one');
  addReading(batches, cli);
  addFollowing(batches, cli);
  addControls(batches, cli);
}

function addReading(batches: CommandUnknownOpts, cli: Cli): void {
  const list = batches
    .command('list')
    .alias('ls')
    .description('list the batches, newest first')
    .addOption(choice('-s, --status <status>', 'only those with this status', STATUSES))
    .option('-n, --limit <count>', 'at most so many', parseWhole(1, 500), 50)
    .option('--cursor <cursor>', 'go on after a page: the nextCursor that it printed')
    .action(async (filter) => {
      const found = await (await cli.client()).batches.list(filter);
      cli.list(found, found.items, batchColumns(cli), 'There are no batches.');
    });
  addExamples(list, [['baton batches list --status running', 'What is under way']]);

  const get = batches
    .command('get')
    .alias('show')
    .description('show one batch, with its jobs by status')
    .argument('<id>', 'id of the batch')
    .action(async (id) => {
      const batch = await (await cli.client()).batches.get(id);
      cli.show(batch, () => showBatch(cli, batch));
    });
  addExamples(get, [['baton batches get 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'How far it is']]);
}

function addFollowing(batches: CommandUnknownOpts, cli: Cli): void {
  const wait = batches
    .command('wait')
    .description('wait until it has ended, and print it; exit code 7 if it did not complete')
    .argument('<id>', 'id of the batch')
    .option('--timeout <duration>', 'wait no longer than this (exit code 9)', parseDuration)
    .action(async (id, { timeout }) => {
      const client = await cli.client();
      const line = progressLine(cli);
      const draw = async (): Promise<void> => {
        const { percent, counts } = await client.batches.get(id);
        line.draw(percent, `${countText(counts.total)} jobs`);
      };
      const timer = line.isShown ? setInterval(() => void draw().catch(() => undefined), POLL_MS) : undefined;
      const batch = await client.batches
        .wait(id, { signal: cli.listenForSignals(), ...(timeout !== undefined && { timeoutMs: timeout }) })
        .finally(() => {
          clearInterval(timer);
          line.clear();
        });
      cli.show(batch, () => showBatch(cli, batch));
      if (batch.status !== 'completed') throw new Ending('unsuccessful');
    });
  addExamples(wait, [['baton batches wait 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'In a script, until all have ended']]);

  const results = batches
    .command('results')
    .description('print what its jobs returned, in their order: one JSON value a line')
    .argument('<id>', 'id of the batch')
    .action(async (id) => {
      for await (const result of (await cli.client()).batches.results(id)) {
        if (cli.isJson) cli.terminal.jsonLine(result);
        else cli.terminal.line(resultLine(result));
      }
    });
  addExamples(results, [
    [
      'baton batches results 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10 --json > results.ndjson',
      'All of them, for a program',
    ],
  ]);
}

function addControls(batches: CommandUnknownOpts, cli: Cli): void {
  const seal = batches
    .command('seal')
    .description('take no more jobs into it, so that it ends with the last one')
    .argument('<id>', 'id of the batch')
    .action(async (id) => {
      const batch = await (await cli.client()).batches.seal(id);
      cli.show(batch, () => cli.terminal.line(`${id} is sealed, with ${countText(batch.counts.total)} jobs.`));
    });
  addExamples(seal, [['baton batches seal 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'Everything has been added']]);

  const cancel = batches
    .command('cancel')
    .description('cancel its jobs that have not ended')
    .argument('<id>', 'id of the batch')
    .option('--reason <text>', 'why; kept with it and its jobs')
    .action(async (id, { reason }) => {
      await cli.confirm(`Cancel the jobs of batch ${id} that have not ended?`);
      const batch = await (await cli.client()).batches.cancel(id, reason);
      cli.show(batch, () => showBatch(cli, batch));
    });
  addExamples(cancel, [['baton batches cancel 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'After being asked']]);

  const retry = batches
    .command('retry')
    .description('start its failed jobs again')
    .argument('<id>', 'id of the batch')
    .action(async (id) => {
      const batch = await (await cli.client()).batches.retry(id);
      cli.show(batch, () => showBatch(cli, batch));
    });
  addExamples(retry, [['baton batches retry 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'What failed, once more']]);
}

function resultLine({ jobId, index, status, result, error }: BatchResult): string {
  const told = status === 'completed' ? jsonText(result) : (error?.message ?? '');
  return `${index ?? ''}\t${jobId}\t${status}\t${told}`;
}

function showBatch(cli: Cli, batch: Batch): void {
  const { style } = cli.terminal;
  const { counts, name, id, status } = batch;
  const { total, ...byStatus } = counts;
  const details = [
    ['id', id],
    ['jobs', countText(total)],
    ['ended', `${Math.floor(batch.percent)} %`],
    ...Object.entries(byStatus).map(([one, count]) => [one, count === 0 ? null : countText(count)] as const),
    ['user', batch.userId],
    ['reason', batch.reason],
    ['created', cli.fullTime(batch.createdAt)],
    ['sealed', batch.sealed ? cli.fullTime(batch.sealedAt) : 'no'],
    ['finished', cli.fullTime(batch.finishedAt)],
  ] as const;
  cli.terminal.line(`${style('bold', name ?? 'batch')} ${style(lookOf(status), status)}`);
  for (const line of detailLines(details, style)) cli.terminal.line(line);
}

function batchColumns(cli: Cli): Column<Batch>[] {
  return [
    { title: 'ID', of: ({ id }) => id },
    { title: 'NAME', of: ({ name }) => name, least: 10, drop: 2 },
    { title: 'STATUS', of: ({ status }) => status, look: ({ status }) => lookOf(status) },
    { title: 'JOBS', of: ({ counts }) => countText(counts.total), align: 'right' },
    { title: 'ENDED', of: ({ percent }) => `${Math.floor(percent)} %`, align: 'right' },
    { title: 'FAILED', of: ({ counts }) => countText(counts.failed), align: 'right', drop: 1 },
    { title: 'CREATED', of: ({ createdAt }) => cli.time(createdAt), drop: 3 },
  ];
}
