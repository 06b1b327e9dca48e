import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Client } from '@baton/runner-sdk';
import type { Schedule, ScheduleTick } from '@baton/runner-sdk/protocol';
import type { Cli } from '../cli';
import { Failure } from '../exit-codes';
import { addExamples } from '../examples';
import { choice } from '../input/choices';
import { parseDuration, parseFutureTime, parsePastTime } from '../input/durations';
import { readJson } from '../input/json';
import { parsePriority, parseWhole } from '../input/values';
import { detailLines } from '../terminal/details';
import { lookOf } from '../terminal/style';
import type { Column } from '../terminal/table';
import { durationText } from '../terminal/time';

const OVERLAPS = ['allow', 'skip', 'buffer_one', 'cancel_previous'] as const;
const CATCH_UPS = ['none', 'latest', 'all'] as const;

/** `baton schedules …` */
export function addScheduleCommands(program: CommandUnknownOpts, cli: Cli): void {
  const schedules = program
    .command('schedules')
    .alias('schedule')
    .description('jobs by cron expressions, in time zones');
  addPut(schedules, cli);
  addReading(schedules, cli);
  addControls(schedules, cli);
}

function addPut(schedules: CommandUnknownOpts, cli: Cli): void {
  const put = schedules
    .command('put')
    .description('make the schedule of this name, or replace its settings')
    .argument('<name>', 'its name')
    .argument('<type>', 'type of the jobs that it creates')
    .argument('[arguments]', 'their arguments as JSON, @file, or - for standard input; default: {}')
    .option('--cron <expression>', 'when it ticks, in five or six fields, such as "0 2 * * MON-FRI"')
    .option('--every <duration>', 'instead of --cron: how often it ticks, such as 15m', parseDuration)
    .option('--timezone <zone>', 'IANA zone of the cron expression, such as Europe/Lisbon; default: UTC')
    .addOption(choice('--overlap <policy>', 'what happens while an earlier job is unfinished', OVERLAPS))
    .addOption(choice('--catch-up <policy>', 'which missed ticks are made up for', CATCH_UPS))
    .option('--jitter <duration>', 'spread its ticks over so long, by a fixed amount each schedule', parseDuration)
    .option('--starts <time>', 'no tick before this time, or within 2h', parseFutureTime)
    .option('--ends <time>', 'no tick after this time, or after 2h', parseFutureTime)
    .option('--max-runs <count>', 'it ends after so many jobs', parseWhole(1, 1_000_000_000))
    .option('-Q, --queue <queue>', 'queue of its jobs; default: "default"')
    .option('-p, --priority <priority>', 'of its jobs: high, normal, low, or -100 to 100', parsePriority)
    .option('-u, --user <userId>', 'whose schedule it is')
    .action(async (name, type, args, options) => {
      if ((options.cron === undefined) === (options.every === undefined))
        throw new Failure(
          'usage',
          'give either --cron or --every',
          'Such as --cron "0 2 * * *" --timezone Europe/Lisbon.',
        );
      const jobArguments =
        args === undefined ? {} : await readJson(args, 'the value for arguments', cli.terminal.streams);
      const job = present({ queue: options.queue, priority: options.priority });
      const timing = present({
        cron: options.cron,
        everyMs: options.every,
        timezone: options.timezone,
        overlap: options.overlap,
        catchUp: options.catchUp,
        jitterMs: options.jitter,
        startsAt: options.starts,
        endsAt: options.ends,
        maxRuns: options.maxRuns,
        userId: options.user,
      });
      const client = await cli.client();
      const schedule = await client.schedules.put(type, jobArguments, { ...timing, name, job });
      cli.show(schedule, () => showSchedule(cli, schedule));
    });
  addExamples(put, [
    [
      `baton schedules put nightly REPORT '{"kind":"daily"}' --cron "0 2 * * *" --timezone Europe/Lisbon`,
      'Every night at two, there',
    ],
    ['baton schedules put sync SYNC --every 15m --overlap skip', 'Every quarter of an hour, one at a time'],
  ]);
}

