import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Analytics, Stats } from '@baton/runner-sdk';
import type { Cli } from '../cli';
import { addExamples } from '../examples';
import { choice } from '../input/choices';
import { STATUSES } from '../input/job-filter';
import { parseWhole } from '../input/values';
import { countText, percentText } from '../terminal/numbers';
import { lookOf } from '../terminal/style';
import type { Column } from '../terminal/table';
import { durationText } from '../terminal/time';

const GROUPS = ['queue', 'type', 'user', 'runner'] as const;
const RANGES = ['1h', '24h', '7d', '30d'] as const;
const MOST_QUEUES = 10;

/** `baton stats` */
export function addStatsCommand(program: CommandUnknownOpts, cli: Cli): void {
  const stats = program
    .command('stats')
    .description('show how it stands now; with --by or --range, what ended within a range')
    .addOption(choice('--by <what>', 'over a range, grouped by this; default: queue', GROUPS))
    .addOption(choice('--range <range>', 'how far back; default: 24h', RANGES))
    .option('-n, --limit <count>', 'at most so many of them', parseWhole(1, 500), 50)
    .action(async ({ by, range, limit }) => {
      const client = await cli.client();
      if (by === undefined && range === undefined) {
        const now = await client.stats();
        return cli.show(now, () => showStats(cli, now));
      }
      const analytics = await client.analytics({ by, range, limit });
      cli.list(analytics, analytics.items, analyticsColumns(analytics.by), 'Nothing ended within that time.');
      if (analytics.omitted > 0) cli.note(`${analytics.omitted} more are left out; --limit takes up to 500.`);
    });
  addExamples(stats, [
    ['baton stats', 'How it stands now'],
    ['baton stats --by type --range 7d', 'Which kinds of jobs fail or take long, over a week'],
  ]);
}

function showStats(cli: Cli, stats: Stats): void {
  const { style } = cli.terminal;
  const { lastHour } = stats;
  cli.terminal.line(
    STATUSES.map((status) => `${style(lookOf(status), status)} ${countText(stats.jobs[status])}`).join('   '),
  );
  const oldest = stats.oldestAgeMs === null ? 'nothing waits' : `the oldest waits ${durationText(stats.oldestAgeMs)}`;
  cli.terminal.line(`${countText(stats.inPerMinute)} in and ${countText(stats.outPerMinute)} out a minute; ${oldest}`);
  if (stats.runners !== null)
    cli.terminal.line(
      `${stats.runners.total} runners, ${stats.runners.active} of them busy; ${countText(stats.deadLetters)} dead letters`,
    );
  const { p50, p99 } = lastHour.runMs;
  const took =
    p50 === null || p99 === null ? '' : `; half took ${durationText(p50)} at most, 99 % ${durationText(p99)}`;
  cli.terminal.line(
    `last hour: ${countText(lastHour.jobs.completed)} completed, ${countText(lastHour.jobs.failed)} failed${took}`,
  );
  if (stats.queues.length === 0) return;
  cli.terminal.line();
  cli.terminal.table(
    [
      { title: 'QUEUE', of: (queue) => queue.name, least: 10 },
      { title: 'WAITING', of: (queue) => countText(queue.waiting), align: 'right' },
      { title: 'RUNNING', of: (queue) => countText(queue.running), align: 'right' },
      {
        title: 'OLDEST',
        of: (queue) => (queue.oldestAgeMs === null ? null : durationText(queue.oldestAgeMs)),
        align: 'right',
      },
      { title: 'IN/MIN', of: (queue) => countText(queue.inPerMinute), align: 'right', drop: 1 },
      { title: 'OUT/MIN', of: (queue) => countText(queue.outPerMinute), align: 'right', drop: 1 },
    ],
    stats.queues.slice(0, MOST_QUEUES),
  );
}

function analyticsColumns(by: string): Column<Analytics['items'][number]>[] {
  const ms = (value: number | null): string | null => (value === null ? null : durationText(value));
  return [
    { title: by.toUpperCase(), of: (item) => item.key, least: 10 },
    { title: 'COMPLETED', of: (item) => countText(item.jobs.completed), align: 'right' },
    { title: 'FAILED', of: (item) => countText(item.jobs.failed), align: 'right' },
    { title: 'SUCCESS', of: (item) => percentText(item.successRate), align: 'right' },
    { title: 'RETRIES', of: (item) => countText(item.retries), align: 'right', drop: 3 },
    { title: 'WAIT P50', of: (item) => ms(item.waitMs.p50), align: 'right', drop: 2 },
    { title: 'WAIT P99', of: (item) => ms(item.waitMs.p99), align: 'right', drop: 4 },
    { title: 'RUN P50', of: (item) => ms(item.runMs.p50), align: 'right', drop: 1 },
    { title: 'RUN P99', of: (item) => ms(item.runMs.p99), align: 'right', drop: 3 },
    { title: 'COST', of: (item) => (item.cost === 0 ? null : item.cost.toFixed(2)), align: 'right', drop: 5 },
  ];
}