function addReading(schedules: CommandUnknownOpts, cli: Cli): void {
  const list = schedules
    .command('list')
    .alias('ls')
    .description('list the schedules, oldest first')
    .option('-n, --limit <count>', 'at most so many', parseWhole(1, 500), 50)
    .option('--cursor <cursor>', 'go on after a page: the nextCursor that it printed')
    .action(async (page) => {
      const found = await (await cli.client()).schedules.list(page);
      cli.list(found, found.items, scheduleColumns(cli), 'There are no schedules.');
    });
  addExamples(list, [['baton schedules list', 'What ticks, and when next']]);

  const get = schedules
    .command('get')
    .alias('show')
    .description('show one schedule, with its next ticks')
    .argument('<schedule>', 'its id, or its name')
    .option('--next <count>', 'so many of its next ticks', parseWhole(1, 100), 5)
    .action(async (named, { next }) => {
      const client = await cli.client();
      const schedule = await find(client, named);
      const ticks = await client.schedules.next(schedule.id, { count: next });
      cli.show({ ...schedule, next: ticks }, () => {
        showSchedule(cli, schedule);
        for (const tick of ticks) cli.terminal.line(`  ${zoned(tick, schedule.timezone)}  ${cli.time(tick) ?? ''}`);
      });
    });
  addExamples(get, [['baton schedules get nightly', 'Its policies, and when it ticks next']]);

  const ticks = schedules
    .command('ticks')
    .description('what became of its ticks, latest first')
    .argument('<schedule>', 'its id, or its name')
    .option('-n, --limit <count>', 'at most so many', parseWhole(1, 500), 20)
    .action(async (named, page) => {
      const client = await cli.client();
      const found = await client.schedules.ticks((await find(client, named)).id, page);
      cli.list(found, found.items, tickColumns(cli), 'It has not ticked yet.');
    });
  addExamples(ticks, [['baton schedules ticks nightly', 'Which jobs it made, and why it made none']]);
}

function addControls(schedules: CommandUnknownOpts, cli: Cli): void {
  const pause = schedules
    .command('pause')
    .description('let it tick no more')
    .argument('<schedule>', 'its id, or its name')
    .option('--reason <text>', 'why; shown to everybody who looks at it')
    .action(async (named, { reason }) => {
      const client = await cli.client();
      const schedule = await client.schedules.pause((await find(client, named)).id, reason);
      cli.show(schedule, () => cli.terminal.line(`${schedule.name} is paused.`));
    });
  addExamples(pause, [['baton schedules pause nightly --reason "the report is rewritten"', 'Until it is resumed']]);

  const resume = schedules
    .command('resume')
    .description('let it tick again; ticks of the pause are not made up for')
    .argument('<schedule>', 'its id, or its name')
    .action(async (named) => {
      const client = await cli.client();
      const schedule = await client.schedules.resume((await find(client, named)).id);
      cli.show(schedule, () =>
        cli.terminal.line(`${schedule.name} ticks again, ${cli.time(schedule.nextAt) ?? 'never'}.`),
      );
    });
  addExamples(resume, [['baton schedules resume nightly', 'From its next tick on']]);

  const run = schedules
    .command('run')
    .description('create its job now')
    .argument('<schedule>', 'its id, or its name')
    .action(async (named) => {
      const client = await cli.client();
      const job = await client.schedules.run((await find(client, named)).id);
      cli.show(job, () => cli.terminal.line(`${job.id}  ${job.type} in ${job.queue}, ${job.status}`));
    });
  addExamples(run, [['baton schedules run nightly', 'Once, by hand']]);

  const backfill = schedules
    .command('backfill')
    .description('create the jobs of past ticks that have created none')
    .argument('<schedule>', 'its id, or its name')
    .requiredOption('--from <time>', 'the first tick: a time, or how long ago', parsePastTime)
    .option('--to <time>', 'the last one; default: now', parsePastTime)
    .action(async (named, { from, to }) => {
      const client = await cli.client();
      const { id, name } = await find(client, named);
      const done = await client.schedules.backfill(id, { from, to: to ?? new Date().toISOString() });
      cli.show(done, () => cli.terminal.line(`${name}: ${JSON.stringify(done)}`));
    });
  addExamples(backfill, [['baton schedules backfill nightly --from 3d', 'What the last three days missed']]);

  const remove = schedules
    .command('delete')
    .alias('rm')
    .description('delete it with its history; jobs that it created stay')
    .argument('<schedule>', 'its id, or its name')
    .action(async (named) => {
      const client = await cli.client();
      const { id, name } = await find(client, named);
      await cli.confirm(`Delete the schedule ${name}?`);
      await client.schedules.delete(id);
      cli.show({ id, deleted: true }, () => cli.terminal.line(`${name} is deleted.`));
    });
  addExamples(remove, [['baton schedules delete nightly', 'After being asked']]);
}

/** By id, or by a name that one schedule alone has. */
async function find(client: Client, named: string): Promise<Schedule> {
  if (/^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(named)) return client.schedules.get(named);
  const { items } = await client.schedules.list({ name: named, limit: 2 });
  const [only] = items;
  if (only === undefined)
    throw new Failure('not_found', `there is no schedule ${named}`, 'baton schedules list shows them.');
  if (items.length > 1)
    throw new Failure('usage', `several users have a schedule ${named}`, 'Name it by its id: baton schedules list.');
  return only;
}

function present(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function timesOf({ cron, everyMs, timezone }: Schedule): string {
  if (cron === null) return `every ${durationText(everyMs ?? 0)}`;
  return timezone === 'UTC' ? cron : `${cron} in ${timezone}`;
}

function zoned(at: string, timeZone: string): string {
  return new Date(at).toLocaleString('sv-SE', { timeZone });
}

function showSchedule(cli: Cli, schedule: Schedule): void {
  const { style } = cli.terminal;
  const { name, status, job, paused } = schedule;
  const details = [
    ['id', schedule.id],
    ['ticks', timesOf(schedule)],
    ['next', cli.fullTime(schedule.nextAt)],
    ['last', cli.fullTime(schedule.lastTickAt)],
    ['creates', `${job.type} in ${job.queue}`],
    ['jobs', String(schedule.runs)],
    ['overlap', schedule.overlap],
    ['catch up', schedule.catchUp],
    ['user', schedule.userId],
    ['paused', paused === null ? null : `by ${paused.by}${paused.reason === null ? '' : `: ${paused.reason}`}`],
  ] as const;
  cli.terminal.line(`${style('bold', name)} ${style(lookOf(status), status)}`);
  for (const line of detailLines(details, style)) cli.terminal.line(line);
}

function scheduleColumns(cli: Cli): Column<Schedule>[] {
  return [
    { title: 'ID', of: ({ id }) => id, drop: 5 },
    { title: 'NAME', of: ({ name }) => name, least: 12 },
    { title: 'STATUS', of: ({ status }) => status, look: ({ status }) => lookOf(status) },
    { title: 'TICKS', of: timesOf, least: 12 },
    { title: 'NEXT', of: ({ nextAt }) => cli.time(nextAt) },
    { title: 'LAST', of: ({ lastTickAt }) => cli.time(lastTickAt), drop: 3 },
    { title: 'CREATES', of: ({ job }) => job.type, least: 8, drop: 2 },
    { title: 'JOBS', of: ({ runs }) => runs, align: 'right', drop: 4 },
  ];
}

function tickColumns(cli: Cli): Column<ScheduleTick>[] {
  return [
    { title: 'TICK', of: ({ at }) => cli.time(at) },
    { title: 'OUTCOME', of: ({ outcome }) => outcome, look: ({ outcome }) => lookOf(outcome) },
    { title: 'JOB', of: ({ jobId }) => jobId, drop: 2 },
    { title: 'BY', of: ({ trigger }) => trigger, drop: 3 },
    { title: 'WHY', of: ({ message, reason }) => message ?? reason, least: 12, drop: 1 },
  ];
}
